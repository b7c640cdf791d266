"""What a row changes of a gift that is there. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from crm_api.donations.gifts.balances import Entry, derive
from crm_api.donations.gifts.loading import GiftChange
from crm_api.kit.db import RowLike, WriteSession
from crm_api.transfers.imports.gift_money import Money, Unreachable, steps
from crm_api.transfers.imports.gift_rows import Facts

_PLAIN = ("fund_id", "campaign_id", "channel", "note", "is_anonymous", "method", "source_code")
_TOLD = ("status", "amount", "received", "refunded_amount", "fee")


def change_of(
    session: WriteSession,
    gift: RowLike,
    entries: Sequence[Entry],
    said: Mapping[str, Any],
    facts: Facts,
    donor: UUID | None,
    tag: str,
) -> GiftChange:
    """What a row says in place of what was there; cells that were left open change nothing. `Unreachable` where money
    or split stand in the way."""
    changes = {name: said[name] for name in _PLAIN if name in said and said[name] != gift[name]}
    if donor is not None and donor != gift["contact_id"]:
        changes["contact_id"] = donor
    if "fund_id" in changes and gift["is_split"]:
        raise Unreachable("gift_is_split")
    if "campaign_id" in changes and gift["appeal_id"] is not None:
        changes["appeal_id"] = None  # whoever moves a gift to another campaign takes it out of its appeal
    if "method" in changes and gift["method_details"] is not None:
        changes["method_details"] = None
    if said.get("currency", gift["currency"]) != gift["currency"]:
        raise Unreachable("currency_mismatch")
    wanted = _wanted(gift, said)
    if not _differs(gift, wanted):
        return GiftChange(gift, entries, (), changes)
    if gift["provider"] is not None:
        raise Unreachable("correct_at_provider")
    added = steps(entries, wanted, tag=tag, now=session.now)
    if wanted.amount != gift["amount"] and derive(entries).received_at is None:
        changes["amount"] = wanted.amount
    if wanted.received_at != gift["received_at"]:
        changes |= {"base_rate": None, "base_rate_date": None}  # of the right day instead
    return GiftChange(gift, entries, added, changes)


def _wanted(gift: RowLike, said: Mapping[str, Any]) -> Money:
    """The money that the row tells of, where it is silent as it is."""
    amount = said.get("amount", gift["amount"])
    status = said.get("status", gift["status"])
    refunded = said.get("refunded_amount")
    if refunded is None:
        refunded = amount if status == "refunded" else gift["refunded"] if status != "succeeded" else 0
    elif status in {"succeeded", "partially_refunded", "refunded"}:
        status = "succeeded" if not refunded else "refunded" if refunded >= amount else "partially_refunded"
    moment = said.get("received")
    received = gift["received_at"]
    if moment is not None and (moment.exact or moment.day != gift["gift_date"]):
        received = moment.at
    back = said["refunded_on"].at if "refunded_on" in said else None
    return Money(status, amount, received, refunded, None if back is None else max(back, received), said.get("fee"))


def _differs(gift: RowLike, wanted: Money) -> bool:
    now = (gift["status"], gift["amount"], gift["received_at"], gift["refunded"])
    if now != (wanted.status, wanted.amount, wanted.received_at, wanted.refunded):
        return True
    return wanted.fee is not None and wanted.fee != gift["fee"]


def journal_of(change: GiftChange, said: Mapping[str, Any]) -> dict[str, list[Any]]:
    """What the row changed, column → [before, after]; what follows of the money included."""
    before = change.before
    told = {name: [before[name], value] for name, value in (change.changes or {}).items() if not _follows(name)}
    if change.added or "amount" in told:
        after = derive([*change.entries, *change.added])
        wanted = _wanted(before, said)
        money = {
            "status": after.status,
            "amount": after.gross or wanted.amount,
            "received_at": after.received_at or before["received_at"],
            "refunded": after.refunded,
            "fee": after.fee,
        }
        told |= {name: [before[name], value] for name, value in money.items() if value != before[name]}
    if change.external_ids:
        fresh = [{"system": system, "id": own} for system, own in change.external_ids]
        told["external_ids"] = [before["external_ids"], [*before["external_ids"], *fresh]]
    return told


def _follows(name: str) -> bool:
    return name.startswith("base_")
