"""Stripe's payouts arrive by themselves: told by an event, looked into, matched with gifts; repeats change nothing."""

from __future__ import annotations

from datetime import timedelta
from itertools import permutations
from typing import Any

import pytest

from crm_api.kit import clock
from crm_api.payments import tasks
from crm_api.payments.providers.stripe import StripeProvider, payouts
from tests.ledger.test_books import balances
from tests.support.fake_stripe import FakeStripe
from tests.support.stripe_events import Event, gift_event, ids, stripe_event
from tests.support.world import World

NOW = clock.utc_now().replace(microsecond=0)
MADE = NOW - timedelta(days=1)


def gift(seed: str) -> Event:
    """A charge as its webhook has it: its balance transaction is an id, so nothing is said of the fee."""
    return gift_event(seed, email=f"{seed}@example.org", name=seed, start=MADE)


def transaction(name: str, source: str, amount: int, fee: int, category: str, kind: str = "charge") -> dict[str, Any]:
    return {
        "id": f"txn_{name}", "object": "balance_transaction", "amount": amount, "fee": fee, "net": amount - fee,
        "currency": "usd", "created": int(MADE.timestamp()), "reporting_category": category, "source": source,
        "type": kind,
    }  # fmt: skip


def payout(seed: str, kind: str, amount: int, *, number: int = 0, **changes: Any) -> Event:
    plain = {"amount": amount, "currency": "usd"}
    return stripe_event(f"payout.{kind}", seed=seed, start=MADE, number=number, **{**plain, **changes})


def paid(stripe: FakeStripe, seed: str, amount: int, *within: dict[str, Any], **changes: Any) -> Event:
    """A payout that Stripe has, and its event; in its list stands the payout itself, too."""
    event = payout(seed, "paid", amount, **changes)
    obj = event["data"]["object"]
    stripe.knows(obj)
    own = transaction(f"own_{seed}", obj["id"], -amount, 0, "payout", "payout")
    stripe.payout_transactions[obj["id"]] = [own, *within]
    return event


def charged(stripe: FakeStripe, event: Event, fee: int) -> dict[str, Any]:
    """The balance transaction of a charge that Stripe has."""
    obj = event["data"]["object"]
    stripe.knows(obj)
    return transaction(obj["id"], obj["id"], obj["amount"], fee, "charge")


async def shown(world: World, **query: Any) -> list[Any]:
    await world.drain()
    found: list[Any] = (await world.get("/v1/payouts", params={"sort": "id", **query}))["data"]
    return found


async def items(world: World, one: Any) -> dict[tuple[str, str], str]:
    page = await world.get(f"/v1/payouts/{one['id']}/items")
    return {(item["kind"], item["ref"]): item["state"] for item in page["data"]}


def told_of(seed: str) -> tuple[str, str]:
    return "payment", ids(seed)["pi"]


async def test_a_payout_arrives_by_itself(books: World, stripe: FakeStripe, monkeypatch: pytest.MonkeyPatch) -> None:
    """Charges, a refund, a fee of the account and a charge that nobody told us of, over several pages and several
    transactions; then again."""
    stripe.page_size = 2
    monkeypatch.setattr(tasks, "AT_ONCE", 1)
    first, second, unknown = gift("first"), gift("second"), gift("unknown")
    refund = stripe_event("refund.updated", seed="first", start=MADE, amount=500, currency="usd", status="succeeded")
    stripe.knows(refund["data"]["object"])
    for event in (first, second, refund):
        await books.stripe_sends(event)
    await books.drain()
    within = [
        charged(stripe, first, 103), charged(stripe, second, 103), charged(stripe, unknown, 103),
        transaction("refund", refund["data"]["object"]["id"], -500, 0, "refund", "refund"),
        transaction("radar", "fee_1", -20, 0, "fee", "stripe_fee"),
    ]  # fmt: skip
    event = paid(stripe, "one", 7500 - 309 - 520, *within)
    for early in ("created", "updated", "reconciliation_completed"):
        await books.stripe_sends(payout("one", early, 6671))
    assert await shown(books) == []
    await books.stripe_sends(event)
    (one,) = await shown(books)
    assert (one["origin"], one["state"], one["difference"]["amount"]) == ("provider", "open", 0)
    refs = {told_of("first"): "matched", told_of("second"): "matched", ("refund", ids("first")["pi"]): "matched"}
    rest: dict[tuple[str, str], str] = {("fee", "txn_radar"): "matched"}
    assert await items(books, one) == refs | rest | {told_of("unknown"): "missing_gift"}
    found = (await books.get("/v1/donations"))["data"]
    assert {one["provider_payment_id"]: one["fee_amount"]["amount"] for one in found} == {
        ids("first")["pi"]: 103, ids("second")["pi"]: 103,
    }  # fmt: skip
    before = await balances(books)
    assert before["bank:payouts", "USD"] == 6671
    # the charge comes late; told again, the payout tells its fee, and nothing else changes
    await books.stripe_sends(unknown)
    assert (await items(books, (await shown(books))[0]))[told_of("unknown")] == "fee_differs"
    for number in (1, 2):
        await books.stripe_sends({**event, "id": f"evt_again_{number}"})
    (one,) = await shown(books)
    assert one["state"] == "reconciled"
    assert (await balances(books))["bank:payouts", "USD"] == 6671
    assert (await books.get("/v1/payouts/differences", params={"after_days": 0}))["differences"] == []


