"""Monobank, LiqPay, WayForPay and Fondy: signatures, what their words mean, and that nothing strange makes them raise."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, quote_plus, urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from crm_api.donations.gifts.balances import Balance, derive
from crm_api.kit.money import CURRENCIES, MAX_MINOR, Money
from crm_api.kit.personal import spellings
from crm_api.payments.inbox.scrub import scrub
from crm_api.payments.outside import Memory
from crm_api.payments.provider import (
    CannotSign,
    Delivery,
    Interpretation,
    PaymentOutcome,
    PlanOutcome,
    SignatureInvalid,
)
from crm_api.payments.providers import PROVIDERS, gateway, liqpay, monobank_currencies, wayforpay
from tests.support.effort import examples
from tests.support.gateways import ACCOUNTS

NOW = datetime(2026, 5, 4, 10, 0, tzinfo=UTC)
NAMES = tuple(ACCOUNTS)
UUID = "0192f0c1-2a3b-7c4d-8e5f-0123456789ab"
KNOWN: dict[str, list[str]] = {}
for _name in NAMES:
    with pytest.raises(KeyError) as _known:
        PROVIDERS[_name].sample("?", now=NOW, seed="s")
    KNOWN[_name] = str(_known.value.args[0]).partition("known are: ")[2].split(", ")
EVENTS = [(name, event) for name in NAMES for event in KNOWN[name]]


def signed(name: str, event: str, *, after: int = 0, drop: tuple[str, ...] = (), **changes: Any) -> Delivery:
    """A sample event's delivery, members changed or left out, signed by the account of the tests."""
    sample = PROVIDERS[name].sample(event, now=NOW + timedelta(seconds=after), seed="s") | changes
    for member in drop:
        del sample[member]
    return PROVIDERS[name].signed(sample, ACCOUNTS[name], now=NOW)


def said(name: str, event: str, **changes: Any) -> Interpretation:
    """What a sample event means once it has been through the wire."""
    return PROVIDERS[name].interpret(PROVIDERS[name].parse(signed(name, event, **changes).body))


def payment(name: str, event: str, **changes: Any) -> PaymentOutcome:
    found = said(name, event, **changes).payment
    assert found is not None
    return found


def plan(name: str, event: str, **changes: Any) -> PlanOutcome:
    found = said(name, event, **changes).plan
    assert found is not None
    return found


def balance(name: str, *events: str, **changes: Any) -> Balance:
    return derive([entry for event in events for entry in payment(name, event, **changes).entries])


async def checked(name: str, sent: Delivery, *accounts: dict[str, str]) -> str:
    """The code that a delivery is refused with; empty when it is taken."""
    try:
        await PROVIDERS[name].check(sent, accounts or [ACCOUNTS[name]], now=NOW, outside=Memory())
    except SignatureInvalid as refused:
        return refused.code
    return ""


# Signatures


@pytest.mark.parametrize(("name", "event"), EVENTS)
async def test_what_is_signed_is_taken(name: str, event: str) -> None:
    assert await checked(name, signed(name, event)) == ""
    found = PROVIDERS[name].envelope(signed(name, event).body)
    assert found.occurred_at == NOW
    assert not found.event_id.startswith("sha256:")
    assert found.mode == ("test" if name == "liqpay" else None)


@pytest.mark.parametrize("name", NAMES)
async def test_what_is_changed_or_signed_by_others_is_refused(name: str) -> None:
    sent = signed(name, KNOWN[name][0])
    other = {key: f"{value}x" if key == PROVIDERS[name].secret else value for key, value in ACCOUNTS[name].items()}
    if name == "monobank":
        other = {"token": "t", "public_key": "bm90IGEga2V5"}
    assert await checked(name, sent, other) == "signature_mismatch"
    assert await checked(name, sent, other, ACCOUNTS[name]) == ""
    if name == "monobank_personal":
        return
    changed = sent.body[:-20] + bytes([sent.body[-20] ^ 1]) + sent.body[-19:]
    assert await checked(name, Delivery(changed, sent.headers)) != ""
    for body in (b"", b"{}", b"\xff\xfe", b"[]", b"data=%00&signature=", b"{" * 5000):
        assert await checked(name, Delivery(body, {"x-sign": "?"} if name == "monobank" else {})) != ""


