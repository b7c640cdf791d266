"""Payouts: what Stripe has sent to the bank, and the balance transactions that are in it.

The event says how much arrived, and that is recorded at once. What is in an automatic payout is then asked for, since
no event says it; of a manual one Stripe itself does not know. The transactions also tell the fee of every charge, which
its own events leave out. A payout that was paid can still come back from the bank: what was in it then comes with a
later payout, in which it stands as one transaction, ``payout_failure``.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import TYPE_CHECKING, Any

from crm_api.donations.ledger.payouts.service import Item, Statement
from crm_api.payments.abilities import ListedPayout
from crm_api.payments.provider import FollowUp, Interpretation, PaymentOutcome, PayoutOutcome
from crm_api.payments.providers.reading import at, code, ident, ignore, instant, mapping, sequence, unix
from crm_api.payments.providers.stripe.amounts import money
from crm_api.payments.providers.stripe.charges import fee_of
from crm_api.payments.providers.stripe.intents import payment_refs
from crm_api.payments.providers.stripe.reading import Event, Handler

if TYPE_CHECKING:
    from crm_api.payments.providers.stripe.fetch import StripeApi

FOLLOW_UP = "payout"
MOST_ITEMS = 20_000
"""Transactions of a payout that are fetched; of one with more only the amount is known, and its report can be sent in
as a file."""
_AT_ONCE = "100"
_REF = re.compile(r"po_[A-Za-z0-9_]{1,120}")
_KINDS = {
    "charge": "payment",
    "charge_failure": "refund",
    "refund": "refund",
    "partial_capture_reversal": "refund",
    "refund_failure": "refund",
    "dispute": "chargeback",
    "dispute_reversal": "adjustment",
    "other_adjustment": "adjustment",
    "fee": "fee",
    "network_cost": "fee",
    "tax": "fee",
}
"""By Stripe's ``reporting_category``."""
_OF_PAYMENTS = frozenset({"payment", "refund", "chargeback"})


def _payout(event: Event) -> Interpretation:
    """A payout that arrived, or came back. Before that nothing has left Stripe, and a canceled one never did."""
    obj = event.obj
    status = "failed" if event.type == "payout.failed" else obj.get("status")
    if ident(obj) is None:
        return ignore("no_reference")
    if status not in ("paid", "failed"):
        return ignore("not_arrived")
    said = _statement(obj)
    if said is None:
        return ignore("bad_amount")
    return Interpretation(payout=PayoutOutcome(said, _failure(obj) if status == "failed" else None))


def _failure(obj: dict[str, Any]) -> str:
    return code(obj.get("failure_code")) or "unknown"


def _statement(obj: dict[str, Any]) -> Statement | None:
    """What a payout object itself says. One that is below zero was taken from the bank."""
    ref, day, currency = ident(obj), instant(obj.get("arrival_date")), obj.get("currency")
    amount = _signed(obj.get("amount"), currency)
    if ref is None or day is None or amount is None:
        return None
    return Statement(ref, day.date(), str(currency).upper(), amount)  # Stripe's day is midnight in UTC


def _signed(amount: Any, currency: Any) -> int | None:
    """Stripe's amount in our minor units, with its sign; nothing for what cannot be money."""
    if isinstance(amount, bool) or not isinstance(amount, int):
        return None
    found = money(abs(amount), currency)
    return None if found is None else found.amount if amount >= 0 else -found.amount


def follow_ups(payload: Any) -> tuple[FollowUp, ...]:
    """To ask what is in a payout: when it arrives, and when Stripe has worked that out."""
    ref = ident(at(payload, "data", "object"))
    told = at(payload, "type") in ("payout.paid", "payout.reconciliation_completed")
    if not told or ref is None or at(payload, "data", "object", "status") != "paid":
        return ()
    return (FollowUp(FOLLOW_UP, ref),)


async def fetch_payout(api: StripeApi, ref: str) -> list[Interpretation]:
    """The fees of its charges, then a payout as it is now, with what is in it where Stripe knows that and the key may
    read it."""
    if not _REF.fullmatch(ref):
        return []
    obj, _ = await api.read(f"/v1/payouts/{ref}")
    said = _statement(obj) if obj is not None else None
    if obj is None or said is None or obj.get("status") not in ("paid", "failed"):
        return []
    if obj["status"] == "failed":
        return [Interpretation(payout=PayoutOutcome(said, _failure(obj)))]
    if obj.get("automatic") is not False and obj.get("reconciliation_status") in (None, "completed"):
        fees: list[Interpretation] = []
        if (whole := await _with_items(api, said, fees)) is not None:
            return [*fees, Interpretation(payout=PayoutOutcome(whole))]
    return [Interpretation(payout=PayoutOutcome(said))]


