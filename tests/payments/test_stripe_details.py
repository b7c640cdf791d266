"""Stripe: plans, payers, methods, reasons, our own metadata, and the samples."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crm_api.kit.money import Money
from crm_api.payments.providers import STRIPE
from crm_api.payments.providers.stripe.samples import _DONORS
from tests.payments.stripe_world import NOW, event, payment, plan

UUID = "0192f0c1-2a3b-7c4d-8e5f-0123456789ab"


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("incomplete", "pending"), ("trialing", "active"), ("active", "active"), ("past_due", "past_due"),
        ("unpaid", "past_due"), ("paused", "paused"), ("canceled", "canceled"), ("incomplete_expired", "canceled"),
        ("brand_new", None), (None, None),
    ],
)  # fmt: skip
def test_plan_status(status: str | None, expected: str | None) -> None:
    found = plan("customer.subscription.updated", status=status)
    assert found.status == expected
    assert found.whole
    assert plan("customer.subscription.deleted", status=status).status == "canceled"


def test_plan_terms() -> None:
    found = plan("customer.subscription.created", after=60)
    assert found.amount is not None
    assert (found.frequency_unit, found.frequency_interval, found.whole) == ("month", 1, True)
    assert found.stated_at == NOW + timedelta(seconds=60)
    assert found.started_at == found.stated_at
    assert plan("customer.subscription.created", after=60, start_date=None).started_at == NOW
    ending = plan("customer.subscription.updated", status="active", cancel_at_period_end=True)
    assert (ending.status, ending.next_date, ending.ended_at) == ("active", None, None)
    ended = plan("customer.subscription.deleted", after=90)
    assert (ended.next_date, ended.ended_at) == (None, NOW + timedelta(seconds=90))
    assert (
        plan("customer.subscription.updated", status="active", pause_collection={"behavior": "void"}).status == "paused"
    )
    assert plan("customer.subscription.paused", status=None).status == "paused"
    assert plan("customer.subscription.resumed").status == "active"

    def item(amount: Any, unit: str = "month", currency: str = "usd", quantity: Any = 1) -> dict[str, Any]:
        price = {"unit_amount": amount, "currency": currency, "recurring": {"interval": unit, "interval_count": 1}}
        return {"price": price, "quantity": quantity}

    def cost(*items: Any) -> Money | None:
        return plan("customer.subscription.created", items={"data": list(items)}).amount

    assert cost(item(500), item(200, quantity=2)) == Money(900, "USD")
    assert cost(item(500), item(200, currency="eur")) is None
    assert cost(item(500), item(200, unit="year")) is None
    assert (
        cost(item(None))
        is cost(item(500, unit="fortnight"))
        is cost(item(0))
        is cost(item(5, quantity=-1))
        is cost()
        is None
    )


def test_payers_by_rank() -> None:
    ranks = {
        kind: payment(kind).payer.rank for kind in ("checkout.session.completed", "charge.succeeded", "invoice.paid")
    }
    assert list(ranks.values()) == [40, 30, 20]
    assert payment("payment_intent.succeeded").payer.rank == 10
    found = payment(
        "checkout.session.completed", customer_details={"name": "  Ольга \n Шевченко ", "email": "o@x.ua"}
    ).payer
    assert (found.name, found.email) == ("Ольга Шевченко", "o@x.ua")
    nobody = payment("charge.succeeded", billing_details=None, customer="cus_1").payer
    assert (nobody.rank, nobody.customer_ref) == (0, "cus_1")
    assert payment("charge.succeeded", billing_details={}, receipt_email="r@x.ge").payer.email == "r@x.ge"
    assert payment("checkout.session.completed", customer_details=None, customer_email="c@x.ge").payer.email == "c@x.ge"
    hostile = {"name": "a\x00b", "email": "not an address", "address": {"country": "United Kingdom", "city": "\ud800"}}
    assert payment("charge.succeeded", billing_details=hostile).payer.name is None


@pytest.mark.parametrize(
    ("changes", "language"),
    [
        ({"locale": "auto", "metadata": {}}, None),
        ({"locale": "pt_BR", "metadata": {}}, "pt-BR"),
        ({"locale": "en", "metadata": {"language": "uk"}}, "uk"),
        ({"locale": None, "metadata": {}, "customer": {"id": "cus_1", "preferred_locales": ["ka", "en"]}}, "ka"),
        ({"locale": "<script>", "metadata": "x"}, None),
    ],
)
def test_language(changes: dict[str, Any], language: str | None) -> None:
    assert payment("checkout.session.completed", **changes).payer.language == language


def test_our_own_words_come_back() -> None:
    tags = {"crm_contact_id": UUID.upper(), "gift_id": UUID, "campaign": "winter", "fund": "roofs"}
    for kind in ("payment_intent.succeeded", "charge.succeeded", "checkout.session.completed"):
        found = payment(kind, metadata=tags)
        assert (found.contact_id, found.gift_id, found.campaign_code, found.fund_code) == (
            UUID,
            UUID,
            "winter",
            "roofs",
        )
    assert payment("checkout.session.completed", client_reference_id=UUID).gift_id == UUID
    assert payment("checkout.session.completed", client_reference_id="D-1001").gift_id is None
    assert payment("charge.succeeded", metadata={"contact_id": "17", "campaign": ""}).contact_id is None
    nested = {"parent": {"subscription_details": {"subscription": "sub_1", "metadata": tags}}}
    assert payment("invoice.paid", metadata={"campaign": "nearer"}, **nested).campaign_code == "nearer"
    assert payment("invoice.paid", **nested).fund_code == "roofs"
    assert payment("invoice.paid", parent=None, subscription_details={"metadata": tags}).contact_id == UUID


def test_only_the_first_invoice_of_a_plan_is_its_checkouts() -> None:
    """A plan's metadata come back with every invoice: were each taken for the same gift, money would be lost."""
    tags = {"crm_checkout_id": UUID, "crm_gift_id": UUID}
    nested: dict[str, Any] = {"parent": {"subscription_details": {"subscription": "sub_1", "metadata": tags}}}
    assert payment("invoice.paid", billing_reason="subscription_create", **nested).gift_id == UUID
    for reason in ("subscription_cycle", "subscription_update", "manual", None):
        assert payment("invoice.paid", billing_reason=reason, **nested).gift_id is None