def test_liqpay_s_signature_is_of_the_text_that_was_sent() -> None:
    key, data = "sandbox_key", base64.b64encode('{"amount": 250.50, "х": "ї"}'.encode()).decode()
    for digest, made in (("sha1", hashlib.sha1), ("sha3_256", hashlib.sha3_256)):
        wanted = base64.b64encode(made(f"{key}{data}{key}".encode()).digest()).decode()
        assert liqpay.signature(data, {"private_key": key, "digest": digest}) == wanted


async def test_liqpay_s_plus_signs_need_not_be_escaped() -> None:
    account = ACCOUNTS["liqpay"]
    fields = next(one for number in range(500) if "+" in (one := liqpay.request({"a": f"ї{number}>"}, account))["data"])
    raw = f"data={fields['data']}&signature={fields['signature']}".encode()
    assert await checked("liqpay", Delivery(raw)) == ""
    assert PROVIDERS["liqpay"].parse(raw)["a"].startswith("ї")


async def test_wayforpay_signs_numbers_as_they_are_printed_and_keeps_empty_places() -> None:
    account = ACCOUNTS["wayforpay"]

    def body(amount: str, *parts: str, **more: str) -> bytes:
        joined = ";".join(parts).encode()
        signature = hmac.new(account["secret_key"].encode(), joined, "md5").hexdigest()
        members = {"merchantAccount": '"tests_org"', "orderReference": '"Замовлення 1"', "amount": amount, **more}
        members |= {"currency": '"UAH"', "transactionStatus": '"Refunded"', "reasonCode": "1100"}
        members["merchantSignature"] = f'"{signature}"'
        return ("{" + ",".join(f'"{name}":{value}' for name, value in members.items()) + "}").encode()

    front = ("tests_org", "Замовлення 1")
    back = ("Refunded", "1100")
    printed = body("1000.00", *front, "1000.00", "UAH", "", "", *back, authCode='""', cardPan='""')
    assert await checked("wayforpay", Delivery(printed)) == ""
    named = quote_plus(printed).encode() + b"="
    assert await checked("wayforpay", Delivery(named)) == ""
    assert PROVIDERS["wayforpay"].parse(named) == PROVIDERS["wayforpay"].parse(printed)
    assert await checked("wayforpay", Delivery(body("1000.00", *front, "1000.0", "UAH", "", "", *back))) != ""
    assert await checked("wayforpay", Delivery(body("7", *front, "7", "UAH", "", "", *back))) == ""
    assert await checked("wayforpay", Delivery(body("7", *front, "7", "UAH", *back))) == ""
    answer = json.loads(PROVIDERS["wayforpay"].answer(Delivery(named), account, now=NOW).body)
    wanted = wayforpay.sign(account["secret_key"], ["Замовлення 1", "accept", str(answer["time"])])
    assert (answer["orderReference"], answer["status"], answer["signature"]) == ("Замовлення 1", "accept", wanted)


async def test_fondy_signs_json_forms_and_base64_alike() -> None:
    fondy, account = PROVIDERS["fondy"], ACCOUNTS["fondy"]
    sent = signed("fondy", "approved", sender_email="ї@example.org", additional_info='{"a": 1}')
    order = fondy.parse(sent.body)
    as_form = Delivery(urlencode(order).encode())
    assert await checked("fondy", as_form) == ""
    assert fondy.interpret(fondy.parse(as_form.body)) == fondy.interpret(order)
    with_string = {**order, "response_signature_string": "**|…"}
    assert await checked("fondy", Delivery(json.dumps(with_string).encode())) == ""
    data = base64.b64encode(json.dumps({"order": order}).encode()).decode()
    signature = hashlib.sha1(f"{account['secret_key']}|{data}".encode()).hexdigest()
    second = json.dumps({"version": "2.0", "data": data, "signature": signature}).encode()
    assert await checked("fondy", Delivery(second)) == ""
    assert fondy.interpret(fondy.parse(second)) == fondy.interpret(order)
    assert await checked("fondy", Delivery(second.replace(b"2.0", b"2.1"))) == ""  # only data is signed
    assert await checked("fondy", Delivery(second.replace(signature.encode(), b"0" * 40))) == "signature_mismatch"


async def test_only_the_bank_signs_for_a_real_account() -> None:
    sample = PROVIDERS["monobank"].sample("invoice.success", now=NOW, seed="s")
    with pytest.raises(CannotSign, match="Only Monobank"):
        PROVIDERS["monobank"].signed(sample, {"token": "uReal"}, now=NOW)


