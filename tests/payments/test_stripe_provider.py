"""Stripe: signatures, envelopes, the recorded deliveries, and that nothing strange makes it raise."""

from __future__ import annotations

import copy
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from crm_api.donations.gifts.balances import Entry, derive
from crm_api.kit.clock import from_unix
from crm_api.kit.money import MAX_MINOR, Money, exponent
from crm_api.payments.provider import Interpretation, SignatureInvalid
from crm_api.payments.providers import STRIPE
from crm_api.payments.providers.stripe.amounts import money, stripe_amount, stripe_exponent
from crm_api.payments.providers.stripe.provider import HANDLERS, StripeCredentials
from tests.support.effort import examples

FIXTURES = Path(__file__).parent.parent / "fixtures" / "stripe"

SECRET = "whsec_test_of_this_file"
NOW = datetime(2026, 5, 4, 10, 0, tzinfo=UTC)
PLAN_WORDS = {"suspended": "paused", "cancelled": "canceled"}


def load(name: str) -> dict[str, Any]:
    case: dict[str, Any] = json.loads((FIXTURES / f"{name}.json").read_text("utf-8"))
    return case


def steps(case: dict[str, Any]) -> list[dict[str, Any]]:
    """The deliveries of a case, each with `request` and `verification`."""
    if "steps" in case:
        return list(case["steps"])
    return [case] if "request" in case else []


CASES = sorted(path.stem for path in FIXTURES.glob("*.json"))
DELIVERIES = [name for name in CASES if steps(load(name))]
BODIES: list[Any] = [json.loads(step["request"]["body_raw"]) for name in DELIVERIES for step in steps(load(name))]


def verify_step(step: dict[str, Any], **changes: Any) -> None:
    check = step["verification"]
    arguments = {
        "body": step["request"]["body_raw"].encode(),
        "headers": {name.lower(): value for name, value in step["request"]["headers"].items()},
        "secrets": [check["secret"]],
        "now": from_unix(check["now"]),
    }
    STRIPE.verify(**{**arguments, **changes})


@pytest.mark.parametrize("name", DELIVERIES)
def test_recorded_signature(name: str) -> None:
    for step in steps(load(name)):
        if step["verification"]["expect_valid"]:
            verify_step(step)
        else:
            with pytest.raises(SignatureInvalid) as refused:
                verify_step(step)
            assert refused.value.code == step["verification"]["expect_error"]


@pytest.mark.parametrize("name", DELIVERIES)
def test_recorded_meaning(name: str) -> None:
    """What the fixture expects, derived from the entries; a dispute alone is given the charge it names."""
    case = load(name)
    expect = case["expect"]
    meanings = [STRIPE.interpret(json.loads(step["request"]["body_raw"])) for step in steps(case)]
    if expect.get("ignored") or (expect.get("effects") == [] and name == "thin_v2_event"):
        assert all(meaning.ignored and not meaning.payment and not meaning.plan for meaning in meanings)
    if "donation" in expect:
        check_gift(meanings, expect["donation"])
    if "donor_email" in expect:
        assert all(meaning.payment and meaning.payment.payer.email == expect["donor_email"] for meaning in meanings)
    if "plan" in expect:
        check_plan(meanings[0], expect["plan"])


def check_gift(meanings: list[Interpretation], gift: dict[str, Any]) -> None:
    payments = [meaning.payment for meaning in meanings if meaning.payment]
    assert payments
    assert all(payment.refs[0] == gift["ref"] for payment in payments)
    entries = [entry for payment in payments for entry in payment.entries]
    if not payments[0].creates:
        entries.append(Entry("charge", "the charge", from_unix(1), gift["amount_minor"]))
    balance = derive(entries)
    assert balance.status == gift["status"]
    assert balance.refunded == gift.get("refunded_minor", 0)
    assert payments[0].plan_ref == gift.get("plan_ref")
    if balance.status != "failed":
        assert balance.gross == gift["amount_minor"]
    if payments[0].creates:
        assert payments[0].amount == Money(gift["amount_minor"], gift["currency"])


