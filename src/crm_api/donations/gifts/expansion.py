"""`expand`: what gifts refer to, put beside them, with one statement for each kind of thing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import text

from crm_api.donations.allocations import service as allocations
from crm_api.kit.db import ReadSession, RowLike, Statement, prepare
from crm_api.kit.problems import Forbidden

_CONTACTS = prepare(
    text(
        "SELECT id, kind, display_name FROM contacts WHERE organization_id = :organization_id "
        "AND id = ANY(CAST(:ids AS uuid[]))"
    )
)
_FUNDS = prepare(
    text("SELECT id, code, name FROM funds WHERE organization_id = :organization_id AND id = ANY(CAST(:ids AS uuid[]))")
)
_CAMPAIGNS = prepare(
    text(
        "SELECT id, code, name FROM campaigns WHERE organization_id = :organization_id "
        "AND id = ANY(CAST(:ids AS uuid[]))"
    )
)
_SOFT_CREDITS = prepare(
    text(
        "SELECT id, gift_id, contact_id, type, amount FROM soft_credits WHERE organization_id = :organization_id "
        "AND gift_id = ANY(CAST(:ids AS uuid[])) ORDER BY gift_id, id"
    )
)
_REFERRED: dict[str, tuple[Statement, str, str]] = {
    "contact": (_CONTACTS, "contact_id", "contacts:read"),
    "fund": (_FUNDS, "fund_id", "donations:read"),
    "campaign": (_CAMPAIGNS, "campaign_id", "campaigns:read"),
}
NAMES = (*_REFERRED, "allocations", "soft_credits")
PATTERN = f"^({'|'.join(NAMES)})(,({'|'.join(NAMES)}))*$"


def expander(
    session: ReadSession,
) -> Callable[[Sequence[RowLike], list[dict[str, Any]], tuple[str, ...]], Any]:
    """A function that puts what was asked for beside the items made of gift rows. Who may not read a thing gets a 403
    that names the scope."""

    async def expand(rows: Sequence[RowLike], items: list[dict[str, Any]], names: tuple[str, ...]) -> None:
        for name in names:
            if name in _REFERRED:
                await _refer(session, name, rows, items)
        if "allocations" in names:
            parts = await allocations.of_gifts(session, rows)
            for row, item in zip(rows, items, strict=True):
                item["allocations"] = parts[row["id"]]
        if "soft_credits" in names:
            await _credit(session, rows, items)

    return expand


async def _refer(session: ReadSession, name: str, rows: Sequence[RowLike], items: list[dict[str, Any]]) -> None:
    statement, column, scope = _REFERRED[name]
    if scope not in session.actor.scopes:
        raise Forbidden(f"expand={name} needs the scope {scope}.", code="missing_scope", scope=scope)
    ids = sorted({row[column] for row in rows if row[column] is not None})
    found = {row["id"]: dict(row) for row in await session.fetch(statement, ids=ids)} if ids else {}
    for row, item in zip(rows, items, strict=True):
        item[name] = found.get(row[column])


async def _credit(session: ReadSession, rows: Sequence[RowLike], items: list[dict[str, Any]]) -> None:
    gifts = {row["id"]: row for row in rows}
    credits: dict[Any, list[dict[str, Any]]] = {gift_id: [] for gift_id in gifts}
    for one in await session.fetch(_SOFT_CREDITS, ids=list(gifts)):
        gift = gifts[one["gift_id"]]
        amount = gift["amount"] if one["amount"] is None else min(one["amount"], gift["amount"])
        shown = {name: one[name] for name in ("id", "contact_id", "type")}
        credits[one["gift_id"]].append({**shown, "amount": {"amount": amount, "currency": gift["currency"]}})
    for row, item in zip(rows, items, strict=True):
        item["soft_credits"] = credits[row["id"]]