async def list_payouts(api: StripeApi, since: datetime, until: datetime) -> list[ListedPayout]:
    """Payouts made in that time that have arrived or came back, the newest hundred; none where the key may not read
    them."""
    asked = (("created[gte]", str(unix(since))), ("created[lt]", str(unix(until))), ("limit", _AT_ONCE))
    answer, _ = await api.read("/v1/payouts", *asked)
    return [
        ListedPayout(FollowUp(FOLLOW_UP, ref), failed=one["status"] == "failed")
        for one in map(mapping, sequence(at(answer, "data")))
        if one.get("status") in ("paid", "failed") and (ref := ident(one)) is not None
    ]


async def _with_items(
    api: StripeApi, said: Statement, fees: list[Interpretation], within: tuple[str, ...] = ()
) -> Statement | None:
    """The statement with everything that is in the payout, the charges' own `fees` noted beside; nothing where that
    cannot be had whole."""
    listed = await _transactions(api, said.payout_ref)
    if listed is None:
        return None
    items: list[Item] = []
    fee = 0
    for one in listed:
        gross, cost = _signed(one.get("amount"), one.get("currency")), _signed(one.get("fee"), one.get("currency"))
        ref = ident(one)
        if ref is None or gross is None or cost is None or str(one.get("currency")).upper() != said.currency:
            return None
        if ident(one.get("source")) == said.payout_ref:  # the payout itself: its fee is that of an instant one
            fee += max(cost, 0)
            continue
        returned = await _returned(api, one, said, gross - cost, fees, within)
        items += returned or [_item(one, ref, gross, cost)]
        fees += _fee(one, said.currency)
    return Statement(said.payout_ref, said.arrived_on, said.currency, said.amount, items, fee)


async def _returned(
    api: StripeApi,
    transaction: dict[str, Any],
    said: Statement,
    net: int,
    fees: list[Interpretation],
    within: tuple[str, ...],
) -> list[Item]:
    """What was in a payout that the bank sent back, where this transaction is its return: it comes with this payout."""
    ref = ident(transaction.get("source"))
    if transaction.get("type") != "payout_failure" or ref is None or ref in within or not _REF.fullmatch(ref):
        return []
    before = Statement(ref, said.arrived_on, said.currency, net)
    found = await _with_items(api, before, fees, (*within, said.payout_ref))
    if found is None or sum(item.gross - item.fee for item in found.items) != net:
        return []
    return list(found.items)


async def _transactions(api: StripeApi, ref: str) -> list[dict[str, Any]] | None:
    """Every balance transaction of a payout; nothing where the key may not read them, or there are too many."""
    found: list[dict[str, Any]] = []
    after: str | None = None
    while len(found) < MOST_ITEMS:
        asked = [("payout", ref), ("limit", _AT_ONCE), ("expand[]", "data.source")]
        answer, _ = await api.read("/v1/balance_transactions", *asked, *([("starting_after", after)] if after else []))
        if answer is None:
            return None
        page = [mapping(one) for one in sequence(answer.get("data"))]
        found += page
        after = ident(page[-1]) if page and answer.get("has_more") is True else None
        if after is None:
            return found
    return None


def _item(transaction: dict[str, Any], ref: str, gross: int, fee: int) -> Item:
    """A transaction as an item, named by its payment: the intent, which every gift knows, else the charge."""
    kind = _KINDS.get(str(transaction.get("reporting_category")), "other")
    source = transaction.get("source")
    named = ident(at(source, "payment_intent")) or ident(at(source, "charge")) or ident(source)
    return Item((named if kind in _OF_PAYMENTS else None) or ref, gross, fee, kind)


def _fee(transaction: dict[str, Any], currency: str) -> list[Interpretation]:
    """What a charge cost, as its own look-up would say it."""
    charge, made = mapping(transaction.get("source")), instant(transaction.get("created"))
    refs = payment_refs(charge.get("payment_intent"), charge)
    if charge.get("object") != "charge" or not refs or made is None:
        return []
    fee = fee_of({"balance_transaction": transaction}, currency, made)
    if not fee or not fee.amount:
        return []
    return [Interpretation(PaymentOutcome(refs, (fee,), fee.occurred_at, creates=False, currency=currency))]


HANDLERS: dict[str, Handler] = dict.fromkeys(
    (
        "payout.created",
        "payout.updated",
        "payout.paid",
        "payout.failed",
        "payout.canceled",
        "payout.reconciliation_completed",
    ),
    _payout,
)