def check_plan(meaning: Interpretation, expected: dict[str, Any]) -> None:
    plan = meaning.plan
    assert plan is not None
    assert plan.ref == expected["ref"]
    assert plan.status == PLAN_WORDS.get(expected["status"], expected["status"])
    if "amount_minor" in expected:
        assert plan.whole
        assert plan.amount == Money(expected["amount_minor"], expected["currency"])
        assert (plan.frequency_unit, plan.frequency_interval) == (expected["interval"], 1)


def test_currency_table() -> None:
    facts = load("reference_currencies")["data"]
    assert {code: stripe_exponent(code) for code in facts["zero_decimal"]} == dict.fromkeys(facts["zero_decimal"], 0)
    assert {code: stripe_exponent(code) for code in facts["three_decimal"]} == dict.fromkeys(facts["three_decimal"], 3)
    assert {stripe_exponent(code) for code in ("USD", "UAH", "ISK", "HUF", "TWD")} == {2}


@pytest.mark.parametrize(
    ("amount", "currency", "expected"),
    [
        (2500, "usd", Money(2500, "USD")),
        (500, "jpy", Money(500, "JPY")),
        (500, "UGX", Money(500, "UGX")),
        (10000, "isk", Money(100, "ISK")),
        (10050, "isk", None),
        (7, "mga", Money(700, "MGA")),
        (1230, "kwd", Money(1230, "KWD")),
        (120000, "huf", Money(120000, "HUF")),
        (0, "eur", Money(0, "EUR")),
        (1, "xxx", None),
        (1, "bitcoin", None),
        (1, None, None),
        (-1, "usd", None),
        (True, "usd", None),
        (1.0, "usd", None),
        ("100", "usd", None),
        (None, "usd", None),
        (MAX_MINOR, "usd", Money(MAX_MINOR, "USD")),
        (MAX_MINOR + 1, "usd", None),
        (MAX_MINOR, "mga", None),
        (10**400, "usd", None),
    ],
)
def test_money(amount: Any, currency: Any, expected: Money | None) -> None:
    assert money(amount, currency) == expected


@settings(deadline=None)
@given(st.integers(0, 10**9), st.sampled_from(("USD", "JPY", "ISK", "MGA", "KWD", "HUF", "UGX", "UAH")))
def test_money_there_and_back(whole: int, currency: str) -> None:
    value = Money(whole * 10 ** exponent(currency), currency)
    assert money(stripe_amount(value), currency.lower()) == value


BODY = '{"id":"evt_1","name":"Олена ✓"}'.encode()


def signed(**changes: Any) -> dict[str, str]:
    return STRIPE.sign(BODY, **{"secret": SECRET, "now": NOW, **changes})


def refusal(
    headers: dict[str, str], *, body: bytes = BODY, secrets: Any = (SECRET,), now: datetime = NOW
) -> str | None:
    try:
        STRIPE.verify(body=body, headers=headers, secrets=secrets, now=now)
    except SignatureInvalid as error:
        return error.code
    return None


def test_own_signature_in_its_time() -> None:
    assert refusal(signed()) is None
    assert refusal(signed(), now=NOW + timedelta(seconds=300)) is None
    assert refusal(signed(), now=NOW + timedelta(seconds=301)) == "timestamp_expired"
    assert refusal(signed(), now=NOW - timedelta(days=365)) is None  # a time ahead of ours is not refused


def test_rotation_of_secrets() -> None:
    assert refusal(signed(), secrets=["whsec_new", SECRET]) is None
    assert refusal(signed(), secrets=["whsec_new"]) == "signature_mismatch"
    assert refusal(signed(), secrets=[]) == "signature_mismatch"
    assert refusal(signed(secret=""), secrets=[""]) == "signature_mismatch"
    two = signed(secret="whsec_old")["stripe-signature"] + "," + signed()["stripe-signature"].partition(",")[2]
    assert refusal({"stripe-signature": two}) is None