def test_credentials_are_strict_and_never_shown() -> None:
    for name, account in ACCOUNTS.items():
        model = PROVIDERS[name].credentials
        shown = repr(model(**account))
        assert account[PROVIDERS[name].secret or ""] not in shown
        with pytest.raises(ValidationError):
            model(**account, extra="x")
        for member in ("token", "secret", "private_key", "secret_key"):
            if member in account:
                with pytest.raises(ValidationError) as refused:
                    model(**{**account, member: "with blank"})
                assert "with blank" not in str(refused.value)


# Meanings


def test_monobank_s_invoices() -> None:
    gross = payment("monobank", "invoice.success").amount
    assert gross is not None
    states = {event: balance("monobank", event) for event in KNOWN["monobank"]}
    assert {event.partition(".")[2]: found.status for event, found in states.items()} == {
        "created": "pending", "processing": "pending", "hold": "pending", "success": "succeeded", "failure": "failed",
        "refund_processing": "succeeded", "partially_refunded": "partially_refunded", "reversed": "refunded",
        "expired": "canceled",
    }  # fmt: skip
    assert states["invoice.failure"].failure_reason == "59"
    assert (states["invoice.success"].fee, states["invoice.success"].gross) == (130, gross.amount)
    assert payment("monobank", "invoice.success").method == "wallet"
    assert states["invoice.partially_refunded"].refunded == gross.amount // 2


@pytest.mark.parametrize(
    ("final", "returned", "expected"),
    [
        (25_000, [], (25_000, 0)),  # of a hold of 300.00, 250.00 were taken
        (15_000, [("success", 10_000)], (25_000, 10_000)),
        (25_000, [("processing", 10_000)], (25_000, 0)),
        (25_000, [("failure", 10_000)], (25_000, 0)),
        (30_000, [("success", 10_000)], (30_000, 10_000)),  # not yet taken off the final amount
        (0, [("success", 10_000), ("success", 20_000)], (30_000, 30_000)),
        (None, [("success", 10_000)], (30_000, 10_000)),
    ],
)
def test_monobank_s_refunds_are_cumulative(final: int | None, returned: list[Any], expected: Any) -> None:
    refunds = [{"status": status, "amount": amount, "ccy": 980} for status, amount in returned]
    found = balance("monobank", "invoice.success", amount=30_000, finalAmount=final, cancelList=refunds)
    assert (found.gross, found.refunded) == expected


def test_monobank_s_refunds_of_one_second_are_deliveries_of_their_own() -> None:
    events = ("invoice.success", "invoice.refund_processing", "invoice.partially_refunded")
    keys = {PROVIDERS["monobank"].envelope(signed("monobank", event).body).event_id for event in events}
    assert len(keys) == 3


def test_currencies_by_number() -> None:
    assert set(monobank_currencies.NUMBERS) == CURRENCIES
    assert [monobank_currencies.by_number(one) for one in ("980", 840, "978", 981, "8", 0, "x", None)] == [
        "UAH", "USD", "EUR", "GEL", "ALL", None, None, None
    ]  # fmt: skip
    found = payment("monobank", "invoice.success", ccy=392, amount=500, finalAmount=500)
    assert found.amount == Money(500, "JPY")
    assert said("monobank", "invoice.success", ccy=1).ignored == "bad_amount"


def test_a_saved_card_s_wallet_names_the_donor() -> None:
    ours = payment("monobank", "invoice.success", walletData={"walletId": UUID, "cardToken": "t"}, reference=UUID)
    assert (ours.contact_id, ours.payer.customer_ref, ours.gift_id) == (UUID, None, UUID)
    theirs = payment("monobank", "invoice.success", walletData={"walletId": "wallet-7"})
    assert (theirs.contact_id, theirs.payer.customer_ref, theirs.gift_id) == (None, "wallet-7", None)


