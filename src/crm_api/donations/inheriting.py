"""What hangs on a gift goes with it when the gift turns out to be the same payment as another: its split, soft credits,
matches, tributes and premiums. What the gift that stays has itself is never overwritten.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy import text

from crm_api.audit.service import record
from crm_api.donations.gifts import evidence
from crm_api.donations.gifts.service import settle
from crm_api.donations.matching import service as matching
from crm_api.donations.tributes import service as tributes
from crm_api.kit.db import Row, Statement, WriteSession, prepare


def _move(table: str, condition: str, *, stamped: bool = True) -> Statement:
    """Move the rows ``t`` of one gift that a condition lets go to the other."""
    stamp = ", version = t.version + 1, updated_at = :now" if stamped else ""
    return prepare(
        text(
            f"UPDATE {table} t SET gift_id = :target{stamp} "
            f"WHERE t.organization_id = :organization_id AND t.gift_id = :source AND {condition}"
        )
    )


def _none_in(table: str, same: str = "true") -> str:
    return (
        f"NOT EXISTS (SELECT 1 FROM {table} o WHERE o.organization_id = :organization_id "
        f"AND o.gift_id = :target AND {same})"
    )


_SPLIT = _move("gift_allocations", _none_in("gift_allocations"), stamped=False)
_TRIBUTES = _move("tributes", _none_in("tributes"))
_PREMIUMS = _move("gift_premiums", _none_in("gift_premiums"), stamped=False)
# Different people may be credited on either side; the donor has the gift itself, and what matching made is made anew.
_CREDITS = _move(
    "soft_credits",
    "t.origin = 'manual' AND t.contact_id IS DISTINCT FROM CAST(:donor AS uuid) AND "
    + _none_in("soft_credits", "o.contact_id = t.contact_id AND o.type = t.type"),
)
_MATCHES = _move(
    "matching_gifts",
    "t.matching_gift_id IS DISTINCT FROM CAST(:target AS uuid) AND "
    + _none_in("matching_gifts", "o.company_contact_id = t.company_contact_id"),
)
_MATCHED_BY = prepare(
    text(
        "UPDATE matching_gifts SET matching_gift_id = :target, version = version + 1, updated_at = :now "
        "WHERE organization_id = :organization_id AND matching_gift_id = :source AND gift_id <> :target"
    )
)


async def inherit(session: WriteSession, heir: Row, target_id: UUID) -> dict[str, Any]:
    """Move what hangs on the locked gift `heir` to the gift `target_id` that takes its place, where that one has none
    of it: a split in its proportions, by the largest remainder; credits and matches each by whom they name. Columns of
    `heir` that are others then; the caller settles it with them."""
    target = await evidence.lock_gift(session, target_id)
    between = {"source": heir["id"], "target": target_id}
    stamped = {**between, "now": session.now}
    same_money = heir["currency"] == target["currency"]
    changes: dict[str, Any] = {}
    moved: list[str] = []
    purposeless = target["fund_id"] is None and not target["is_split"]
    if heir["is_split"] and purposeless and await session.execute(_SPLIT, **between):
        changes["is_split"] = True
        moved.append("allocations")
    if same_money and heir["premium_value"] and await session.execute(_PREMIUMS, **between):
        changes["premium_value"] = heir["premium_value"]
        moved.append("premiums")
    donor = target["contact_id"] or heir["contact_id"]
    if same_money and await session.execute(_CREDITS, **stamped, donor=donor):
        moved.append("soft_credits")
    if await session.execute(_TRIBUTES, **stamped):
        moved.append("tributes")
    if await session.execute(_MATCHES, **stamped):
        moved.append("matching_gifts")
    if same_money and await session.execute(_MATCHED_BY, **stamped):
        moved.append("matched_by")
    if not moved:
        return {}
    await settle(session, target, changes, touched=moved)
    record(session, "donation.inherited", "donation", target_id, fields=moved)
    await _follow(session, heir, target, moved)
    left: dict[str, Any] = {"allocations": {"is_split": False}, "premiums": {"premium_value": 0}}
    return {name: value for kind in moved for name, value in left.get(kind, {}).items()}


async def _follow(session: WriteSession, heir: Row, target: Row, moved: list[str]) -> None:
    """What follows from what has moved: credits of employees, word to those who are to know of a tribute."""
    if "matching_gifts" in moved:
        await matching.follow_gift(session, target["id"])
    if "matched_by" in moved:
        await matching.credit_employees(session, sorted((heir["id"], target["id"])))
    if "tributes" in moved and target["status"] in tributes.ARRIVED and heir["status"] not in tributes.ARRIVED:
        await tributes.announce(session, target["id"])