async def test_one_that_the_bank_sends_back_comes_with_the_next(books: World, stripe: FakeStripe) -> None:
    """In whatever order its events come; what was in it is in the later payout, where Stripe has one transaction."""
    given = gift("given")
    await books.stripe_sends(given)
    event = paid(stripe, "one", 2397, charged(stripe, given, 103))
    await books.stripe_sends(event)
    (one,) = await shown(books)
    assert one["state"] == "reconciled"
    obj = event["data"]["object"] | {"status": "failed", "failure_code": "account_closed"}
    stripe.knows(obj)
    await books.stripe_sends(payout("one", "failed", 2397, failure_code="account_closed"))
    await books.stripe_sends({**event, "id": "evt_late"})  # nothing brings it back
    (one,) = await shown(books)
    assert (one["state"], one["failure_code"]) == ("canceled", "account_closed")
    assert ("bank:payouts", "USD") not in await balances(books)
    back = transaction("back", obj["id"], 2397, 0, "payout_reversal", "payout_failure")
    await books.stripe_sends(paid(stripe, "two", 2397, back))
    two = (await shown(books))[-1]
    assert (two["state"], await items(books, two)) == ("reconciled", {told_of("given"): "matched"})
    assert (await balances(books))["bank:payouts", "USD"] == 2397
    clearing = f"clearing:{await books.stripe_connection()}"
    assert (clearing, "USD") not in await balances(books)


async def test_any_order_is_the_same(books: World, stripe: FakeStripe) -> None:
    for place, order in enumerate(permutations(("paid", "updated", "failed"))):
        seed = f"order{place}"
        event = paid(stripe, seed, 900)
        stripe.knows(event["data"]["object"] | {"status": "failed", "failure_code": "no_account"})
        for kind in order:
            status = "failed" if kind == "failed" else "paid"
            await books.stripe_sends(payout(seed, kind, 900, status=status, failure_code=None))
    found = await shown(books)
    assert [(one["state"], one["failure_code"] is not None) for one in found] == [("canceled", True)] * 6
    assert ("bank:payouts", "USD") not in await balances(books)


async def test_what_no_list_tells(books: World, stripe: FakeStripe, monkeypatch: pytest.MonkeyPatch) -> None:
    """A manual payout, one that is too large, one that Stripe has not worked out yet: recorded by amount alone, and the
    items added when they can be had; also one taken from the bank. A lost event is made up for by the next reconciliation."""
    await books.stripe_sends(paid(stripe, "manual", 700, automatic=False))
    await books.stripe_sends(paid(stripe, "taken", -300, transaction("minus", "ch_x", -300, 0, "refund", "refund")))
    event = paid(stripe, "slow", 2397, charged(stripe, gift("given"), 103), reconciliation_status="in_progress")
    await books.stripe_sends(event)
    found = {one["payout_ref"]: one for one in await shown(books)}
    names = {seed: payout(seed, "paid", 1)["data"]["object"]["id"] for seed in ("manual", "taken", "slow", "lost")}
    assert [found[names[seed]]["items_count"] for seed in ("manual", "taken", "slow")] == [0, 1, 0]
    assert found[names["taken"]]["amount"]["amount"] == -300
    assert (await balances(books))["bank:payouts", "USD"] == 700 - 300 + 2397
    stripe.knows(event["data"]["object"] | {"reconciliation_status": "completed"})
    await books.stripe_sends(payout("slow", "reconciliation_completed", 2397, status="paid"))
    (slow,) = await shown(books, payout_ref=names["slow"])
    assert (slow["items_count"], slow["difference"]["amount"]) == (1, 0)
    assert len((await books.get("/v1/ledger/journals", params={"payout_id": slow["id"]}))["data"]) == 1

    monkeypatch.setattr(payouts, "MOST_ITEMS", 2)
    stripe.page_size = 1
    many = [transaction(f"many{number}", "fee_1", 10, 0, "other_adjustment", "adjustment") for number in range(3)]
    await books.stripe_sends(paid(stripe, "large", 30, *many))
    await books.drain()
    monkeypatch.undo()
    (large,) = await shown(books, payout_ref=payout("large", "paid", 1)["data"]["object"]["id"])
    assert (large["items_count"], large["difference"]) == (0, None)

    paid(stripe, "lost", 50, transaction("top", "tu_1", 50, 0, "topup", "topup"))
    path = f"/v1/payment-connections/{await books.stripe_connection()}/reconciliations"
    await books.post(path, {"since": (NOW - timedelta(days=3)).isoformat()}, expect=202)
    (lost,) = await shown(books, payout_ref=names["lost"])
    assert (lost["state"], await items(books, lost)) == ("reconciled", {("other", "txn_top"): "matched"})


async def test_without_a_key_the_amount_is_known(world: World) -> None:
    await world.stripe_sends(payout("one", "paid", 2397))
    (one,) = await shown(world)
    assert (one["amount"]["amount"], one["items_count"], one["difference"]) == (2397, 0, None)


def test_strange_payouts_change_nothing() -> None:
    for changes in ({"amount": "1"}, {"amount": True}, {"currency": "xxx"}, {"arrival_date": None}, {"id": 5}):
        event = payout("one", "paid", 1)
        event["data"]["object"] |= changes
        assert StripeProvider().interpret(event).ignored in {"bad_amount", "no_reference"}
    assert payouts.follow_ups([]) == payouts.follow_ups({"type": "payout.paid"}) == ()
