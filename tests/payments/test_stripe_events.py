"""Stripe: every payment event in our words, both API shapes, and the same end state in any order of arrival."""

from __future__ import annotations

import itertools
import random
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crm_api.donations.gifts.balances import Balance, Entry, derive
from crm_api.kit.money import Money
from crm_api.payments.provider import Interpretation
from crm_api.payments.providers import STRIPE
from crm_api.payments.providers.stripe.provider import HANDLERS
from crm_api.payments.providers.stripe.samples import _BUILDERS
from tests.payments.stripe_world import GROSS, NOW, SEED, entries_of, event, meaning, payment, plan, ref

NO_EFFECT = {"payment_intent.partially_funded"}

MEANINGS: dict[str, tuple[str, list[tuple[str, str | None]], bool]] = {
    "payment_intent.succeeded": ("pi", [("charge", None)], True),
    "payment_intent.payment_failed": ("pi", [("failed", None)], True),
    "payment_intent.processing": ("pi", [("pending", None)], True),
    "payment_intent.canceled": ("pi", [("canceled", None)], True),
    "charge.succeeded": ("pi", [("charge", None)], True),
    "charge.captured": ("pi", [("charge", None)], True),
    "charge.updated": ("pi", [("charge", None)], True),
    "charge.failed": ("pi", [("failed", None)], True),
    "charge.pending": ("pi", [("pending", None)], True),
    "charge.refunded": ("pi", [("charge", None), ("refunded_total", None)], True),
    "refund.created": ("pi", [("refund", "pending")], False),
    "refund.updated": ("pi", [("refund", "succeeded")], False),
    "refund.failed": ("pi", [("refund", "failed")], False),
    "charge.refund.updated": ("pi", [("refund", "succeeded")], False),
    "charge.dispute.created": ("pi", [("dispute", "open")], False),
    "charge.dispute.updated": ("pi", [("dispute", "open")], False),
    "charge.dispute.closed": ("pi", [("dispute", "lost")], False),
    "charge.dispute.funds_withdrawn": ("pi", [("dispute_withdrawn", None)], False),
    "charge.dispute.funds_reinstated": ("pi", [("dispute_reinstated", None)], False),
    "checkout.session.completed": ("pi", [("charge", None)], True),
    "checkout.session.async_payment_succeeded": ("pi", [("charge", None)], True),
    "checkout.session.async_payment_failed": ("pi", [("failed", None)], True),
    "checkout.session.expired": ("pi", [("canceled", None)], True),
    "invoice.paid": ("in", [("charge", None)], True),
    "invoice.payment_succeeded": ("in", [("charge", None)], True),
    "invoice.payment_failed": ("in", [("failed", None)], True),
    "invoice_payment.paid": ("in", [], False),
}


@pytest.mark.parametrize("event_type", MEANINGS)
def test_every_payment_event(event_type: str) -> None:
    first, told, creates = MEANINGS[event_type]
    found = payment(event_type, **({"status": "lost"} if event_type == "charge.dispute.closed" else {}))
    assert found.refs[0] == ref(first)
    assert [(entry.kind, entry.status) for entry in found.entries] == told
    assert found.creates is creates
    assert found.joins is (event_type == "invoice_payment.paid")
    assert (found.amount is not None) is creates
    assert all("evt_" not in entry.key for entry in found.entries)
    assert all(entry.amount == GROSS for entry in found.entries)


def test_every_type_is_tested_and_can_be_sampled() -> None:
    plans = {kind for kind in HANDLERS if kind.startswith("customer.subscription.")}
    assert len(plans) == 5
    payouts = {kind for kind in HANDLERS if kind.startswith("payout.")}  # told in test_stripe_payouts
    assert set(HANDLERS) == set(_BUILDERS) == set(MEANINGS) | plans | payouts | NO_EFFECT
    assert meaning("payment_intent.partially_funded").ignored == "partially_funded"
    with pytest.raises(KeyError, match=r"charge\.succeeded"):
        STRIPE.sample("charge.exploded", now=NOW, seed=SEED)


