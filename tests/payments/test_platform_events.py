"""What Donorbox, GoFundMe Pro, Givebutter and the generic source say; and that nothing anybody sends makes them fall."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crm_api.donations.gifts.balances import derive
from crm_api.kit.money import Money
from crm_api.payments.inbox.scrub import scrub
from crm_api.payments.provider import CannotSign, Interpretation, PaymentOutcome, SignatureInvalid
from crm_api.payments.providers import PROVIDERS
from crm_api.payments.providers.exact import decimal, moment, parse_exact
from crm_api.payments.providers.seeds import Seed
from tests.support.effort import examples

NOW = datetime(2026, 5, 4, 10, 0, tzinfo=UTC)
MINE = ("paypal", "donorbox", "gofundme_pro", "givebutter", "generic")
SAMPLES = {
    "paypal": ["PAYMENT.CAPTURE.COMPLETED", "PAYMENT.SALE.COMPLETED", "CUSTOMER.DISPUTE.CREATED"],
    "donorbox": ["donation.new", "donation.update", "plan"],
    "gofundme_pro": ["transaction.created", "transaction.updated", "recurring_donation_plan.updated"],
    "givebutter": ["transaction.succeeded", "transaction.refunded"],
    "generic": ["payment.succeeded", "payment.refunded", "payment.disputed", "plan.updated"],
}
SECRETS = {
    "donorbox": "donorbox-secret",
    "gofundme_pro": "whsec_Zml4dHVyZS1vcGVuLXNlY3JldC0yNGJ5",
    "givebutter": "givebutter-secret",
    "generic": "whsec_Zml4dHVyZS1vcGVuLXNlY3JldC0yNGJ5",
}


def sample(provider: str, kind: str, **changes: Any) -> Any:
    """A sample event, its data changed."""
    found = PROVIDERS[provider].sample(kind, now=NOW, seed="events")
    found.get("data", found).update(changes)
    return found


def said(provider: str, kind: str, *, received_at: datetime = NOW, **changes: Any) -> Interpretation:
    return PROVIDERS[provider].interpret_at(sample(provider, kind, **changes), received_at=received_at)


def payment(provider: str, kind: str, **changes: Any) -> PaymentOutcome:
    found = said(provider, kind, **changes)
    assert found.payment is not None, found.ignored
    return found.payment


# Nothing falls

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@st.composite
def broken(draw: st.DrawFn) -> tuple[str, Any]:
    """A sample with some of its members replaced by anything."""
    provider = draw(st.sampled_from(MINE))
    payload = PROVIDERS[provider].sample(draw(st.sampled_from(SAMPLES[provider])), now=NOW, seed="broken")
    places = [(payload, name) for name in payload]
    for _, name in list(places):
        if isinstance(payload[name], dict):
            places += [(payload[name], inner) for inner in payload[name]]
    for _ in range(draw(st.integers(1, 3))):
        holder, name = draw(st.sampled_from(places))
        holder[name] = draw(JSON)
    return provider, payload


@settings(max_examples=examples(40), deadline=None)
@given(broken())
def test_a_strange_payload_is_understood_or_ignored(case: tuple[str, Any]) -> None:
    provider, payload = PROVIDERS[case[0]], case[1]
    for found in (provider.interpret(payload), provider.interpret_at(payload, received_at=NOW)):
        assert found.ignored or found.payment or found.plan
        for one in (found, *found.also):
            if one.payment is not None:
                derive(one.payment.entries)
                assert all(one.payment.refs)
                assert all(entry.amount is None or entry.amount >= 0 for entry in one.payment.entries)
    for step in provider.follow_ups(payload):
        assert "\x00" not in step.ref


@settings(max_examples=examples(50), deadline=None)
@given(st.sampled_from(MINE), st.binary(max_size=40) | JSON.map(lambda value: json.dumps(value).encode()))
def test_any_bytes_have_an_envelope_and_are_parsed_or_refused(name: str, body: bytes) -> None:
    provider = PROVIDERS[name]
    envelope = provider.envelope(body)
    assert envelope.event_id
    assert "\x00" not in envelope.event_type
    try:
        payload = provider.parse(body)
    except ValueError:
        return
    found = provider.interpret(payload)
    assert found.ignored or found.payment or found.plan


def test_an_unknown_sample_lists_the_known_ones_and_paypal_cannot_be_imitated() -> None:
    for name in MINE:
        with pytest.raises(KeyError, match="known are: "):
            PROVIDERS[name].sample("nothing", now=NOW, seed="s")
    with pytest.raises(CannotSign, match="sandbox"):
        PROVIDERS["paypal"].signed({}, {}, now=NOW)


def test_exact_reading() -> None:
    assert parse_exact(b'{"a": 10.50}')["a"] == decimal("10.50")
    for bad in (b"\xff", b"[" * 100_000, b'{"a": Infinity}', b"", b'\xef\xbb\xbf{"a":1}'):
        with pytest.raises(ValueError, match=r"."):
            parse_exact(bad)
    assert decimal(parse_exact(b"1e999999999")) is None
    assert moment("2026-05-04T12:00:00.999+0200") == NOW
    for bad_time in ("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "soon", 5, None):
        assert moment(bad_time) is None


# Signatures


@pytest.mark.parametrize("name", sorted(SECRETS))
async def test_the_provider_s_own_signature_fits_and_an_earlier_secret_s_too(name: str) -> None:
    provider, secret = PROVIDERS[name], SECRETS[name]
    sent = provider.signed(sample(name, SAMPLES[name][0]), {"secret": secret}, now=NOW)
    other = {"secret": f"{secret[:-4]}AAAA"}

    async def refused(*accounts: dict[str, str], now: datetime = NOW) -> str:
        try:
            await provider.check(sent, accounts, now=now, outside=None)  # type: ignore[arg-type]
        except SignatureInvalid as error:
            return error.code
        return ""

    assert await refused({"secret": secret}) == ""
    assert await refused(other, {"secret": secret}) == ""
    assert await refused(other) == "signature_mismatch"
    if name != "givebutter":
        assert await refused({"secret": secret}, now=NOW + timedelta(days=2)) == "timestamp_expired"
        assert await refused({"secret": secret}, now=NOW - timedelta(minutes=6)) == "timestamp_expired"
    if name in ("generic", "gofundme_pro"):
        assert await refused({"secret": secret}, now=NOW + timedelta(seconds=300)) == ""
        assert await refused({"secret": secret}, now=NOW + timedelta(seconds=301)) == "timestamp_expired"


# Donorbox


def test_donorbox_tells_a_donation_as_it_stands() -> None:
    new = payment("donorbox", "donation.new", designation="roofs", anonymous_donation=True)
    charge = str(sample("donorbox", "donation.new")["stripe_charge_id"])
    assert new.twins == (f"stripe:{charge}",)
    assert new.refs[1:] == new.twins
    assert (new.is_anonymous, new.fund_code, new.source) == (True, "roofs", {"utm_source": "newsletter"})
    later = NOW + timedelta(days=3)
    back = payment("donorbox", "donation.update", received_at=later)
    state = derive([*new.entries, *back.entries])
    assert (state.status, state.fee, state.refunded_at) == ("refunded", 59, later)
    half = payment("donorbox", "donation.update", amount="10.0", amount_refunded="2.5")
    assert derive(half.entries).refunded == 250


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"status": "who_knows"}, "unknown_status"),
        ({"amount": "12.345"}, "bad_amount"),
        ({"amount": "-1"}, "bad_amount"),
        ({"amount": "0.0"}, "no_money"),
        ({"amount_refunded": "x"}, "bad_amount"),
        ({"currency": "XXX"}, "bad_amount"),
        ({"id": None}, "no_reference"),
        ({"donation_date": "yesterday"}, "no_reference"),
    ],
)
def test_what_donorbox_cannot_mean(changes: dict[str, Any], reason: str) -> None:
    assert said("donorbox", "donation.new", **changes).ignored == reason


def test_donorbox_plans_and_several_items_in_one_delivery() -> None:
    plan = said("donorbox", "plan").plan
    assert plan is not None
    assert (plan.status, plan.frequency_unit, plan.whole) == ("active", "month", False), "its currency is not printed"
    euros = said("donorbox", "plan", formatted_amount="€10", amount="10.0").plan
    assert euros is not None
    assert (euros.amount, euros.whole) == (Money(1000, "EUR"), True)
    both = PROVIDERS["donorbox"].interpret([sample("donorbox", "donation.new"), sample("donorbox", "plan"), 5])
    assert both.payment is not None
    assert [one.plan is not None for one in both.also] == [True]


# GoFundMe Pro


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("success", "succeeded"),
        ("pending", "pending"),
        ("failed", "failed"),
        ("canceled", "canceled"),
        ("voided", "canceled"),
        ("refunded", "refunded"),
        ("cb_initiated", "disputed"),
        ("cb_lost", "charged_back"),
    ],
)
def test_gofundme_pro_statuses(status: str, expected: str) -> None:
    assert derive(payment("gofundme_pro", "transaction.updated", status=status).entries).status == expected


def test_gofundme_pro_counts_what_was_paid_and_no_test() -> None:
    paid = payment("gofundme_pro", "transaction.created", raw_total_gross_amount=900.0, raw_currency_code="UAH")
    assert paid.amount == Money(90000, "UAH")
    assert derive(paid.entries).fee == 0, "the fee is in another currency"
    body = json.dumps(sample("gofundme_pro", "transaction.created", status="test")).encode()
    assert PROVIDERS["gofundme_pro"].envelope(body).mode == "test"
    assert said("gofundme_pro", "transaction.created", status="incomplete").ignored == "abandoned"
    covered = payment("gofundme_pro", "transaction.created", charged_fees_amount=1.25)
    assert covered.donor_covered_fee == 125


@pytest.mark.parametrize(
    ("status", "expected"),
    [("failing", "past_due"), ("failed", "canceled"), ("paused", "paused"), ("ended", "completed"), ("odd", None)],
)
def test_gofundme_pro_plans(status: str, expected: str | None) -> None:
    plan = said("gofundme_pro", "recurring_donation_plan.updated", status=status).plan
    assert plan is not None
    assert (plan.status, plan.whole) == (expected, True)


# Givebutter


def test_givebutter_in_both_frames() -> None:
    used = payment("givebutter", "transaction.succeeded", amount=50.0, fee=1.75)
    assert (used.amount, used.donor_covered_fee, used.campaign_code) == (Money(5000, "USD"), 175, "WINTER")
    event = sample("givebutter", "transaction.succeeded", amount=5000, fee=175)
    event |= {"type": event.pop("event"), "id": "evt_1", "created_at": "2026-05-04T10:00:00Z"}
    announced = PROVIDERS["givebutter"].interpret(event)
    assert announced.payment is not None
    assert announced.payment.amount == used.amount
    assert derive(announced.payment.entries) == derive(used.entries)


def test_givebutter_dates_what_it_does_not_date_by_its_delivery() -> None:
    event = sample("givebutter", "transaction.succeeded")
    del event["data"]["created_at"]
    found = PROVIDERS["givebutter"].interpret_at(event, received_at=NOW + timedelta(hours=1))
    assert found.payment is not None
    assert found.payment.occurred_at == NOW + timedelta(hours=1)
    assert derive(payment("givebutter", "transaction.refunded").entries).status == "refunded"
    part = payment("givebutter", "transaction.refunded", amount=50.0, refunded_amount=20.0)
    assert derive(part.entries).refunded == 2000


# The generic source


def test_a_generic_payment_with_everything_in_it() -> None:
    found = payment(
        "generic",
        "payment.succeeded",
        donor_covered_fee={"amount": 30, "currency": "USD"},
        processor={"provider": "stripe", "id": "ch_1"},
        source={"utm_source": "letter", "source_code": "L1"},
        plan_id="PLAN-1",
        is_anonymous=True,
    )
    assert found.twins == ("stripe:ch_1",)
    assert (found.donor_covered_fee, found.plan_ref, found.is_anonymous) == (30, "PLAN-1", True)
    assert found.source == {"utm_source": "letter", "source_code": "L1"}
    assert found.payer.email is not None
    assert derive(found.entries).fee == 50
    hinted = sample("generic", "payment.succeeded", hint="Ivan, for the roof")
    del hinted["data"]["payer"]
    told = PROVIDERS["generic"].interpret(hinted).payment
    assert told is not None
    assert (told.needs_matching, told.hint) == (True, "Ivan, for the roof")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"amount": {"amount": 0, "currency": "USD"}}, "/data/amount/amount: "),
        ({"amount": {"amount": 12.5, "currency": "USD"}}, "/data/amount/amount: "),
        ({"amount": {"amount": 2**53, "currency": "USD"}}, "/data/amount/amount: "),
        ({"amount": {"amount": 5, "currency": "usd"}}, "/data/amount/currency: "),
        ({"payment_id": "with space"}, "/data/payment_id: "),
        ({"payer": {"email": "somebody's secret address"}}, "/data/payer/email: "),
        ({"surprise": 1}, "/data/surprise: There is no such member here. Known are: payment_id"),
        ({"fee": {"amount": 5, "currency": "EUR"}}, "/data/fee/currency: Give it in the currency of the payment."),
    ],
)
def test_what_is_wrong_with_a_body_is_said_by_its_place_and_without_its_content(
    changes: dict[str, Any], reason: str
) -> None:
    found = said("generic", "payment.succeeded", **changes)
    assert found.payment is None
    assert found.ignored is not None
    assert found.ignored.startswith(reason)
    assert "secret" not in found.ignored


def test_a_missing_member_and_an_unknown_type_of_a_generic_event() -> None:
    event = sample("generic", "payment.refunded")
    del event["data"]["refund_id"], event["timestamp"]
    reason = PROVIDERS["generic"].interpret(event).ignored or ""
    assert "/timestamp: Field required." in reason
    assert "/data/refund_id: Field required." in reason
    assert PROVIDERS["generic"].interpret({"type": "donation.succeeded"}).ignored == "unknown_type"
    assert PROVIDERS["generic"].interpret([1]).ignored == "malformed"
    assert PROVIDERS["generic"].envelope(b'{"mode":"test"}').mode == "test"


# Erasure


@pytest.mark.parametrize(
    ("provider", "kind"),
    [(name, kind) for name in MINE for kind in SAMPLES[name] if kind != "CUSTOMER.DISPUTE.CREATED"],
)
def test_a_stub_means_the_same_without_the_person(provider: str, kind: str) -> None:
    event = sample(provider, kind)
    body = json.dumps([event] if provider == "donorbox" else event).encode()
    stub = scrub(body)
    assert stub is not None
    assert scrub(stub) == stub
    before, after = (
        PROVIDERS[provider].interpret_at(PROVIDERS[provider].parse(one), received_at=NOW) for one in (body, stub)
    )
    if before.payment is not None:
        assert after.payment is not None, after.ignored
        assert (after.payment.refs, after.payment.entries) == (before.payment.refs, before.payment.entries)
        assert after.payment.payer.email is after.payment.payer.name is after.payment.payer.customer_ref is None
    if before.plan is not None:
        assert after.plan is not None
        assert (after.plan.ref, after.plan.status) == (before.plan.ref, before.plan.status)
        assert after.plan.customer_ref is None
    person = Seed("events", NOW)
    for trace in (person.email, person.given, person.family, person.city, str(person.number("donor"))):
        assert trace not in stub.decode()