def test_a_statement_s_row() -> None:
    item = PROVIDERS["monobank_personal"].sample("StatementItem", now=NOW, seed="s")["data"]["statementItem"]
    more = {"description": "Від: Олена К.", "comment": "D-2002", "counterName": "Олена Коваль", "counterIban": "UA21"}
    found = payment("monobank_personal", "StatementItem", data={"statementItem": {**item, **more}})
    assert found.needs_matching
    assert (found.hint, found.payer.name) == ("Олена Коваль · D-2002 · UA21", None)
    assert found.twins == ()
    acquired = payment("monobank_personal", "StatementItem", data={"statementItem": {**item, "invoiceId": "p2_1"}})
    assert acquired.twins == ("monobank:p2_1",)
    assert said("monobank_personal", "StatementItem.outgoing").ignored == "not_incoming"
    assert said("monobank_personal", "StatementItem", type="Other").ignored == "unknown_type"


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("success", "succeeded"), ("sandbox", "succeeded"), ("reversed", "refunded"), ("failure", "failed"),
        ("error", "failed"), ("processing", "pending"), ("prepared", "pending"), ("hold_wait", "pending"),
        ("cash_wait", "pending"), ("invoice_wait", "pending"), ("3ds_verify", "pending"), ("otp_verify", "pending"),
        ("wait_accept", "pending"), ("wait_secure", "pending"), ("try_again", None),
    ],
)  # fmt: skip
def test_liqpay_s_statuses(status: str, expected: str | None) -> None:
    found = said("liqpay", "pay.success", status=status)
    if expected is None:
        assert found.ignored == "unknown_status"
    else:
        assert found.payment is not None
        assert derive(found.payment.entries).status == expected


def test_liqpay_s_refunds_and_what_is_none() -> None:
    found = balance("liqpay", "pay.success", amount="250.50", refund_amount="100.25", receiver_commission="3.755")
    assert (found.status, found.gross, found.refunded, found.fee) == ("partially_refunded", 25_050, 10_025, 376)
    assert said("liqpay", "pay.success", action="refund").ignored == "no_money"
    assert said("liqpay", "pay.success", action="auth", amount=1).ignored == "no_money"
    assert said("liqpay", "pay.success", amount="10.001").ignored == "bad_amount"
    keys = {
        PROVIDERS["liqpay"].envelope(signed("liqpay", "pay.reversed", refund_amount=back).body).event_id
        for back in ("10", "10.00", 20)
    }
    assert len(keys) == 2


def test_liqpay_s_subscriptions() -> None:
    order = plan("liqpay", "subscribe.subscribed").ref
    assert plan("liqpay", "subscribe.subscribed").status == "active"
    assert plan("liqpay", "subscribe.unsubscribed").status == "canceled"
    assert plan("liqpay", "regular.failure").status == "past_due"
    charged = payment("liqpay", "regular.success")
    assert (charged.plan_ref, charged.refs) == (order, charged.refs[:1])
    assert said("liqpay", "regular.success", action="subscribe", status="failure").plan is None
    every = plan("liqpay", "subscribe.subscribed", info=gateway.carrying({"contact_id": UUID}, "year"))
    assert (every.frequency_unit, every.frequency_interval, every.whole) == ("year", 1, True)


def test_what_our_checkouts_send_along_comes_back() -> None:
    sent = {"contact_id": UUID, "campaign_code": "winter", "fund_code": "food", "utm_source": "x", "else": "y"}
    for found in (
        payment("liqpay", "pay.success", info=gateway.carrying(sent)),
        payment("fondy", "approved", merchant_data=gateway.carrying(sent)),
    ):
        assert (found.contact_id, found.campaign_code, found.fund_code) == (UUID, "winter", "food")
        assert found.source == {"utm_source": "x"}
    for other in ("", "{", "[]", "{}", '{"contact_id": 7}', "Іван", None):
        assert payment("liqpay", "pay.success", info=other).contact_id is None


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("Approved", "succeeded"), ("Declined", "failed"), ("Expired", "failed"), ("InProcessing", "pending"),
        ("Pending", "pending"), ("WaitingAuthComplete", "pending"), ("Refunded", "refunded"), ("Voided", "refunded"),
        ("RefundInProcessing", None), ("Brand New", None), ("", None),
    ],
)  # fmt: skip
def test_wayforpay_s_statuses(status: str, expected: str | None) -> None:
    found = said("wayforpay", "Approved", transactionStatus=status)
    if expected is None:
        assert found.ignored in ("unknown_status", "no_news")
    else:
        assert found.payment is not None
        assert derive(found.payment.entries).status == expected


