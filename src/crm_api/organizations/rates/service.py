"""Verbs of exchange rates."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any

from sqlalchemy import bindparam, select, text
from sqlalchemy.dialects.postgresql import insert

from crm_api.audit.service import record
from crm_api.kit.db import ReadSession, Row, WriteSession, prepare
from crm_api.kit.ids import new_id
from crm_api.organizations.models import exchange_rates
from crm_api.organizations.rates.facts import RateAdded, RatesAdded
from crm_api.organizations.rates.schemas import ExchangeRateCreate
from crm_api.outbox.service import emit

_READ = ("id", "source_currency", "target_currency", "rate_date", "origin", "created_at")
_KEY = ("organization_id", "source_currency", "target_currency", "rate_date")
_INSERT = insert(exchange_rates).values({column.name: bindparam(column.name) for column in exchange_rates.c})
_UPSERT = prepare(
    _INSERT.on_conflict_do_update(
        index_elements=_KEY, set_={"rate": _INSERT.excluded.rate, "origin": _INSERT.excluded.origin}
    ).returning(exchange_rates)
)
_ON = prepare(
    select(exchange_rates.c.rate, exchange_rates.c.rate_date)
    .where(
        exchange_rates.c.organization_id == bindparam("organization_id"),
        exchange_rates.c.source_currency == bindparam("source"),
        exchange_rates.c.target_currency == bindparam("target"),
        exchange_rates.c.rate_date <= bindparam("day"),
    )
    .order_by(exchange_rates.c.rate_date.desc())
    .limit(1)
)
_ALL = prepare(
    select(exchange_rates.c.rate_date, exchange_rates.c.rate)
    .where(
        exchange_rates.c.organization_id == bindparam("organization_id"),
        exchange_rates.c.source_currency == bindparam("source"),
        exchange_rates.c.target_currency == bindparam("target"),
    )
    .order_by(exchange_rates.c.rate_date)
)


_REMEMBER = ("rates",)


def decimal_string(value: Decimal) -> str:
    """A rate as the API writes it: plain digits, no trailing zeros."""
    return format(value.normalize(), "f")


def to_read(row: Row | Mapping[str, Any]) -> dict[str, Any]:
    """An exchange rate as the API shows it."""
    return {**{name: row[name] for name in _READ}, "rate": decimal_string(row["rate"])}


async def put_rate(session: WriteSession, body: ExchangeRateCreate) -> tuple[dict[str, Any], bool]:
    """Add the rate of a day, or replace it; whether it was added."""
    values = {**body.model_dump(), "rate": Decimal(body.rate), "id": new_id(), "created_at": session.now}
    row = await session.fetch_row(_UPSERT, **values)
    assert row is not None
    session.memo.pop(("rates", body.source_currency, body.target_currency), None)
    is_new = row["id"] == values["id"]
    record(session, f"exchange_rate.{'created' if is_new else 'updated'}", "exchange_rate", row["id"])
    emit(
        session,
        RateAdded(source_currency=body.source_currency, target_currency=body.target_currency, rate_date=body.rate_date),
    )
    return to_read(row), is_new


_MANY = prepare(
    text(
        """
        WITH told AS (
            SELECT DISTINCT ON (r.source_currency, r.target_currency, r.rate_date) r.* FROM jsonb_to_recordset(:rates)
                AS r(place integer, id uuid, source_currency text, target_currency text, rate_date date, rate numeric,
                    origin text)
            ORDER BY r.source_currency, r.target_currency, r.rate_date, r.place DESC
        )
        INSERT INTO exchange_rates AS x (organization_id, id, source_currency, target_currency, rate_date, rate, origin,
            created_at)
        SELECT :organization_id, t.id, t.source_currency, t.target_currency, t.rate_date, t.rate, t.origin, :now
        FROM told t
        ON CONFLICT (organization_id, source_currency, target_currency, rate_date) DO UPDATE
            SET rate = excluded.rate, origin = excluded.origin
            WHERE (x.rate, x.origin) IS DISTINCT FROM (excluded.rate, excluded.origin)
        RETURNING x.id, x.source_currency, x.target_currency
        """
    )
)


async def put_rates(session: WriteSession, rates: Sequence[ExchangeRateCreate]) -> dict[str, Any]:
    """Add or replace many rates in one statement; what became of them. Of the same currencies and date the last counts.
    Gifts that waited are given their rates once for each pair of currencies."""
    rows = [{**one.model_dump(), "place": place, "id": new_id()} for place, one in enumerate(rates)]
    changed = await session.fetch(_MANY, rates=rows, now=session.now)
    own = {row["id"] for row in rows}
    created = sum(row["id"] in own for row in changed)
    for source, target in sorted({(row["source_currency"], row["target_currency"]) for row in changed}):
        session.memo.pop(("rates", source, target), None)
        emit(session, RatesAdded(source_currency=source, target_currency=target))
    if changed:
        record(session, "exchange_rates.imported", "organization", session.organization_id)
    distinct = len({(one.source_currency, one.target_currency, one.rate_date) for one in rates})
    return {"created": created, "updated": len(changed) - created, "unchanged": distinct - len(changed)}


async def newest_rate(session: ReadSession, source: str, target: str, day: date) -> tuple[Decimal, date] | None:
    """Main units of `target` for one of `source`, by the newest rate known for the day, and the rate's own day."""
    if isinstance(session, WriteSession) and (session.bulk or _REMEMBER in session.memo):
        return await _remembered_rate(session, source, target, day)
    row = await session.fetch_row(_ON, source=source, target=target, day=day)
    return None if row is None else (row["rate"], row["rate_date"])


def remember_rates(session: WriteSession) -> None:
    """Let a session that converts many amounts ask for rates between two currencies once, as a bulk session does."""
    session.memo[_REMEMBER] = True


async def _remembered_rate(session: WriteSession, source: str, target: str, day: date) -> tuple[Decimal, date] | None:
    """The same for a session of many gifts, which asks once per pair of currencies and not once per gift."""
    key = ("rates", source, target)
    if key not in session.memo:
        rows = await session.fetch(_ALL, source=source, target=target)
        session.memo[key] = [(row["rate_date"], row["rate"]) for row in rows]
    known: list[tuple[date, Decimal]] = session.memo[key]
    place = bisect_right(known, day, key=lambda item: item[0])
    return (known[place - 1][1], known[place - 1][0]) if place else None