def test_refs_tie_the_objects_of_one_payment() -> None:
    assert payment("payment_intent.succeeded").refs == (ref("pi"), ref("ch"))
    assert payment("charge.succeeded").refs == (ref("pi"), ref("ch"))
    assert payment("charge.succeeded", payment_intent=None).refs == (ref("ch"),)
    assert payment("charge.succeeded", payment_intent={"id": "pi_whole"}).refs == ("pi_whole", ref("ch"))
    assert payment("checkout.session.completed").refs == (ref("pi"), ref("cs"))
    assert payment("checkout.session.completed", invoice="in_9").refs == (ref("pi"), "in_9", ref("cs"))
    assert payment("refund.created").refs == (ref("pi"), ref("ch"))
    assert payment("invoice.paid").refs == (ref("in"),)
    assert payment("invoice_payment.paid").refs == (ref("in"), ref("pi"))
    assert payment("invoice_payment.paid", payment={"type": "charge", "charge": "ch_9"}).refs == (ref("in"), "ch_9")
    assert meaning("invoice_payment.paid", payment=None).ignored == "no_reference"
    assert meaning("refund.created", payment_intent=None, charge=None).ignored == "no_reference"
    failed = payment("payment_intent.payment_failed", latest_charge=None, last_payment_error={"charge": "ch_bad"})
    assert failed.refs == (ref("pi"), "ch_bad")


def test_shape_before_2025_03_31() -> None:
    old = {"subscription": "sub_old", "charge": "ch_old", "payment_intent": "pi_old", "parent": None}
    found = meaning("invoice.paid", **old)
    assert found.payment is not None
    assert found.payment.refs == (ref("in"), "pi_old", "ch_old")
    assert (found.payment.plan_ref, found.plan and found.plan.status) == ("sub_old", "active")
    line = {"data": [{"parent": {"subscription_item_details": {"subscription": "sub_line"}}}]}
    assert payment("invoice.paid", parent=None, lines=line).plan_ref == "sub_line"
    assert payment("invoice.paid", parent=None, lines={"data": [{"subscription": "sub_l"}]}).plan_ref == "sub_l"
    for kind in ("charge.succeeded", "payment_intent.succeeded"):
        assert payment(kind, invoice="in_old").refs == ("in_old", ref("pi"), ref("ch"))
    old_item = {"data": [{"plan": {"amount": 700, "currency": "usd", "interval": "year", "interval_count": 2}}]}
    end = int(NOW.timestamp()) + 86400
    told = plan("customer.subscription.created", items=old_item, current_period_end=end)
    assert (told.amount, told.frequency_unit, told.frequency_interval) == (Money(700, "USD"), "year", 2)
    assert told.next_date is not None
    assert told.next_date.isoformat() == "2026-05-05"
    whole = {"amount": 300, "currency": "usd", "interval": "week", "interval_count": 1}
    assert plan("customer.subscription.created", items=None, plan=whole, quantity=3).amount == Money(900, "USD")
    listed = event("charge.succeeded")["data"]["object"]
    in_list = payment("payment_intent.succeeded", latest_charge=None, charges={"data": [listed]})
    assert in_list.refs == (ref("pi"), ref("ch"))
    assert in_list.payer.rank == 30


@pytest.mark.parametrize(
    ("event_type", "changes", "kin"),
    [
        ("payment_intent.succeeded", {}, "intent"),
        ("payment_intent.succeeded", {"customer": None}, None),
        ("payment_intent.succeeded", {"invoice": None}, None),  # the old shape says: no invoice
        ("charge.succeeded", {"customer": {"id": "cus_1"}}, "intent"),
        ("charge.refunded", {"customer": None}, None),
        ("invoice.paid", {}, "invoice"),
        ("invoice.paid", {"parent": None}, "invoice"),
        ("invoice.paid", {"paid_out_of_band": True}, None),
        ("checkout.session.completed", {}, None),
        ("refund.created", {}, None),
    ],
)
def test_kin(event_type: str, changes: dict[str, Any], kin: str | None) -> None:
    assert payment(event_type, **changes).kin == kin