def test_wayforpay_s_amounts_payer_and_plans() -> None:
    found = payment("wayforpay", "Approved", amount="1547.36", fee="30.95", phone="0501234567", clientName="Olena K")
    assert found.amount == Money(154_736, "UAH")
    assert derive(found.entries).fee == 3_095
    assert (found.payer.phone, found.payer.name) == ("+380501234567", "Olena K")
    assert found.plan_ref is None
    part = derive([*found.entries, *payment("wayforpay", "Refunded", amount="47.36", after=9).entries])
    assert (part.status, part.refunded) == ("partially_refunded", 4_736)
    ours = said("wayforpay", "Approved", orderReference=f"{UUID}-monthly")
    later = said("wayforpay", "Approved", orderReference=f"{UUID}-monthly_WFPREG-5-1")
    for one in (ours, later):
        assert one.plan is not None
        assert (one.plan.ref, one.plan.frequency_unit, one.plan.whole) == (f"{UUID}-monthly", "month", True)
    assert ours.payment is not None
    assert (ours.payment.gift_id, ours.payment.plan_ref) == (UUID, f"{UUID}-monthly")
    assert said("wayforpay", "Declined", orderReference=f"{UUID}-monthly").plan is None
    assert plan("wayforpay", "Declined", orderReference="D-1_WFPREG-2").status == "past_due"


@pytest.mark.parametrize(
    ("status", "back", "expected"),
    [
        ("created", "0", "pending"), ("processing", "0", "pending"), ("approved", "0", "succeeded"),
        ("approved", "", "succeeded"), ("approved", "100", "partially_refunded"), ("declined", "0", "failed"),
        ("expired", "0", "failed"), ("reversed", "0", "refunded"), ("reversed", "100", "partially_refunded"),
        ("reversed", "9999999", "refunded"),
    ],
)  # fmt: skip
def test_fondy_s_statuses(status: str, back: str, expected: str) -> None:
    assert balance("fondy", "approved", order_status=status, reversal_amount=back).status == expected


def test_fondy_s_times_are_kyiv_s() -> None:
    found = PROVIDERS["fondy"]
    assert payment("fondy", "approved", order_time="09.10.2025 11:53:20").occurred_at.timestamp() == 1_760_000_000
    assert payment("fondy", "approved", order_time="09.01.2026 11:53:20").occurred_at.hour == 9
    undated = found.parse(signed("fondy", "approved", order_time="").body)
    assert found.interpret(undated).ignored == "malformed"
    dated = found.interpret_at(undated, received_at=NOW).payment
    assert dated is not None
    assert dated.occurred_at == NOW
    assert said("fondy", "approved", tran_type="verification").ignored == "no_money"


@pytest.mark.parametrize("name", ["liqpay", "wayforpay", "fondy", "monobank"])
def test_no_amount_is_too_long_too_large_or_below_zero(name: str) -> None:
    event = {"liqpay": "pay.success", "wayforpay": "Approved", "fondy": "approved", "monobank": "invoice.success"}[name]
    main = name in ("liqpay", "wayforpay")
    largest = f"{MAX_MINOR // 100}.{MAX_MINOR % 100:02d}" if main else str(MAX_MINOR)
    assert payment(name, event, amount=largest, drop=("finalAmount",) if name == "monobank" else ()).amount == Money(
        MAX_MINOR, "UAH"
    )
    for bad in ("90071992547409.92" if main else str(MAX_MINOR + 1), "-1", "1e3", "NaN", "", "0x10", None, "1" * 99):
        assert said(name, event, amount=bad).ignored == "bad_amount", bad
    assert said(name, event, amount="0").ignored == "no_money"


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@st.composite
def strange(draw: st.DrawFn) -> tuple[str, Any]:
    """A provider and a sample with some of its members replaced by anything."""
    name, event = draw(st.sampled_from(EVENTS))
    sample = PROVIDERS[name].sample(event, now=NOW, seed="s")
    inner = sample["data"]["statementItem"] if name == "monobank_personal" else sample
    for member in draw(st.lists(st.sampled_from(sorted(inner)), max_size=3)):
        inner[member] = draw(ANYTHING)
    return name, draw(st.one_of(st.just(sample), ANYTHING))


@settings(max_examples=examples(100), deadline=None, derandomize=True)
@given(example=strange())
def test_nothing_strange_makes_them_raise(example: tuple[str, Any]) -> None:
    name, payload = example
    found = PROVIDERS[name].interpret(payload)
    assert found.payment or found.plan or found.ignored
    for entry in found.payment.entries if found.payment else ():
        assert entry.key.isprintable()
        assert 0 <= (entry.amount or 0) <= MAX_MINOR
    body = json.dumps(payload).encode("utf-8", "surrogatepass")
    for raw in (body, quote_plus(body).encode() + b"=", b"data=" + base64.b64encode(body) + b"&signature=x"):
        frame = PROVIDERS[name].envelope(raw)
        assert frame.event_id.isprintable()
        try:
            assert PROVIDERS[name].interpret(PROVIDERS[name].parse(raw)) is not None
        except ValueError:
            continue