def test_forgeries() -> None:
    assert refusal(signed(), body=BODY + b" ") == "signature_mismatch"
    assert refusal(signed(), body=orjson.dumps(json.loads(BODY), option=orjson.OPT_INDENT_2)) == "signature_mismatch"
    old = signed(now=NOW - timedelta(hours=1))["stripe-signature"].partition(",")[2]
    assert refusal({"stripe-signature": f"t={int(NOW.timestamp())},{old}"}) == "signature_mismatch"
    only_v0 = signed()["stripe-signature"].replace("v1=", "v0=")
    assert refusal({"stripe-signature": only_v0}) == "header_malformed"
    wrong_and_old = {"stripe-signature": "t=1,v1=00"}
    assert refusal(wrong_and_old) == "signature_mismatch"


@pytest.mark.parametrize(
    ("header", "code"),
    [
        (None, "header_missing"),
        ("", "header_missing"),
        ("  ", "header_missing"),
        ("nonsense", "header_malformed"),
        ("v1=00", "header_malformed"),
        ("t=1760000000", "header_malformed"),
        ("t=,v1=00", "header_malformed"),
        ("t=now,v1=00", "header_malformed"),
        ("t=-5,v1=00", "header_malformed"),
        ("t=１２,v1=00", "header_malformed"),
        ("t=1,t=2,v1=00", "header_malformed"),
        ("t=99999999999999999999,v1=00", "header_malformed"),
        ("t=1760000000,v1=é\udc80", "signature_mismatch"),
        ("t=1760000000,v1=", "signature_mismatch"),
    ],
)
def test_bad_headers(header: str | None, code: str) -> None:
    assert refusal({} if header is None else {"stripe-signature": header}) == code


@settings(deadline=None)
@given(st.text(), st.binary())
def test_verification_only_ever_refuses(header: str, body: bytes) -> None:
    assert refusal({"stripe-signature": header}, body=body) is not None


def test_envelope_of_recorded_events() -> None:
    frame = STRIPE.envelope(load("invoice_paid_legacy_api_version")["request"]["body_raw"].encode())
    assert (frame.event_id, frame.event_type, frame.mode) == ("evt_FxB19", "invoice.paid", "test")
    assert frame.occurred_at == from_unix(1760000000)
    thin = STRIPE.envelope(load("thin_v2_event")["request"]["body_raw"].encode())
    assert (thin.event_id, thin.mode) == ("evt_FxBThin", "live")
    assert thin.occurred_at == datetime(2022, 2, 15, 0, 27, 45, 330000, UTC)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"\xff\xfe",
        b"{",
        b"[" * 100_000,
        b'{"id": ' * 5000,
        b'{"id": 5, "type": [], "created": 1e400}',
        b'{"id": "", "created": 99999999999999999999}',
        b'{"id": "evt\\u0000", "created": "2022-13-45"}',
        b'{"id": "\\ud800"}',
        b'{"created": "0001-01-01T00:00:00+23:59", "livemode": "yes"}',
        b'{"created": NaN}',
        b'{"created": -1, "type": "\\u0007"}',
    ],
)
def test_envelope_of_rubbish(body: bytes) -> None:
    frame = STRIPE.envelope(body)
    assert frame.event_id.startswith("sha256:")
    assert frame == STRIPE.envelope(body)
    assert (frame.event_type, frame.mode, frame.occurred_at) == ("unknown", None, None)


@settings(deadline=None)
@given(st.binary())
def test_envelope_never_raises(body: bytes) -> None:
    assert STRIPE.envelope(body).event_id


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(("", "\x00", "\ud800", "pi_1", 10**30, -1, "usd", "paid", "succeeded")),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


