"""Verbs of allocations: splitting a gift over funds, and keeping the parts exact whatever becomes of the gift."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, delete, func, select, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.types import Uuid

from crm_api.donations.allocations.models import gift_allocations
from crm_api.donations.allocations.schemas import Allocation
from crm_api.donations.allocations.shares import divide, remaining
from crm_api.kit.db import ReadSession, RowLike, Statement, WriteSession, prepare

_ORG: Any = bindparam("organization_id")
_SCALE = 10**10
_OF = prepare(
    select(gift_allocations)
    .where(
        gift_allocations.c.organization_id == _ORG,
        gift_allocations.c.gift_id == func.any(bindparam("ids", type_=ARRAY(Uuid()))),
    )
    .order_by(gift_allocations.c.gift_id, gift_allocations.c.position)
)
_DROP = prepare(
    delete(gift_allocations).where(
        gift_allocations.c.organization_id == _ORG, gift_allocations.c.gift_id == bindparam("gift_id")
    )
)


def _divided(name: str, source: str, total: str, weight: str, columns: str) -> str:
    """Two CTEs that divide `total` over `weight` within each gift, as `shares.divide` does, into a column `name`."""
    whole = f"NULLIF(sum({weight}) OVER (PARTITION BY gift_id), 0)"
    return f"""
        {name}_whole AS (
            SELECT {columns}, div({total} * {weight}, {whole}) AS q, mod({total} * {weight}, {whole}) AS r
            FROM {source}
        ),
        {name}_parts AS (
            SELECT {columns}, coalesce(q, 0) + CASE
                WHEN row_number() OVER (PARTITION BY gift_id ORDER BY r DESC, position)
                    <= {total} - sum(q) OVER (PARTITION BY gift_id) THEN 1 ELSE 0 END AS {name}
            FROM {name}_whole
        )"""


def _restate(which: str) -> Statement:
    """Parts of the gifts that a condition on ``g`` names, from what those gifts are now, all in one statement."""
    known = "gift_id, fund_id, position, total, counted_total, base_total"
    return prepare(
        text(
            f"""
            WITH said AS (
                SELECT a.gift_id, a.fund_id, a.position, CAST(g.amount AS numeric) AS total,
                    CAST(least(g.counted, g.amount) AS numeric) AS counted_total,
                    CAST(g.base_counted AS numeric) AS base_total,
                    coalesce(a.percent, CAST(a.amount AS numeric)) AS weight
                FROM gifts g JOIN gift_allocations a
                    ON a.organization_id = :organization_id AND a.gift_id = g.id
                WHERE g.organization_id = :organization_id AND g.is_split AND {which}
            ),
            {_divided("part", "said", "total", "weight", known + ", weight")},
            {_divided("lost", "part_parts", "(total - counted_total)", "part", known + ", part")},
            kept AS (SELECT {known}, part, part - lost AS left_over FROM lost_parts),
            {_divided("base", "kept", "base_total", "left_over", known + ", part, left_over")}
            UPDATE gift_allocations a SET amount = b.part, counted = b.left_over,
                base_counted = CASE WHEN b.base_total IS NOT NULL THEN b.base END
            FROM base_parts b
            WHERE a.organization_id = :organization_id AND a.gift_id = b.gift_id AND a.fund_id = b.fund_id
                AND (a.amount, a.counted, a.base_counted) IS DISTINCT FROM
                    (CAST(b.part AS bigint), CAST(b.left_over AS bigint),
                     CASE WHEN b.base_total IS NOT NULL THEN CAST(b.base AS bigint) END)
            """
        )
    )


_RESTATE = _restate("g.id = ANY(CAST(:ids AS uuid[]))")
_RESTATE_UNSTAMPED = _restate("a.base_counted IS NULL AND g.base_counted IS NOT NULL")


def parts_of(
    parts: Sequence[Allocation], *, amount: int, counted: int, base_counted: int | None
) -> list[dict[str, Any]]:
    """The rows of a split that was checked (`schemas.problem_of`), for a gift with these figures. Pure."""
    percents = [None if part.percent is None else Decimal(part.percent) for part in parts]
    weights = [
        part.amount.amount if part.amount is not None else int((percent or 0) * _SCALE)
        for part, percent in zip(parts, percents, strict=True)
    ]
    amounts = divide(amount, weights)
    left = remaining(amounts, counted)
    base = [None] * len(parts) if base_counted is None else divide(base_counted, left)
    return [
        {
            "fund_id": part.fund_id,
            "position": place,
            "percent": percents[place],
            "amount": amounts[place],
            "counted": left[place],
            "base_counted": base[place],
        }
        for place, part in enumerate(parts)
    ]


def add(session: WriteSession, gift: RowLike, parts: Sequence[Allocation]) -> list[dict[str, Any]]:
    """Split a gift whose figures are these; the parts as the API shows them."""
    rows = parts_of(parts, amount=gift["amount"], counted=gift["counted"], base_counted=gift["base_counted"])
    session.later_rows(gift_allocations, [{"gift_id": gift["id"], **row} for row in rows])
    return [to_read(row, gift["currency"]) for row in rows]


async def drop(session: WriteSession, gift_id: UUID) -> None:
    """Forget how a gift was split."""
    await session.execute(_DROP, gift_id=gift_id)


async def restate(session: WriteSession, gift_ids: Sequence[UUID]) -> int:
    """Bring the parts of split gifts up to date with the gifts as they are stored; how many parts changed."""
    return await session.execute(_RESTATE, ids=list(gift_ids))


async def restate_stamped(session: WriteSession) -> int:
    """The same for all split gifts that got a rate while their parts have none."""
    return await session.execute(_RESTATE_UNSTAMPED)


def to_read(row: RowLike, currency: str) -> dict[str, Any]:
    """A part as the API shows it."""
    percent: Decimal | None = row["percent"]
    return {
        "fund_id": row["fund_id"],
        "percent": None if percent is None else format(percent.normalize(), "f"),
        "amount": {"amount": row["amount"], "currency": currency},
        "counted_amount": {"amount": row["counted"], "currency": currency},
    }


async def of_gifts(session: ReadSession, gifts: Sequence[RowLike]) -> dict[UUID, list[dict[str, Any]]]:
    """The parts of each gift as the API shows them. A gift that is not split has one part, its fund's, or none; only
    split ones are looked up."""
    found: dict[UUID, list[dict[str, Any]]] = {gift["id"]: whole_of(gift) for gift in gifts}
    split = {gift["id"]: gift["currency"] for gift in gifts if gift["is_split"]}
    if split:
        for row in await session.fetch(_OF, ids=list(split)):
            found[row["gift_id"]].append(to_read(row, split[row["gift_id"]]))
    return found


def whole_of(gift: RowLike) -> list[dict[str, Any]]:
    """The one part of a gift that is not split, as the API shows it: its fund's; none where it has no fund."""
    if gift["is_split"] or gift["fund_id"] is None:
        return []
    whole = {"fund_id": gift["fund_id"], "percent": Decimal(100), "amount": gift["amount"], "counted": gift["counted"]}
    return [to_read(whole, gift["currency"])]