def test_both_paid_events_of_an_invoice_are_one_statement() -> None:
    one, other = payment("invoice.paid", after=5), payment("invoice.payment_succeeded", after=9)
    assert one.entries[0].occurred_at == NOW + timedelta(seconds=5)  # the sample is paid at its own time
    same = {"status_transitions": {"paid_at": int(NOW.timestamp())}}
    one, other = payment("invoice.paid", after=5, **same), payment("invoice.payment_succeeded", after=9, **same)
    assert one.entries == other.entries
    assert one.entries[0].occurred_at == NOW
    bare = {"status_transitions": None}
    assert (
        payment("invoice.paid", after=5, **bare).entries
        == payment("invoice.payment_succeeded", after=9, **bare).entries
    )


def test_a_charge_is_the_same_statement_in_all_its_events() -> None:
    told = [
        payment(kind, after=n).entries[0]
        for n, kind in enumerate(("charge.succeeded", "charge.updated", "charge.refunded"))
    ]
    assert len(set(told)) == 1
    assert told[0].occurred_at == NOW


def test_captures() -> None:
    assert payment("charge.succeeded", captured=False, amount_captured=0).entries[0].kind == "pending"
    assert payment("charge.refunded", captured=False).entries[0].kind == "canceled"
    assert payment("charge.captured", amount=5 * GROSS, amount_captured=GROSS).entries[0].amount == GROSS
    assert payment("charge.succeeded", drop=("amount_captured", "captured", "status")).entries[0].kind == "charge"


def test_updates_without_news() -> None:
    assert meaning("charge.updated", status="failed").ignored == "no_news"
    assert meaning("charge.updated", status="pending").ignored == "no_news"
    assert [entry.kind for entry in payment("charge.updated", amount_refunded=0).entries] == ["charge"]
    back_to_zero = event("charge.updated", amount_refunded=0)
    back_to_zero["data"]["previous_attributes"] = {"amount_refunded": 5}
    assert [entry.kind for entry in entries_of(back_to_zero)] == ["charge", "refunded_total"]


@pytest.mark.parametrize(
    ("event_type", "changes", "reason"),
    [
        ("payment_intent.succeeded", {"amount_received": 0}, "no_money"),
        ("payment_intent.succeeded", {"amount_received": "100"}, "bad_amount"),
        ("payment_intent.succeeded", {"currency": "zzz"}, "bad_amount"),
        ("payment_intent.succeeded", {"id": None}, "no_reference"),
        ("charge.succeeded", {"amount": 1.5, "amount_captured": None}, "bad_amount"),
        ("charge.refunded", {"amount_refunded": -1}, "bad_amount"),
        ("refund.created", {"amount": True}, "bad_amount"),
        ("refund.updated", {"status": "reticulated"}, "unknown_status"),
        ("charge.dispute.created", {"status": ["open"]}, "unknown_status"),
        ("invoice.paid", {"amount_paid": 0}, "no_money"),
        ("invoice.payment_failed", {"amount_due": None}, "bad_amount"),
        ("checkout.session.completed", {"mode": "setup"}, "no_money"),
        ("checkout.session.completed", {"amount_total": 0, "payment_status": "no_payment_required"}, "no_money"),
        ("checkout.session.completed", {"amount_total": None}, "bad_amount"),
        ("checkout.session.expired", {"payment_intent": None}, "abandoned"),
        ("checkout.session.expired", {"mode": "subscription"}, "no_news"),
        ("customer.subscription.updated", {"id": ""}, "no_reference"),
    ],
)
def test_ignored(event_type: str, changes: dict[str, Any], reason: str) -> None:
    assert meaning(event_type, **changes) == Interpretation(ignored=reason)


def test_checkout_of_a_delayed_method() -> None:
    unpaid = event("checkout.session.completed", payment_status="unpaid")
    paid = event("checkout.session.async_payment_succeeded", after=86400)
    failed = event("checkout.session.async_payment_failed", after=86400)
    assert derive(entries_of(unpaid)).status == "pending"
    assert derive(entries_of(paid, unpaid)).status == "succeeded"
    assert derive(entries_of(failed, unpaid)).status == "failed"


