"""Stripe: payments looked up over the REST API, against a stand-in for Stripe."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from crm_api.donations.gifts.balances import derive
from crm_api.payments.provider import Interpretation
from crm_api.payments.providers import STRIPE

MADE = datetime(2026, 5, 4, 10, 0, tzinfo=UTC)
ASKED = datetime(2026, 5, 6, 9, 30, tzinfo=UTC)
KEY = {"api_key": "rk_test_abc"}


def obj(event_type: str, **changes: Any) -> dict[str, Any]:
    """The object of a sample event, made at `MADE`."""
    found: dict[str, Any] = STRIPE.sample(event_type, now=MADE, seed="fetch")["data"]["object"]
    return {**found, **changes}


INTENT = obj("payment_intent.succeeded")
CHARGE = obj("charge.succeeded")
CHARGE["balance_transaction"] = {"id": "txn_1", "fee": 70, "currency": CHARGE["currency"], "created": CHARGE["created"]}
INVOICE = obj("invoice.paid")
JOIN = obj("invoice_payment.paid")


class FakeStripe:
    """Answers GETs from a table of paths and notes what was asked."""

    def __init__(self, answers: dict[str, Any], status: int = 404, headers: dict[str, str] | None = None) -> None:
        self.answers, self.status, self.headers = answers, status, headers or {}
        self.asked: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        date = {"date": ASKED.strftime("%a, %d %b %Y %H:%M:%S GMT")}
        if request.url.path in self.answers:
            return httpx.Response(200, json=self.answers[request.url.path], headers=date)
        return httpx.Response(self.status, json={"error": {}}, headers=self.headers)

    async def fetch(self, ref: str, credentials: dict[str, str] | None = None) -> list[Interpretation]:
        transport = httpx.MockTransport(self)
        async with httpx.AsyncClient(transport=transport, base_url="https://api.stripe.com") as client:
            return await STRIPE.fetch_payment(client, KEY if credentials is None else credentials, ref)


def balance_of(found: list[Interpretation]) -> Any:
    return derive([entry for each in found if each.payment for entry in each.payment.entries])


async def test_a_one_off_payment_with_its_fee() -> None:
    stripe = FakeStripe({f"/v1/payment_intents/{INTENT['id']}": {**INTENT, "latest_charge": CHARGE}})
    found = await stripe.fetch(INTENT["id"])
    balance = balance_of(found)
    assert balance.status == "succeeded"
    assert balance.received_at == MADE
    assert balance.fee > 0
    assert all(each.payment and each.payment.creates and each.payment.refs[0] == INTENT["id"] for each in found)
    first = stripe.asked[0]
    assert first.headers["authorization"] == "Bearer rk_test_abc"
    assert first.url.params.get_list("expand[]") == ["latest_charge.balance_transaction"]
    assert dict(stripe.asked[1].url.params) == {
        "payment[type]": "payment_intent",
        "payment[payment_intent]": INTENT["id"],
    }


async def test_what_is_fetched_and_what_was_delivered_are_the_same_statements() -> None:
    """Fetching after the events adds nothing to them but the refund total as of now."""
    stripe = FakeStripe({f"/v1/payment_intents/{INTENT['id']}": {**INTENT, "latest_charge": CHARGE}})
    fetched = {entry.key for each in await stripe.fetch(INTENT["id"]) if each.payment for entry in each.payment.entries}
    events = [STRIPE.sample(kind, now=MADE, seed="fetch") for kind in ("payment_intent.succeeded", "charge.succeeded")]
    delivered = {
        entry.key
        for event in events
        for entry in (STRIPE.interpret(event).payment or pytest.fail("no payment")).entries
    }
    assert delivered < fetched
    assert {key.partition(":")[0] for key in fetched - delivered} == {"fee", "refunded_total"}


async def test_a_recurring_payment_brings_its_invoice_first() -> None:
    stripe = FakeStripe(
        {
            f"/v1/payment_intents/{INTENT['id']}": {**INTENT, "latest_charge": CHARGE},
            "/v1/invoice_payments": {"object": "list", "data": [JOIN]},
            f"/v1/invoices/{INVOICE['id']}": INVOICE,
        }
    )
    found = await stripe.fetch(INTENT["id"])
    assert found[0].payment is not None
    assert found[0].payment.refs[0] == INVOICE["id"]
    assert found[0].plan is not None
    assert found[0].plan.stated_at == MADE  # not the time of asking: the plan may have ended since
    assert found[1].payment is not None
    assert found[1].payment.joins
    assert balance_of(found).status == "succeeded"


async def test_a_charge_alone_and_one_of_an_invoice() -> None:
    alone = FakeStripe({f"/v1/charges/{CHARGE['id']}": {**CHARGE, "payment_intent": None}})
    found = await alone.fetch(CHARGE["id"])
    assert [each.payment.refs for each in found if each.payment] == [(CHARGE["id"],)]
    assert [one.url.path for one in alone.asked] == [f"/v1/charges/{CHARGE['id']}", "/v1/refunds"], "no invoice"
    billed = FakeStripe(
        {
            f"/v1/charges/{CHARGE['id']}": CHARGE,
            "/v1/invoice_payments": {"data": [JOIN]},
            f"/v1/invoices/{INVOICE['id']}": INVOICE,
        }
    )
    found = await billed.fetch(CHARGE["id"])
    assert [each.payment.refs[0] for each in found if each.payment] == [INVOICE["id"], INVOICE["id"], INTENT["id"]]


async def test_a_refund_that_failed_unseen_is_corrected() -> None:
    """The running total counts as of now even when it is zero again."""
    delivered = STRIPE.interpret(STRIPE.sample("charge.refunded", now=MADE, seed="fetch"))
    stripe = FakeStripe({f"/v1/charges/{CHARGE['id']}": CHARGE})
    assert balance_of([delivered]).status == "refunded"
    assert balance_of([delivered, *await stripe.fetch(CHARGE["id"])]).status == "succeeded"


async def test_an_invoice_with_its_payments() -> None:
    stripe = FakeStripe({f"/v1/invoices/{INVOICE['id']}": {**INVOICE, "payments": {"data": [JOIN]}}})
    found = await stripe.fetch(INVOICE["id"])
    assert [each.payment.refs for each in found if each.payment] == [(INVOICE["id"], INTENT["id"])]
    assert stripe.asked[0].url.params.get_list("expand[]") == ["payments"]
    unpaid = FakeStripe({f"/v1/invoices/{INVOICE['id']}": obj("invoice.payment_failed")})
    assert await unpaid.fetch(INVOICE["id"]) == []


async def test_a_checkout_session() -> None:
    session = obj("checkout.session.completed")
    stripe = FakeStripe({f"/v1/checkout/sessions/{session['id']}": session})
    found = await stripe.fetch(session["id"])
    assert balance_of(found).status == "succeeded"
    left = FakeStripe({f"/v1/checkout/sessions/{session['id']}": {**session, "status": "open"}})
    assert await left.fetch(session["id"]) == []


@pytest.mark.parametrize(
    ("event_type", "changes", "status"),
    [
        ("payment_intent.payment_failed", {}, "failed"),
        ("payment_intent.payment_failed", {"last_payment_error": None}, None),
        ("payment_intent.processing", {}, "pending"),
        ("payment_intent.processing", {"status": "requires_action"}, "pending"),
        ("payment_intent.canceled", {}, "canceled"),
        ("payment_intent.canceled", {"status": "never_seen"}, None),
    ],
)
async def test_unfinished_intents(event_type: str, changes: dict[str, Any], status: str | None) -> None:
    stripe = FakeStripe({f"/v1/payment_intents/{INTENT['id']}": obj(event_type, **changes)})
    found = await stripe.fetch(INTENT["id"])
    assert (balance_of(found).status if found else None) == status


async def test_a_state_as_of_now_has_stripes_time_of_the_answer() -> None:
    stripe = FakeStripe({f"/v1/payment_intents/{INTENT['id']}": obj("payment_intent.processing")})
    (found,) = await stripe.fetch(INTENT["id"])
    assert found.payment is not None
    assert found.payment.occurred_at == ASKED


async def test_an_old_failed_charge_does_not_outdate_a_newer_attempt() -> None:
    failed = FakeStripe({f"/v1/charges/{CHARGE['id']}": obj("charge.failed")})
    (found,) = await failed.fetch(CHARGE["id"])
    assert found.payment is not None
    assert found.payment.occurred_at == MADE


@pytest.mark.parametrize(
    "ref", ["re_1", "dp_1", "", "pi_", "pi_1/../../secrets", "in_1?x=1", "pi_ї", "https://evil.example", "pi_1\n"]
)
async def test_other_refs_are_not_asked_for(ref: str) -> None:
    stripe = FakeStripe({})
    assert await stripe.fetch(ref) == []
    assert stripe.asked == []


async def test_without_a_key_nothing_is_asked() -> None:
    stripe = FakeStripe({})
    assert await stripe.fetch("pi_1", {}) == []
    assert stripe.asked == []


@pytest.mark.parametrize("ref", ["pi_1", "ch_1", "py_1", "in_1", "cs_1"])
async def test_unknown_to_stripe(ref: str) -> None:
    assert await FakeStripe({}).fetch(ref) == []


@pytest.mark.parametrize(
    ("status", "advice", "retry"),
    [
        (500, None, True),
        (503, None, True),
        (409, None, True),
        (429, None, True),
        (400, None, False),
        (401, None, False),
        (403, None, False),
        (500, "false", False),
        (409, "false", False),
        (400, "true", True),
        (402, "maybe", False),
    ],
)
async def test_trouble(status: int, advice: str | None, retry: bool) -> None:
    stripe = FakeStripe({}, status, {"stripe-should-retry": advice} if advice else {})
    if retry:
        with pytest.raises(httpx.HTTPStatusError):
            await stripe.fetch("pi_1")
    else:
        assert await stripe.fetch("pi_1") == []


async def test_an_answer_that_is_no_json_is_worth_a_retry() -> None:
    async with httpx.AsyncClient(
        transport=httpx.MockTransport(lambda _: httpx.Response(200, content=b"<html>")),
        base_url="https://api.stripe.com",
    ) as client:
        with pytest.raises(httpx.HTTPError):
            await STRIPE.fetch_payment(client, KEY, "pi_1")


@pytest.mark.parametrize("answer", [[], "x", 5, {}, {"latest_charge": "ch_1"}, {"status": ["succeeded"]}, {"id": 5}])
async def test_strange_objects(answer: Any) -> None:
    paths = ("/v1/payment_intents/pi_1", "/v1/charges/ch_1", "/v1/invoices/in_1", "/v1/invoice_payments")
    stripe = FakeStripe(dict.fromkeys(paths, answer))
    for ref in ("pi_1", "ch_1", "in_1"):
        assert await stripe.fetch(ref) == []
