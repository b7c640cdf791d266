"""What a row says of a gift's money, as payment entries: those of a new gift, and those that lead a known gift there.
Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from crm_api.donations.gifts.balances import Balance, Entry, derive
from crm_api.donations.gifts.loading import entry_rows
from crm_api.kit.ids import new_id

ARRIVED = frozenset({"succeeded", "partially_refunded", "refunded", "disputed", "charged_back"})
_MOMENT = timedelta(microseconds=1)
_OURS = "import"
"""Every reference of an entry that an import made begins so."""


class Refused(ValueError):
    """A row cannot be carried out; the text is a code."""


class Unreachable(ValueError):
    """No entry leads from what is known of a payment to what a row says of it; the text is a code."""


@dataclass(frozen=True, slots=True)
class Money:
    """What a gift's money is to be. Amounts are minor units of the gift's currency."""

    status: str
    amount: int
    received_at: datetime
    refunded: int = 0
    refunded_at: datetime | None = None
    fee: int | None = None
    """None: whatever is known of it."""


def opening(money: Money) -> tuple[list[Entry], Balance]:
    """The entries of a new gift, and what they add up to. The same as `steps` from nothing, for a million rows."""
    if money.status != "succeeded":
        entries = steps([], money, tag="0", now=money.received_at)
        return entries, derive(entries)
    entries = [Entry("charge", "charge:import", money.received_at, money.amount)]
    if money.fee:
        entries.append(_fee(money.fee, "0", money.received_at))
    balance = Balance("succeeded", money.amount, 0, money.fee or 0, 0, money.received_at, None, None)
    return entries, balance


def money_of(said: Mapping[str, Any]) -> Money:
    """The money of a new gift. A refund that is told by its amount alone is one."""
    if "amount" not in said:
        raise Refused("no_amount")
    if "received" not in said:
        raise Refused("no_date")
    amount, status, refunded = said["amount"], said.get("status"), said.get("refunded_amount", 0)
    if status in {None, "succeeded"} and refunded:
        status = "refunded" if refunded >= amount else "partially_refunded"
    if status == "refunded":
        refunded = amount
    if status == "partially_refunded" and not 0 < refunded < amount:
        raise Refused("no_refunded_amount")
    at = said["received"].at
    back = said["refunded_on"].at if "refunded_on" in said else None
    returned = None if back is None else max(back, at)
    return Money(status or "succeeded", amount, at, refunded, returned, said.get("fee"))


@dataclass(frozen=True, slots=True)
class Opened:
    """A new gift, as far as its row alone decides."""

    gift: dict[str, Any]
    """Values of its columns; donor, fund and attribution are still to come."""
    entries: Sequence[Mapping[str, Any]]


def opened_of(said: Mapping[str, Any], external_ids: Sequence[tuple[str, str]]) -> Opened:
    """The gift that a row makes where it matches none. `Refused` where it cannot be one. Done while rows are read,
    beside the writing of others."""
    money = money_of(said)
    entries, balance = opening(money)
    gift_id = new_id()
    gift: dict[str, Any] = {
        "id": gift_id,
        "contact_id": None,
        "amount": money.amount,
        "currency": said["currency"],
        **balance.columns(),
        "method": said.get("method", "other"),
        "is_anonymous": said.get("is_anonymous", False),
        "received_at": money.received_at,
        "gift_date": said["received"].day,
        "fund_id": None,
        "note": said.get("note"),
        "external_ids": [{"system": system, "id": own} for system, own in external_ids],
    }
    return Opened(gift, entry_rows(gift_id, entries))


def _fee(amount: int, tag: str, at: datetime) -> Entry:
    return Entry("fee", "fee:import" if tag == "0" else f"fee:import:{tag}", at, amount, ref=_OURS)


def steps(known: Sequence[Entry], wanted: Money, *, tag: str, now: datetime) -> list[Entry]:
    """Entries that lead from what is known to what is wanted, said at `now`; `tag` tells them from those of other rows.
    `Unreachable` where there are none: money that has arrived cannot be made never to have come."""
    at = max([now, *(entry.occurred_at + _MOMENT for entry in known)])  # the newest word counts, and this is it
    balance = derive(known)
    charged = any(entry.kind == "charge" for entry in known)
    if wanted.status not in ARRIVED:
        if charged:
            raise Unreachable("money_arrived")
        made = _attempt(known, balance, wanted, tag, at)
    else:
        made = _arrival(balance, wanted, tag, at, charged=charged)
        made += _refunds(known, balance, wanted, tag, at)
        made += _disputes(known, balance, wanted, tag, at)
    if wanted.fee is not None and wanted.fee != balance.fee:
        ours = [entry for entry in known if entry.kind == "fee" and entry.ref == _OURS]
        amount = (derive(ours).fee if ours else 0) + wanted.fee - balance.fee
        if amount < 0:
            raise Unreachable("fee_of_provider")
        made.append(_fee(amount, "0" if not known else tag, at))
    after = derive([*known, *made])
    if not _is_there(after, wanted):
        raise Unreachable("status_not_reachable")
    return made


def _is_there(after: Balance, wanted: Money) -> bool:
    if after.status != wanted.status or (wanted.fee is not None and after.fee != wanted.fee):
        return False
    if wanted.status not in ARRIVED:
        return True
    told = (wanted.amount, wanted.received_at, wanted.refunded)
    return (after.gross, after.received_at, after.refunded) == told


def _attempt(known: Sequence[Entry], balance: Balance, wanted: Money, tag: str, at: datetime) -> list[Entry]:
    """A payment that has not arrived: the newest word counts."""
    if known and balance.status == wanted.status:
        return []
    kind: Any = wanted.status
    if not known:
        return [Entry(kind, f"{kind}:import", wanted.received_at, wanted.amount)]
    return [Entry(kind, f"{kind}:import:{tag}", at, wanted.amount)]


def _arrival(balance: Balance, wanted: Money, tag: str, at: datetime, *, charged: bool) -> list[Entry]:
    """The charge, or what corrects it."""
    if not charged:
        return [Entry("charge", "charge:import", wanted.received_at, wanted.amount)]
    redated = balance.received_at != wanted.received_at
    if balance.gross == wanted.amount and not redated:
        return []
    return [
        Entry(
            "adjustment",
            f"adjustment:import:{tag}",
            at,
            wanted.amount - balance.gross,
            reason="entered_in_error",
            started_at=wanted.received_at if redated else None,
        )
    ]


def _refunds(known: Sequence[Entry], balance: Balance, wanted: Money, tag: str, at: datetime) -> list[Entry]:
    """Refunds that are missing; of those that are too many, the ones that imports made are said to have failed."""
    missing = wanted.refunded - balance.refunded
    made: list[Entry] = []
    if missing < 0:
        fallen = {entry.ref for entry in known if entry.kind == "refund_failed"}
        standing = [e for e in known if e.kind == "refund" and e.ref not in fallen and (e.ref or "").startswith(_OURS)]
        for entry in sorted(standing, key=lambda one: one.occurred_at, reverse=True):
            if missing < 0:
                key = f"refund_failed:{entry.ref}"
                made.append(Entry("refund_failed", key, at, entry.amount, ref=entry.ref))
                missing += entry.amount or 0
        if missing < 0:
            raise Unreachable("refund_not_ours")
    if missing > 0:
        when = at if made else (wanted.refunded_at or (at if known else wanted.received_at))
        ref = f"{_OURS}:{tag}"
        made.append(Entry("refund", f"refund:{ref}", when, missing, ref, "succeeded", "import", when))
    return made


def _disputes(known: Sequence[Entry], balance: Balance, wanted: Money, tag: str, at: datetime) -> list[Entry]:
    """A dispute that is missing, or the end of those that stand."""
    if wanted.status == balance.status:
        return []
    when = at if known else (wanted.refunded_at or wanted.received_at)
    ref = f"{_OURS}:{tag}"
    made: list[Entry] = []
    standing = {"disputed", "charged_back"}
    if balance.status in standing:
        for kind, end in (("dispute", "won"), ("reversal", "failed")):
            for one in sorted({entry.ref or "" for entry in known if entry.kind == kind}):
                theirs = [entry for entry in known if entry.kind == kind and (entry.ref or "") == one]
                if not one:
                    raise Unreachable("dispute_not_ours")
                ended: Any = kind
                made.append(Entry(ended, f"{kind}:{one}:{tag}:{end}", at, theirs[-1].amount, one, end))
    if wanted.status in standing:
        state = "open" if wanted.status == "disputed" else "lost"
        amount = wanted.amount - wanted.refunded
        made.append(Entry("dispute", f"dispute:{ref}:{state}", when, amount, ref, state, "import", when))
    return made