@settings(max_examples=examples(60), deadline=None, derandomize=True)
@given(body=st.binary(max_size=60) | st.text('{}[]"=&%:,0aї\\u', max_size=40).map(str.encode))
async def test_no_bytes_make_them_raise(body: bytes) -> None:
    for name in NAMES:
        assert PROVIDERS[name].envelope(body).event_id
        assert PROVIDERS[name].answer(Delivery(body), ACCOUNTS[name], now=NOW).status == 200
        assert await checked(name, Delivery(body, {"x-sign": "AAAA"}, {"a": "b"})) != ""
        try:
            PROVIDERS[name].interpret(PROVIDERS[name].parse(body))
        except ValueError:
            continue
    stub = scrub(body)
    assert scrub(stub) == stub


# Erasure


def bodies_of(name: str, sent: Delivery) -> list[bytes]:
    """The delivery in every form that the provider has."""
    if name == "wayforpay":
        return [sent.body, quote_plus(sent.body).encode() + b"="]
    if name == "fondy":
        order = json.loads(sent.body)
        data = base64.b64encode(json.dumps({"order": order}).encode()).decode()
        second = {"version": "2.0", "data": data, "signature": "0" * 40}
        return [sent.body, urlencode(order).encode(), json.dumps(second).encode(), urlencode(second).encode()]
    return [sent.body]


PRIVATE: dict[str, dict[str, Any]] = {
    "monobank": {"walletData": {"walletId": "olena", "cardToken": "kJ_secret1"}, "failureReason": "Олена"},
    "monobank_personal": {},
    "liqpay": {"sender_phone": "380501234567", "sender_first_name": "Олена", "ip": "203.0.113.7", "info": "Олена"},
    "wayforpay": {"email": "olena@example.org", "phone": 380501234567, "clientName": "Олена", "recToken": "kJ_secret1"},
    "fondy": {"sender_email": "olena@example.org", "sender_cell_phone": "380501234567", "merchant_data": "Олена"},
}


@pytest.mark.parametrize(("name", "event"), EVENTS)
def test_a_stub_means_the_same_and_names_nobody(name: str, event: str) -> None:
    sent = signed(name, event, **PRIVATE[name])
    for body in bodies_of(name, sent):
        before = PROVIDERS[name].interpret(PROVIDERS[name].parse(body))
        stub = scrub(body) or b""
        assert scrub(stub) == stub
        assert PROVIDERS[name].envelope(stub).event_id == PROVIDERS[name].envelope(body).event_id
        after = PROVIDERS[name].interpret(PROVIDERS[name].parse(stub))
        if before.payment is not None:
            assert after.payment is not None
            same = ("refs", "entries", "amount", "occurred_at", "plan_ref")
            assert [getattr(after.payment, one) for one in same] == [getattr(before.payment, one) for one in same]
            assert (after.payment.hint, after.payment.payer.name, after.payment.payer.phone) == (None, None, None)
        if before.plan is not None:
            assert after.plan is not None
            assert (after.plan.ref, after.plan.status) == (before.plan.ref, before.plan.status)
        shown = json.dumps(PROVIDERS[name].parse(stub), ensure_ascii=False)
        for private in ("Олена", "olena", "380501234567", "kJ_secret1", "203.0.113.7", "Від", "генератор"):
            assert private not in shown
    assert scrub(b"name=Olena&note=x") == b'{"erased":true}'


@settings(max_examples=examples(30), deadline=None, derandomize=True)
@given(trace=st.text(min_size=6, max_size=30).filter(str.isprintable), before=st.binary(max_size=5), after=st.binary())
def test_a_trace_is_found_within_forms_and_base64(trace: str, before: bytes, after: bytes) -> None:
    raw = trace.encode("utf-8", "replace")
    inside = base64.b64encode(before + raw + after).decode()
    bodies = [f"x={trace}", urlencode({"x": trace})]
    bodies += [inside, urlencode({"data": inside})] if len(raw) >= 6 else []
    for body in bodies:
        assert any(one in body for one in spellings(trace)), body
    assert dict(parse_qsl(bodies[1], keep_blank_values=True)) == {"x": trace}