@pytest.mark.parametrize(
    ("details", "method"),
    [
        ({"type": "card", "card": {"wallet": None}}, "card"),
        ({"type": "card", "card": {"wallet": {"type": "link"}}}, "wallet"),
        ({"type": "card"}, "card"),
        ({"type": "paypal"}, "wallet"),
        ({"type": "cashapp"}, "wallet"),
        ({"type": "link"}, "wallet"),
        ({"type": "sepa_debit"}, "bank_transfer"),
        ({"type": "us_bank_account"}, "bank_transfer"),
        ({"type": "customer_balance"}, "bank_transfer"),
        ({"type": "klarna"}, "other"),
        ({"type": []}, "other"),
        (None, "other"),
    ],
)
def test_method(details: Any, method: str) -> None:
    assert payment("charge.succeeded", payment_method_details=details).method == method
    assert payment("payment_intent.succeeded", payment_method_types=["card", "link"]).method == "other"


def test_reasons_are_codes() -> None:
    assert payment("payment_intent.payment_failed").entries[0].reason == "insufficient_funds"
    error = {"code": "card_declined", "message": "Olena's card"}
    assert payment("payment_intent.payment_failed", last_payment_error=error).entries[0].reason == "card_declined"
    assert payment("payment_intent.payment_failed", last_payment_error={"code": "Olena K"}).entries[0].reason is None
    assert payment("charge.failed").entries[0].reason == "insufficient_funds"
    assert payment("charge.failed", failure_code="expired_card").entries[0].reason == "expired_card"
    assert payment("refund.failed").entries[0].reason == "expired_or_canceled_card"
    assert payment("charge.dispute.created").entries[0].reason == "fraudulent"


def test_fee_only_in_the_currency_of_the_gift() -> None:
    currency = event("charge.succeeded")["data"]["object"]["currency"]
    booked = {"id": "txn_1", "fee": 300, "currency": currency, "created": int(NOW.timestamp()) + 3}
    fee = payment("charge.updated", balance_transaction=booked).entries[-1]
    assert (fee.kind, fee.ref, fee.occurred_at) == ("fee", "txn_1", NOW + timedelta(seconds=3))
    other = payment("charge.updated", balance_transaction={**booked, "currency": "chf"})
    assert [entry.kind for entry in other.entries] == ["charge"]


@settings(deadline=None)
@given(st.text(max_size=20))
def test_samples_of_one_seed_are_one_payment(seed: str) -> None:
    again = STRIPE.sample("charge.succeeded", now=NOW, seed=seed)
    assert again == STRIPE.sample("charge.succeeded", now=NOW, seed=seed)
    kinds = (
        "payment_intent.succeeded",
        "charge.refunded",
        "checkout.session.completed",
        "invoice_payment.paid",
        "invoice.paid",
    )
    found = [STRIPE.interpret(STRIPE.sample(kind, now=NOW, seed=seed)).payment for kind in ("charge.succeeded", *kinds)]
    assert all(found)
    linked = set(found[0].refs if found[0] else ())
    assert all(linked & set(each.refs) for each in found[1:5] if each)
    amounts = {each.amount for each in found if each and each.amount}
    assert len(amounts) == 1


def test_samples_speak_several_scripts() -> None:
    assert len(_DONORS) >= 10
    names = {
        STRIPE.sample("charge.succeeded", now=NOW, seed=str(n))["data"]["object"]["billing_details"]["name"]
        for n in range(300)
    }
    assert len(names) == len(_DONORS)
    body = STRIPE.sample("charge.succeeded", now=NOW, seed="1")
    assert body["livemode"] is False