def test_checkout_of_a_plan_adds_the_payer_to_the_invoice() -> None:
    mode = {"mode": "subscription", "subscription": "sub_1", "invoice": "in_1", "payment_intent": None}
    found = meaning("checkout.session.completed", **mode)
    assert found.payment is not None
    assert (found.payment.refs, found.payment.entries) == (("in_1", ref("cs")), ())
    assert (found.payment.creates, found.payment.joins, found.payment.plan_ref) == (False, False, "sub_1")
    assert found.payment.payer.rank == 40
    assert found.plan is not None
    assert (found.plan.ref, found.plan.status, found.plan.whole) == ("sub_1", None, False)
    trial = meaning("checkout.session.completed", **{**mode, "amount_total": 0})
    assert (trial.payment, trial.plan and trial.plan.ref) == (None, "sub_1")


LIVES: dict[str, tuple[list[Any], str]] = {
    "declined, then paid": (
        [
            event("payment_intent.payment_failed", after=0),
            event("charge.failed", after=0, made=0),
            event("payment_intent.succeeded", after=60),
            event("charge.succeeded", after=61, made=60),
            event("checkout.session.completed", after=62),
        ],
        "succeeded",
    ),
    "paid and refunded": (
        [
            event("payment_intent.succeeded"),
            event("charge.succeeded"),
            event("charge.refunded", after=900),
            event("refund.created", after=900, made=900),
            event("refund.updated", after=905, made=900),
        ],
        "refunded",
    ),
    "the refund failed": (
        [
            event("charge.succeeded"),
            event("charge.refunded", after=900),
            event("refund.created", after=900, made=900),
            event("refund.updated", after=905, made=900),
            event("refund.failed", after=9000, made=900),
        ],
        "succeeded",
    ),
    "disputed and won": (
        [
            event("charge.succeeded"),
            event("charge.dispute.created", after=500, made=500),
            event("charge.dispute.funds_withdrawn", after=500, made=500),
            event("charge.dispute.closed", after=9000, made=500, status="won"),
            event("charge.dispute.funds_reinstated", after=9000, made=500),
        ],
        "succeeded",
    ),
    "an inquiry closed by prevention, a real dispute lost": (
        [
            event("charge.succeeded"),
            event("charge.dispute.created", after=5, made=5, status="warning_needs_response", id="dp_a"),
            event("charge.dispute.closed", after=9, made=5, status="warning_closed", id="dp_a"),
            event("charge.dispute.created", after=7, made=7, id="dp_b"),
            event("charge.dispute.closed", after=9, made=7, status="prevented", id="dp_b"),
            event("charge.dispute.closed", after=30, made=20, status="lost"),
        ],
        "charged_back",
    ),
}


@pytest.mark.parametrize("name", LIVES)
def test_any_order_ends_the_same(name: str) -> None:
    """All orders of arrival, with the state kept as the gift would keep it: first statement under a key stays."""
    events, status = LIVES[name]
    told = [entries_of(each) for each in events]
    ends: set[Balance] = set()
    for order in itertools.permutations(told):
        kept: dict[str, Entry] = {}
        for entry in itertools.chain.from_iterable(order):
            kept.setdefault(entry.key, entry)
        ends.add(derive(kept.values()))
    (end,) = ends
    assert end.status == status
    assert end.gross == GROSS


@settings(deadline=None)
@given(st.lists(st.sampled_from(sorted(MEANINGS)), max_size=8), st.randoms(use_true_random=False))
def test_any_events_in_any_order(kinds: list[str], chance: random.Random) -> None:
    events = [event(kind, after=n // 2) for n, kind in enumerate(kinds)]
    shuffled = events * 2
    chance.shuffle(shuffled)
    told = entries_of(*shuffled)
    by_key = {entry.key: entry for entry in told}
    assert all(by_key[entry.key] == entry for entry in told)  # whichever of two is stored, it is the same
    assert derive(told) == derive(entries_of(*events))
