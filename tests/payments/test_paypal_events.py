"""What PayPal's events mean."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from crm_api.donations.gifts.balances import Balance, derive
from crm_api.kit.money import Money
from crm_api.payments.provider import FollowUp, Interpretation, PaymentOutcome, PlanOutcome
from crm_api.payments.providers import PROVIDERS
from crm_api.payments.providers.paypal.reading import amount_of, mark, ours, printed

PAYPAL = PROVIDERS["paypal"]
NOW = datetime(2026, 5, 4, 10, 0, tzinfo=UTC)
UUID_OF_OURS = "0198c2f0-0000-7000-8000-000000000001"
CONTACT = "0198c2f0-0000-7000-8000-000000000002"


def event(kind: str, *, after: float = 0, drop: tuple[str, ...] = (), **changes: Any) -> Any:
    """A sample event `after` seconds, its resource changed."""
    found = PAYPAL.sample(kind, now=NOW + timedelta(seconds=after), seed="events")
    found["resource"].update(changes)
    for name in drop:
        del found["resource"][name]
    return found


def payment(kind: str, **changes: Any) -> PaymentOutcome:
    said = PAYPAL.interpret(event(kind, **changes))
    assert said.payment is not None, said.ignored
    return said.payment


def plan(kind: str, **changes: Any) -> PlanOutcome:
    said = PAYPAL.interpret(event(kind, **changes))
    assert said.plan is not None, said.ignored
    return said.plan


def balance(*said: Interpretation | PaymentOutcome) -> Balance:
    outcomes = [one.payment if isinstance(one, Interpretation) else one for one in said]
    return derive([entry for one in outcomes if one for entry in one.entries])


GROSS = payment("PAYMENT.CAPTURE.COMPLETED").entries[0].amount or 0


def test_a_capture_with_its_fee_its_order_and_our_own_marks() -> None:
    ours_ = f"crm.{UUID_OF_OURS},contact.{CONTACT},campaign.winter,fund.roofs"
    said = payment("PAYMENT.CAPTURE.COMPLETED", custom_id=ours_)
    capture, order = event("PAYMENT.CAPTURE.COMPLETED")["resource"]["id"], said.refs[1]
    assert said.refs[0] == capture
    assert order == "order:" + event("CHECKOUT.ORDER.APPROVED")["resource"]["id"]
    assert (said.creates, said.method, said.occurred_at) == (True, "wallet", NOW)
    assert (said.gift_id, said.contact_id, said.campaign_code, said.fund_code) == (
        UUID_OF_OURS,
        CONTACT,
        "winter",
        "roofs",
    )
    state = balance(said)
    assert (state.status, state.gross) == ("succeeded", GROSS)
    assert state.fee > 0
    foreign = payment("PAYMENT.CAPTURE.COMPLETED", custom_id="D-1001")
    assert (foreign.gift_id, foreign.contact_id, foreign.campaign_code) == (None, None, None)


@pytest.mark.parametrize(
    ("kind", "changes", "status"),
    [
        ("PAYMENT.CAPTURE.PENDING", {}, "pending"),
        ("PAYMENT.CAPTURE.DENIED", {}, "failed"),
        ("PAYMENT.CAPTURE.COMPLETED", {"status": "PARTIALLY_REFUNDED"}, "succeeded"),
        ("PAYMENT.CAPTURE.COMPLETED", {"status": "FAILED"}, "failed"),
        ("PAYMENT.SALE.COMPLETED", {}, "succeeded"),
        ("PAYMENT.SALE.COMPLETED", {"state": "pending"}, "pending"),
        ("PAYMENT.SALE.COMPLETED", {"state": "denied"}, "failed"),
    ],
)
def test_statuses(kind: str, changes: dict[str, Any], status: str) -> None:
    assert balance(payment(kind, **changes)).status == status


def test_a_declined_attempt_and_the_next_one_of_the_order_are_one_payment() -> None:
    declined = payment("PAYMENT.CAPTURE.DENIED", id="9DECLINED", after=-60)
    success = payment("PAYMENT.CAPTURE.COMPLETED")
    assert set(declined.refs) & set(success.refs)
    assert balance(declined, success).status == balance(success, declined).status == "succeeded"
    assert balance(declined).failure_reason == "instrument_declined"


def test_refunds_one_by_one_and_as_a_running_total() -> None:
    half = {"currency_code": "USD", "value": f"{GROSS / 200:.2f}"}
    first = payment("PAYMENT.CAPTURE.REFUNDED", after=60, amount=half, drop=("seller_payable_breakdown",))
    assert first.refs == (event("PAYMENT.CAPTURE.COMPLETED")["resource"]["id"],)
    assert (first.creates, first.currency) == (False, "USD")
    charge = payment("PAYMENT.CAPTURE.COMPLETED")
    assert balance(charge, first).status == "partially_refunded"
    whole = payment("PAYMENT.CAPTURE.REFUNDED", after=120, id="8SECOND", amount=half)
    assert balance(charge, whole).status == "refunded", "the total tells of the one that was missed"
    assert balance(whole, first, charge).refunded == GROSS
    failed = payment("PAYMENT.CAPTURE.REFUNDED", after=180, id="8SECOND", amount=half, status="FAILED")
    assert balance(charge, first, failed).refunded == GROSS // 2
    assert balance(charge, payment("PAYMENT.CAPTURE.REVERSED")).status == "refunded"


def test_a_refund_whose_link_leads_nowhere_is_not_guessed() -> None:
    for links in ([], [{"rel": "up", "href": "https://api.paypal.com/v2/other/9X"}], None, "x"):
        assert PAYPAL.interpret(event("PAYMENT.CAPTURE.REFUNDED", links=links)).ignored == "no_reference"
    related = {"related_ids": {"capture_id": "9CAPTURE"}}
    assert payment("PAYMENT.CAPTURE.REFUNDED", links=[], supplementary_data=related).refs == ("9CAPTURE",)


def test_a_sale_is_a_charge_of_its_plan() -> None:
    said = PAYPAL.interpret(event("PAYMENT.SALE.COMPLETED", amount={"total": "10.0", "currency": "USD"}))
    assert said.payment is not None
    assert said.plan is not None
    assert said.payment.amount == Money(1000, "USD")
    assert (said.payment.plan_ref, said.plan.ref) == (said.plan.ref, plan("BILLING.SUBSCRIPTION.ACTIVATED").ref)
    assert said.plan.status == "active"
    single = PAYPAL.interpret(event("PAYMENT.SALE.COMPLETED", drop=("billing_agreement_id",)))
    assert single.plan is None
    back = payment("PAYMENT.SALE.REFUNDED", amount={"total": "-10.0", "currency": "USD"})
    assert balance(said, back).status == "refunded"
    assert balance(said, payment("PAYMENT.SALE.REFUNDED", amount={"total": "0.0", "currency": "USD"})).refunded == 0


@pytest.mark.parametrize(
    ("outcome", "status"),
    [
        ("RESOLVED_SELLER_FAVOUR", "succeeded"),
        ("CANCELED_BY_BUYER", "succeeded"),
        ("RESOLVED_WITH_PAYOUT", "succeeded"),
        ("RESOLVED_BUYER_FAVOUR", "charged_back"),
        ("ACCEPTED", "charged_back"),
    ],
)
def test_disputes(outcome: str, status: str) -> None:
    charge, opened = payment("PAYMENT.CAPTURE.COMPLETED"), payment("CUSTOMER.DISPUTE.CREATED", after=60)
    assert opened.refs == charge.refs[:1]
    assert balance(charge, opened).status == "disputed"
    ended = payment("CUSTOMER.DISPUTE.RESOLVED", after=120, dispute_outcome={"outcome_code": outcome})
    assert balance(ended, charge, opened).status == status
    unknown = event("CUSTOMER.DISPUTE.RESOLVED", dispute_outcome={"outcome_code": "WHO_KNOWS"})
    assert PAYPAL.interpret(unknown).ignored == "unknown_status"


@pytest.mark.parametrize(
    ("kind", "changes", "status"),
    [
        ("CREATED", {}, "pending"),
        ("ACTIVATED", {}, "active"),
        ("RE-ACTIVATED", {}, "active"),
        ("PAYMENT.FAILED", {}, "past_due"),
        ("PAYMENT.FAILED", {"status": "SUSPENDED"}, "paused"),
        ("UPDATED", {}, "active"),
        ("UPDATED", {"billing_info": {"failed_payments_count": 2}}, "past_due"),
        ("UPDATED", {"status": "NEW"}, None),
        ("SUSPENDED", {}, "paused"),
        ("CANCELLED", {}, "canceled"),
        ("EXPIRED", {}, "completed"),
    ],
)
def test_plans(kind: str, changes: dict[str, Any], status: str | None) -> None:
    found = plan(f"BILLING.SUBSCRIPTION.{kind}", **changes)
    assert found.status == status
    assert (found.ended_at is not None) == (status in ("canceled", "completed"))
    assert found.customer_ref == event("BILLING.SUBSCRIPTION.CREATED")["resource"]["subscriber"]["payer_id"]


def test_the_terms_of_a_plan_where_they_are_there() -> None:
    cycle = {
        "tenure_type": "REGULAR",
        "frequency": {"interval_unit": "MONTH", "interval_count": 3},
        "pricing_scheme": {"fixed_price": {"currency_code": "EUR", "value": "7.50"}},
    }
    trial = {**cycle, "tenure_type": "TRIAL", "frequency": {"interval_unit": "DAY", "interval_count": 7}}
    terms = {"billing_cycles": [trial, cycle]}
    found = plan("BILLING.SUBSCRIPTION.UPDATED", plan=terms, quantity="2")
    assert (found.amount, found.frequency_unit, found.frequency_interval) == (Money(1500, "EUR"), "month", 3)
    assert found.whole
    assert found.next_date == date(2026, 5, 4)
    assert not plan("BILLING.SUBSCRIPTION.UPDATED").whole
    nothing: dict[str, Any] = {"frequency": {}}
    never = {"frequency": {"interval_unit": "MONTH", "interval_count": 0}}
    without: dict[str, Any] = {"pricing_scheme": {}}
    for broken in (nothing, never, without):
        assert not plan("BILLING.SUBSCRIPTION.UPDATED", plan={"billing_cycles": [{**cycle, **broken}]}).whole


def test_an_approved_order_is_no_payment_and_only_our_own_is_captured() -> None:
    approved = event("CHECKOUT.ORDER.APPROVED")
    assert PAYPAL.interpret(approved).ignored == "not_captured"
    assert PAYPAL.follow_ups(approved) == (), "somebody else's order is somebody else's to capture"
    order = approved["resource"]["id"]
    approved["resource"]["purchase_units"][0]["custom_id"] = f"crm.{UUID_OF_OURS}"
    assert PAYPAL.follow_ups(approved) == (FollowUp("capture", order),)
    approved["resource"]["intent"] = "AUTHORIZE"
    assert PAYPAL.follow_ups(approved) == ()
    done = PAYPAL.interpret(event("CHECKOUT.ORDER.COMPLETED"))
    assert done.payment is not None
    assert done.payment.payer.email is not None
    assert done.payment.refs[1] == f"order:{order}"


def test_what_an_event_leaves_out_is_asked_for() -> None:
    captured = event("PAYMENT.CAPTURE.COMPLETED")
    order = captured["resource"]["supplementary_data"]["related_ids"]["order_id"]
    assert PAYPAL.follow_ups(captured) == (FollowUp("payer", order),)
    sale = event("PAYMENT.SALE.COMPLETED")["resource"]
    agreement = sale["billing_agreement_id"]
    wanted = FollowUp("subscriber", f"{sale['id']}/{agreement}")
    assert PAYPAL.follow_ups(event("PAYMENT.SALE.COMPLETED")) == (wanted,)
    single = event("PAYMENT.SALE.COMPLETED", drop=("billing_agreement_id",), parent_payment="PAYID-1")
    assert PAYPAL.follow_ups(single) == (FollowUp("old_payer", f"{sale['id']}/PAYID-1"),)
    assert PAYPAL.follow_ups(event("BILLING.SUBSCRIPTION.ACTIVATED")) == (FollowUp("plan", agreement),)
    assert PAYPAL.follow_ups(event("PAYMENT.CAPTURE.REFUNDED")) == ()
    assert PAYPAL.follow_ups({"event_type": "PAYMENT.CAPTURE.COMPLETED", "resource": {"id": "../x"}}) == ()


@pytest.mark.parametrize(
    ("value", "currency", "minor"),
    [
        ("12", "HUF", 1200),
        ("12.00", "JPY", 12),
        ("12", "TWD", 1200),
        ("0.01", "USD", 1),
        ("10.0", "EUR", 1000),
        ("1.005", "USD", None),
        ("1.5", "JPY", None),
        ("90071992547409.91", "USD", 2**53 - 1),
        ("90071992547409.92", "USD", None),
        ("1e3", "USD", None),
        ("", "USD", None),
        ("NaN", "USD", None),
        ("5", "XXX", None),
        (None, "USD", None),
        (True, "USD", None),
    ],
)
def test_amounts_are_read_exactly(value: Any, currency: str, minor: int | None) -> None:
    found = amount_of({"value": value, "currency_code": currency})
    assert (found.amount if found else None) == minor


@pytest.mark.parametrize(
    ("money", "said"),
    [
        (Money(120000, "HUF"), "1200"),
        (Money(120050, "HUF"), None),
        (Money(500, "JPY"), "500"),
        (Money(50000, "TWD"), "500"),
        (Money(1, "USD"), "0.01"),
        (Money(1230, "EUR"), "12.30"),
    ],
)
def test_amounts_are_printed_as_paypal_takes_them(money: Money, said: str | None) -> None:
    found = printed(money)
    assert (found["value"] if found else None) == said
    if found:
        assert amount_of(found) == money


def test_our_mark_holds_what_fits_and_what_paypal_takes() -> None:
    from uuid import UUID

    said = mark(UUID(UUID_OF_OURS), {"contact_id": CONTACT, "campaign_code": "зима", "fund_code": "f" * 80})
    assert len(said) <= 127
    assert (ours(said).checkout_id, ours(said).contact_id) == (UUID_OF_OURS, CONTACT)
    assert (ours(said).campaign_code, ours(said).fund_code) == (None, None)
    assert ours(mark(UUID(UUID_OF_OURS), {"campaign_code": "winter.2026"})).campaign_code == "winter.2026"


def test_the_sandbox_is_told_by_the_links_an_event_has_to_itself() -> None:
    for host, mode in (
        ("api.sandbox.paypal.com", "test"),
        ("api-m.sandbox.paypal.com", "test"),
        ("api.paypal.com", "live"),
        ("sandbox.evil.example", None),
    ):
        body = f'{{"id":"WH-1","links":[{{"href":"https://{host}/v1/x","rel":"self"}}]}}'.encode()
        assert PAYPAL.envelope(body).mode == mode