def sound(meaning: Interpretation) -> None:
    """Whatever came in: either a reason, or entries that can be stored and add up."""
    assert (meaning.ignored is None) == bool(meaning.payment or meaning.plan or meaning.payout)
    if meaning.payment:
        assert meaning.payment.refs
        assert all(isinstance(ref, str) and ref.isascii() for ref in meaning.payment.refs)
        assert len({entry.key for entry in meaning.payment.entries}) == len(meaning.payment.entries)
        assert all(type(entry.amount) is int and 0 <= entry.amount <= MAX_MINOR for entry in meaning.payment.entries)
        derive(meaning.payment.entries)
        words = (meaning.payment.payer.name, meaning.payment.payer.email, meaning.payment.payer.city)
        assert all(word is None or ("\x00" not in word and word.encode()) for word in words)
    assert meaning.plan is None or meaning.plan.ref


@settings(deadline=None)
@given(st.sampled_from([*HANDLERS, "x"]), JSON, JSON)
def test_random_json_never_raises(kind: str, obj: Any, extra: Any) -> None:
    for payload in (obj, {"type": kind}, {"type": kind, "created": 1, "data": obj}, {"type": extra, "data": extra}):
        sound(STRIPE.interpret(payload))
    sound(
        STRIPE.interpret({"type": kind, "created": 1760000000, "data": {"object": obj, "previous_attributes": extra}})
    )


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths of all values inside `value`."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [each for name, inner in pairs for each in [(*path, name), *places(inner, (*path, name))]]


@settings(max_examples=examples(250), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_mutated_events_never_raise(data: st.DataObject) -> None:
    """Recorded and sample events with up to four values taken out, swapped for others, or sent as another type."""
    kinds = list(HANDLERS)
    whole = [*BODIES, *(STRIPE.sample(kind, now=NOW, seed="mutant") for kind in kinds)]
    event = copy.deepcopy(data.draw(st.sampled_from(whole)))
    if data.draw(st.booleans()):
        event["type"] = data.draw(st.sampled_from(kinds))
    for _ in range(data.draw(st.integers(1, 4))):
        path = data.draw(st.sampled_from(places(event) or [()]))
        if not path:
            break
        holder = event
        for name in path[:-1]:
            holder = holder[name]
        if data.draw(st.booleans()):
            del holder[path[-1]]
        else:
            holder[path[-1]] = data.draw(JSON)
    sound(STRIPE.interpret(event))


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (None, "malformed"),
        ([], "malformed"),
        ({}, "unknown_type"),
        ({"type": "terminal.reader.updated", "created": 1, "data": {"object": {}}}, "unknown_type"),
        ({"type": ["charge.succeeded"]}, "unknown_type"),
        ({"object": "v2.core.event", "type": "charge.succeeded"}, "thin_event"),
        ({"type": "charge.succeeded", "created": 1, "data": {"object": None}}, "malformed"),
        ({"type": "charge.succeeded", "data": {"object": {"id": "ch_1"}}}, "malformed"),
        ({"type": "charge.succeeded", "created": 1, "data": {"object": {}}}, "no_reference"),
    ],
)
def test_ignored_frames(payload: Any, reason: str) -> None:
    assert STRIPE.interpret(payload) == Interpretation(ignored=reason)


def test_credentials_keep_secrets_in_their_places() -> None:
    keys = {"webhook_secret": "whsec_abc", "api_key": "rk_test_abc"}
    checked = StripeCredentials.model_validate(keys)
    assert checked.model_dump() == keys
    assert "whsec_abc" not in repr(checked)
    assert "rk_test_abc" not in repr(checked)
    for wrong in (
        {"webhook_secret": "sk_live_abc"},
        {"api_key": "pk_live_abc"},
        {"apikey": "x"},
        {"webhook_secret": None},
    ):
        with pytest.raises(ValidationError) as refused:
            StripeCredentials.model_validate({**keys, **wrong})
        assert "live_abc" not in str(refused.value)
