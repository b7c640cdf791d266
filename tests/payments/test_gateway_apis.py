"""What Monobank, LiqPay, WayForPay and Fondy are asked for, against stand-ins for their APIs on a real port."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Literal
from urllib.parse import parse_qsl, urlsplit
from uuid import UUID

import httpx
import pytest

from crm_api.donations.gifts.balances import derive
from crm_api.kit import http
from crm_api.kit.clock import utc_now
from crm_api.kit.money import Money
from crm_api.payments.abilities import (
    ChargesTokens,
    CheckoutOrder,
    Listed,
    ListsPayments,
    OffersCheckout,
    OutcomeUnknown,
    Refused,
    TokenCharge,
)
from crm_api.payments.providers import PROVIDERS, gateway, service_of
from crm_api.payments.providers.monobank_api import decline_class
from tests.support.gateways import ACCOUNTS, FakeGateway, fake_gateway

NOW = datetime(2026, 5, 4, 10, 0, tzinfo=UTC)
ID = UUID("019df26e-2d00-7c4d-8e5f-0123456789ab")
"""Made on 2026-05-04 at 10:00 UTC, as a UUID of version 7 tells."""
ORDER = CheckoutOrder(
    id=ID,
    amount=Money(25_050, "UAH"),
    description="Благодійний внесок",
    success_url="https://fund.example.org/thanks",
    cancel_url="https://fund.example.org/",
    webhook_url="https://crm.example.org/v1/payments/webhooks/x/y",
    email="olena@example.org",
    language="uk",
    metadata={"campaign_code": "winter"},
)
CHARGE = TokenCharge("plan-7:2026-05", "card-token-1", Money(30_000, "UAH"), "Щомісячний внесок", ORDER.webhook_url)


@pytest.fixture
async def fake() -> AsyncIterator[FakeGateway]:
    async with fake_gateway() as found:
        http.configure(found.urls)
        yield found
    http.configure({})


def provider(name: str) -> Any:
    return PROVIDERS[name]


def test_who_can_do_what() -> None:
    able = {
        kind.__name__: {name for name in ACCOUNTS if isinstance(PROVIDERS[name], kind)}
        for kind in (OffersCheckout, ListsPayments, ChargesTokens)
    }
    assert able == {
        "OffersCheckout": {"monobank", "liqpay", "wayforpay", "fondy"},
        "ListsPayments": {"monobank", "monobank_personal", "liqpay", "wayforpay"},
        "ChargesTokens": {"monobank"},
    }
    assert service_of("monobank_personal", "live") == "monobank"
    assert provider("wayforpay").offers(ACCOUNTS["wayforpay"])
    assert not provider("wayforpay").offers({"merchant_account": "m", "secret_key": "s"})
    assert {name: PROVIDERS[name].fetches(ACCOUNTS[name]) for name in ACCOUNTS} == {
        "monobank": True, "monobank_personal": False, "liqpay": True, "wayforpay": True, "fondy": True
    }  # fmt: skip


# Pages to pay on


async def test_a_page_of_monobank(fake: FakeGateway) -> None:
    async with fake.client() as client:
        expiring = replace(ORDER, expires_at=utc_now() + timedelta(hours=2), metadata={"wallet_id": str(ID)})
        link = await provider("monobank").create_checkout(client, ACCOUNTS["monobank"], expiring)
        assert (link.url, link.refs) == ("https://pay.mbnk.biz/p2_fake0", ("p2_fake0",))
        asked = fake.asked[0][2]
        assert 7190 <= asked.pop("validity") <= 7200
        assert asked == {
            "amount": 25_050,
            "ccy": 980,
            "merchantPaymInfo": {"reference": str(ID), "destination": "Благодійний внесок"},
            "redirectUrl": ORDER.success_url,
            "webHookUrl": ORDER.webhook_url,
            "paymentType": "debit",
            "saveCardData": {"saveCard": True, "walletId": str(ID)},
        }
        found = await provider("monobank").fetch_payment(client, ACCOUNTS["monobank"], "p2_fake0")
        assert derive(found[0].payment.entries).status == "pending"
        fake.invoices["p2_fake0"]["status"] = "expired"
        found = await provider("monobank").fetch_payment(client, ACCOUNTS["monobank"], "p2_fake0")
        assert derive(found[0].payment.entries).status == "canceled"
        assert await provider("monobank").fetch_payment(client, ACCOUNTS["monobank"], "p2_none") == []
        with pytest.raises(Refused, match="bad_request"):
            await provider("monobank").create_checkout(
                client, ACCOUNTS["monobank"], replace(ORDER, amount=Money(1, "UAH"))
            )


def liqpay_page(url: str) -> dict[str, Any]:
    """What a LiqPay address asks for."""
    query = dict(parse_qsl(urlsplit(url).query))
    found: dict[str, Any] = json.loads(base64.b64decode(query["data"]))
    return found


async def test_a_page_of_liqpay_is_an_address(fake: FakeGateway) -> None:
    async with fake.client() as client:
        make = provider("liqpay").create_checkout
        link = await make(client, ACCOUNTS["liqpay"], ORDER)
        assert link == await make(client, ACCOUNTS["liqpay"], ORDER)
        assert link.refs == (f"order:{ID}",)
        assert fake.asked == []
        assert liqpay_page(link.url) == {
            "version": 3,
            "public_key": "sandbox_i1",
            "action": "pay",
            "amount": "250.50",
            "currency": "UAH",
            "description": "Благодійний внесок",
            "order_id": str(ID),
            "result_url": ORDER.success_url,
            "server_url": ORDER.webhook_url,
            "language": "uk",
            "info": '{"campaign_code":"winter"}',
        }
        monthly = liqpay_page((await make(client, ACCOUNTS["liqpay"], replace(ORDER, every="month"))).url)
        assert (monthly["action"], monthly["subscribe"], monthly["subscribe_periodicity"]) == ("subscribe", 1, "month")
        assert monthly["subscribe_date_start"] == "2026-05-04 10:00:00"
        event = provider("liqpay").sample("pay.success", now=NOW, seed="s") | {
            "order_id": monthly["order_id"], "info": liqpay_page(link.url)["info"]
        }  # fmt: skip
        paid = provider("liqpay").interpret(event).payment
        assert set(link.refs) < set(paid.refs)
        assert (paid.gift_id, paid.campaign_code) == (str(ID), "winter")


async def test_a_page_of_wayforpay(fake: FakeGateway) -> None:
    async with fake.client() as client:
        make = provider("wayforpay").create_checkout
        link = await make(client, ACCOUNTS["wayforpay"], ORDER)
        assert link.url.startswith("https://secure.wayforpay.com/page?")
        assert link.refs == (str(ID),)
        asked = fake.asked[0][2]
        assert (asked["amount"], asked["orderDate"], asked["language"]) == ("250.50", "1777888800", "UA")
        assert (asked["serviceUrl"], asked["clientEmail"]) == (ORDER.webhook_url, ORDER.email)
        following: dict[Literal["week", "month", "year"], str]
        following = {"week": "11.05.2026", "month": "04.06.2026", "year": "04.05.2027"}
        for every, day in following.items():
            link = await make(client, ACCOUNTS["wayforpay"], replace(ORDER, every=every))
            assert link.refs == (f"{ID}-{every}ly",)
            assert (fake.asked[-1][2]["regularMode"], fake.asked[-1][2]["dateNext"]) == (f"{every}ly", day)
        fake.payments[str(ID)] = {}
        with pytest.raises(Refused, match="1112"):
            await make(client, ACCOUNTS["wayforpay"], ORDER)
        bare = {key: value for key, value in ACCOUNTS["wayforpay"].items() if key != "merchant_domain"}
        with pytest.raises(Refused, match="merchant_domain"):
            await make(client, bare, ORDER)


async def test_a_page_of_fondy(fake: FakeGateway) -> None:
    async with fake.client() as client:
        link = await provider("fondy").create_checkout(client, ACCOUNTS["fondy"], ORDER)
        assert link.refs == (str(ID), "payment:805000001")
        assert link.url.endswith(f"token={ID}")
        asked = fake.asked[0][2]["request"]
        assert (asked["amount"], asked["currency"], asked["lang"]) == ("25050", "UAH", "uk")
        fake.payments[str(ID)] = {}
        with pytest.raises(Refused, match="1013"):
            await provider("fondy").create_checkout(client, ACCOUNTS["fondy"], ORDER)


# How a payment stands


async def test_a_payment_that_is_asked_for_is_what_was_delivered(fake: FakeGateway) -> None:
    events = {"liqpay": "pay.success", "wayforpay": "Approved", "fondy": "approved"}
    async with fake.client() as client:
        for name, event in events.items():
            sample = provider(name).sample(event, now=NOW, seed="s")
            delivered = provider(name).interpret(
                provider(name).parse(provider(name).signed(sample, ACCOUNTS[name], now=NOW).body)
            )
            order = sample.get("order_id") or sample["orderReference"]
            fake.payments = {order: sample}
            ref = f"order:{order}" if name == "liqpay" else order
            assert await provider(name).fetch_payment(client, ACCOUNTS[name], ref) == [delivered]
            assert await provider(name).fetch_payment(client, ACCOUNTS[name], "order:none") == []
            fake.trouble = [503]
            with pytest.raises(httpx.HTTPStatusError):
                await provider(name).fetch_payment(client, ACCOUNTS[name], ref)
        assert await provider("liqpay").fetch_payment(client, ACCOUNTS["liqpay"], "no number") == []
        assert await provider("fondy").fetch_payment(client, ACCOUNTS["fondy"], "payment:1") == []


async def test_a_regular_payment_of_wayforpay_as_it_stands(fake: FakeGateway) -> None:
    first = provider("wayforpay").sample("Approved", now=NOW, seed="s") | {"orderReference": "D-1_WFPREG-5-2"}
    fake.payments = {"D-1_WFPREG-5-2": first}
    states = {"Active": "active", "Suspended": "paused", "Removed": "canceled", "Completed": "completed"}
    async with fake.client() as client:
        for state, status in states.items():
            told = {"reasonCode": 4100, "mode": "quarterly", "status": state, "amount": 300, "currency": "UAH"}
            fake.plans = {"D-1": {**told, "dateBegin": 1_777_888_800, "nextPaymentDate": 1_785_837_600}}
            _, found = await provider("wayforpay").fetch_payment(client, ACCOUNTS["wayforpay"], "D-1_WFPREG-5-2")
            assert (found.plan.ref, found.plan.status, found.plan.amount) == ("D-1", status, Money(30_000, "UAH"))
            assert (found.plan.frequency_unit, found.plan.frequency_interval) == ("month", 3)
            assert (found.plan.next_date is not None) == (status == "active")
        fake.plans = {}
        assert len(await provider("wayforpay").fetch_payment(client, ACCOUNTS["wayforpay"], "D-1_WFPREG-5-2")) == 1


# Lists


async def everything(name: str, fake: FakeGateway, since: datetime, until: datetime) -> list[Listed]:
    """A whole list, page by page."""
    found: list[Listed] = []
    async with fake.client() as client:
        cursor = None
        for _ in range(20):
            page = await provider(name).list_payments(client, ACCOUNTS[name], since, until, cursor)
            found += page.items
            if (cursor := page.next_cursor) is None:
                return found
    raise AssertionError("it never ends")


async def test_monobank_s_statement(fake: FakeGateway) -> None:
    row: dict[str, Any] = {"amount": 42_000, "profitAmount": 41_454, "ccy": 980, "reference": "D-1"}
    back = [{"amount": 20_000, "ccy": 980, "date": "2026-05-06T09:00:00Z"}]
    fake.statement = [
        {**row, "invoiceId": "p2_1", "status": "success", "date": "2026-03-01T09:00:00Z"},
        {**row, "invoiceId": "p2_2", "status": "success", "date": "2026-05-04T09:00:00Z", "cancelList": back},
        {**row, "invoiceId": "p2_3", "status": "failure", "date": "2026-05-05T09:00:00+00:00"},
        {**row, "invoiceId": "p2_4", "status": "hold", "date": "2026-05-05 09:00:00+00:00"},
        {"status": "success", "date": "2026-05-05T09:00:00Z"},
    ]
    found = await everything("monobank", fake, NOW - timedelta(days=80), NOW + timedelta(days=3))
    assert [(one.ref, one.status, one.refunded, one.fee) for one in found] == [
        ("p2_1", "succeeded", 0, 546), ("p2_2", "partially_refunded", 20_000, 546), ("p2_3", "failed", 0, None),
        ("p2_4", "pending", 0, None),
    ]  # fmt: skip
    assert all(len(one.meanings) == 1 and one.amount == Money(42_000, "UAH") for one in found)
    assert len(fake.asked) == 3
    fake.trouble = [429]
    with pytest.raises(httpx.HTTPStatusError):
        await everything("monobank", fake, NOW, NOW + timedelta(days=1))
    async with fake.client() as client:
        with pytest.raises(Refused, match="forbidden"):
            await provider("monobank").list_payments(client, {"token": "x"}, NOW, NOW + timedelta(days=1), None)


async def test_a_jar_s_statement_over_months_and_full_pages(fake: FakeGateway) -> None:
    start = int(NOW.timestamp())
    sample = provider("monobank_personal").sample("StatementItem", now=NOW, seed="s")["data"]["statementItem"]
    fake.personal = [
        {**sample, "id": f"r{number}", "time": start + number * 60, "amount": 100 if number % 10 else -100}
        for number in range(700)
    ]
    fake.personal.append({**sample, "id": "late", "time": start + 40 * 86_400})
    found = await everything("monobank_personal", fake, NOW, NOW + timedelta(days=45))
    assert len({one.ref for one in found}) == 631
    assert {one.status for one in found} == {"succeeded"}
    assert len(fake.asked) == 3
    async with fake.client() as client:
        with pytest.raises(Refused, match="token_missing"):
            await provider("monobank_personal").list_payments(client, {"secret": "s"}, NOW, NOW, None)


async def test_the_lists_of_liqpay_and_wayforpay(fake: FakeGateway) -> None:
    paid = provider("liqpay").sample("pay.success", now=NOW, seed="s")
    archived = {key: value for key, value in paid.items() if key not in ("payment_id", "order_id")}
    fake.payments = {
        "1": paid,
        "2": {**archived, "id": 7, "shop_order_id": "D-7", "status": "reversed", "refund_amount": "10.00"},
        "3": provider("liqpay").sample("subscribe.subscribed", now=NOW, seed="s"),
    }
    found = await everything("liqpay", fake, NOW - timedelta(days=1), NOW)
    assert [(one.status, one.refunded) for one in found] == [("succeeded", 0), ("partially_refunded", 1000)]
    assert found[1].ref == "7"
    fake.payments = {
        "1": provider("wayforpay").sample("Approved", now=NOW, seed="s") | {"transactionType": "PURCHASE"},
        "2": provider("wayforpay").sample("Refunded", now=NOW, seed="s") | {"transactionType": "REFUND"},
        "3": provider("wayforpay").sample("Declined", now=NOW, seed="d"),
    }
    found = await everything("wayforpay", fake, NOW - timedelta(days=30), NOW)
    assert [one.status for one in found] == ["succeeded", "failed"]


# Charges of saved cards


async def test_a_saved_card_is_charged(fake: FakeGateway) -> None:
    async with fake.client() as client:
        result = await provider("monobank").charge_token(client, ACCOUNTS["monobank"], CHARGE)
        assert (result.state, result.ref, result.decline_class) == ("succeeded", "p2_fake0", None)
        assert result.meaning.payment.amount == CHARGE.amount
        asked = fake.asked[0][2]
        assert (asked["cardToken"], asked["initiationKind"], asked["amount"]) == ("card-token-1", "merchant", 30_000)
        assert asked["merchantPaymInfo"]["reference"] == CHARGE.key
        fake.charge_as = {"status": "failure", "errCode": "59", "failureReason": "…"}
        result = await provider("monobank").charge_token(client, ACCOUNTS["monobank"], CHARGE)
        assert (result.state, result.decline_class, result.decline_code) == ("failed", "insufficient_funds", "59")
        fake.charge_as = {"status": "processing"}
        result = await provider("monobank").charge_token(client, ACCOUNTS["monobank"], CHARGE)
        assert result.state == "pending"
        with pytest.raises(Refused, match="forbidden"):
            await provider("monobank").charge_token(client, {"token": "x"}, CHARGE)


@pytest.mark.parametrize("trouble", [0, 500, 502])
async def test_what_became_of_a_charge_without_an_answer_is_looked_up(fake: FakeGateway, trouble: int) -> None:
    async with fake.client() as client:
        fake.trouble = [trouble]
        with pytest.raises(OutcomeUnknown):
            await provider("monobank").charge_token(client, ACCOUNTS["monobank"], CHARGE)
        find = provider("monobank").find_charge
        with pytest.raises(OutcomeUnknown):  # the statement does not know of it yet: nobody may charge again
            await find(client, ACCOUNTS["monobank"], CHARGE, None)
        row = {"date": utc_now().isoformat(), "status": "success", "amount": 30_000, "ccy": 980}
        fake.statement = [
            {**row, "invoiceId": "p2_other", "reference": "other"},
            {**row, "invoiceId": "p2_fake0", "reference": CHARGE.key},
        ]
        fake.statement = [{**one, "date": (utc_now() - timedelta(hours=1)).isoformat()} for one in fake.statement]
        found = await find(client, ACCOUNTS["monobank"], CHARGE, None)
        assert (found.state, found.ref) == ("succeeded", "p2_fake0")
        assert (await find(client, ACCOUNTS["monobank"], CHARGE, "p2_fake0")).state == "succeeded"
        assert await find(client, ACCOUNTS["monobank"], CHARGE, "p2_none") is None
        assert len(fake.invoices) == 1


async def test_a_charge_that_did_not_leave_or_was_throttled_may_be_tried_again(fake: FakeGateway) -> None:
    async with httpx.AsyncClient(base_url="http://127.0.0.1:1", trust_env=False) as client:
        with pytest.raises(httpx.ConnectError):
            await provider("monobank").charge_token(client, ACCOUNTS["monobank"], CHARGE)
    async with fake.client() as client:
        fake.trouble = [429]
        with pytest.raises(httpx.HTTPStatusError):
            await provider("monobank").charge_token(client, ACCOUNTS["monobank"], CHARGE)


def test_decline_codes_by_class() -> None:
    told = {number: decline_class(number) for number in ("59", "51", "41", "71", "1054", "54", "123456", None)}
    assert list(told.values()) == [
        "insufficient_funds", "expired_card", "lost_or_stolen", "do_not_honor", "authentication", "technical",
        "unknown", "unknown",
    ]  # fmt: skip


def test_the_time_of_an_order_is_in_its_id() -> None:
    assert gateway.made_at(ID, utc_now()) == NOW
    assert gateway.made_at(UUID(int=4), NOW) == NOW
