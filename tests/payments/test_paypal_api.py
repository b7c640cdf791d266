"""PayPal over its API: who paid, orders captured once, pages, lists; against a stand-in that speaks its protocol."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest

from crm_api.kit import http
from crm_api.kit.money import Money
from crm_api.payments.abilities import CheckoutOrder, Listed, ListsPayments, OffersCheckout, Refused
from crm_api.payments.outside import OUTSIDE
from crm_api.payments.provider import FollowUp
from crm_api.payments.providers import PROVIDERS, service_of
from tests.conftest import MakeWorld
from tests.support.gateways import connect, deliver
from tests.support.platforms import NOW, PAYPAL, FakePlatform, authority_file, fake_platform, paypal_delivery
from tests.support.world import World

PROVIDER = PROVIDERS["paypal"]
CHECKOUT = UUID("0198c2f0-0000-7000-8000-000000000001")


@pytest.fixture
async def outside() -> AsyncIterator[FakePlatform]:
    OUTSIDE.forget()
    async with fake_platform() as platform:
        http.configure(platform.urls)
        yield platform
    http.configure({})
    OUTSIDE.forget()


@pytest.fixture
async def paypal(make_world: MakeWorld, outside: FakePlatform, tmp_path: Path) -> tuple[World, str]:
    """An organization whose clock stands at NOW, with its connection."""
    world = await make_world(service_urls=outside.urls, paypal_ca_file=authority_file(tmp_path))
    await world.set_clock(NOW)
    return world, await connect(world, "paypal", PAYPAL)


def sample(kind: str, **changes: Any) -> Any:
    found = PROVIDER.sample(kind, now=NOW - timedelta(minutes=1), seed="api")
    found["resource"].update(changes)
    return found


async def send(paypal: tuple[World, str], event: Any) -> Any:
    """Deliver an event and let the worker run; what became of it."""
    world, connection = paypal
    await deliver(world, "paypal", connection, paypal_delivery(event), expect=202)
    await world.drain()
    (found,) = (await world.get("/v1/payments/inbox", params={"provider_event_id": event["id"]}))["data"]
    return found


def order_of(event: Any) -> str:
    found: str = event["resource"]["supplementary_data"]["related_ids"]["order_id"]
    return found


async def test_who_paid_a_capture_is_asked_for_outside_its_transaction(
    paypal: tuple[World, str], outside: FakePlatform
) -> None:
    captured = sample("PAYMENT.CAPTURE.COMPLETED")
    completed = sample("CHECKOUT.ORDER.COMPLETED")["resource"]
    outside.objects[f"/v2/checkout/orders/{order_of(captured)}"] = completed
    outside.trouble = []
    event = await send(paypal, captured)
    world, _ = paypal
    (gift,) = (await world.get("/v1/donations"))["data"]
    contact = await world.get(f"/v1/contacts/{gift['contact_id']}")
    assert [one["address"] for one in contact["emails"]] == [completed["payer"]["email_address"]]
    assert (event["state"], event["donation_id"], gift["status"]) == ("handled", gift["id"], "succeeded")
    assert [one["country"] for one in contact["addresses"]] == [completed["payer"]["address"]["country_code"]]
    assert {job["state"] for job in await world.jobs()} == {"done"}


async def test_a_plan_s_charge_brings_its_subscriber_and_its_terms(
    paypal: tuple[World, str], outside: FakePlatform
) -> None:
    sale = sample("PAYMENT.SALE.COMPLETED")
    plan = sample("BILLING.SUBSCRIPTION.ACTIVATED")["resource"]
    price = {"fixed_price": plan["billing_info"]["last_payment"]["amount"]}
    cycle = {"tenure_type": "REGULAR", "frequency": {"interval_unit": "MONTH", "interval_count": 1}}
    plan["plan"] = {"billing_cycles": [{**cycle, "pricing_scheme": price}]}
    outside.objects[f"/v1/billing/subscriptions/{plan['id']}"] = plan
    await send(paypal, sale)
    world, _ = paypal
    (gift,) = (await world.get("/v1/donations"))["data"]
    (found,) = (await world.get("/v1/recurring-plans"))["data"]
    assert (found["status"], found["frequency_unit"], found["amount"]) == ("active", "month", gift["amount"])
    assert gift["recurring_plan_id"] == found["id"]
    assert found["contact_id"] == gift["contact_id"] is not None
    await send(paypal, sample("BILLING.SUBSCRIPTION.CANCELLED", status_update_time="2026-05-04T09:59:59Z"))
    (found,) = (await world.get("/v1/recurring-plans"))["data"]
    assert (found["status"], found["contact_id"]) == ("canceled", gift["contact_id"])


async def test_our_approved_order_is_captured_once_whatever_is_repeated_and_nobody_else_s(
    paypal: tuple[World, str], outside: FakePlatform
) -> None:
    world, _ = paypal
    approved = sample("CHECKOUT.ORDER.APPROVED")
    event = await send(paypal, approved)
    assert (event["state"], event["reason"]) == ("ignored", "not_captured")
    assert outside.tokens == 0

    link = await checkout_of(outside)
    order = outside.objects[f"/v2/checkout/orders/{link.refs[0].partition(':')[2]}"]
    order["status"] = "APPROVED"
    ours = {**approved, "id": "WH-OURS", "resource": order}
    event = await send(paypal, ours)
    (gift,) = (await world.get("/v1/donations"))["data"]
    assert (gift["status"], gift["amount"]) == ("succeeded", {"amount": 2550, "currency": "EUR"})
    assert (event["state"], event["donation_id"]) == ("handled", gift["id"])
    contact = await world.get(f"/v1/contacts/{gift['contact_id']}")
    assert contact["display_name"] == "Ada Byron"
    await world.post(f"/v1/payments/inbox/{event['id']}/replay", expect=202)
    await world.drain()
    capture = sample("PAYMENT.CAPTURE.COMPLETED", id=gift["provider_payment_id"])
    capture["resource"]["supplementary_data"]["related_ids"]["order_id"] = order["id"]
    capture["resource"]["amount"] = order["purchase_units"][0]["amount"]
    await send(paypal, capture)
    assert len((await world.get("/v1/donations"))["data"]) == 1
    posts = [
        headers["paypal-request-id"] for method, target, headers, _ in outside.asked if target.endswith("/capture")
    ]
    assert set(posts) == {f"capture-{order['id']}"}


async def checkout_of(outside: FakePlatform, **changes: Any) -> Any:
    assert isinstance(PROVIDER, OffersCheckout)
    order = CheckoutOrder(
        **{
            "id": CHECKOUT,
            "amount": Money(2550, "EUR"),
            "description": "Дах для школи",
            "success_url": "https://fund.example/thanks",
            "cancel_url": "https://fund.example/again",
            "webhook_url": "https://crm.example/hook",
            "email": "ada@example.org",
            "language": "uk",
            "metadata": {"campaign_code": "winter"},
            **changes,
        }
    )
    async with http.client(service_of("paypal", "test")) as client:
        return await PROVIDER.create_checkout(client, PAYPAL, order)


async def test_a_page_for_a_payment(outside: FakePlatform) -> None:
    link = await checkout_of(outside)
    again = await checkout_of(outside)
    assert link == again
    assert link.url.startswith("https://www.sandbox.paypal.com/checkoutnow?token=")
    order = outside.objects[f"/v2/checkout/orders/{link.refs[0].removeprefix('order:')}"]
    (unit,) = order["purchase_units"]
    assert unit["amount"] == {"currency_code": "EUR", "value": "25.50"}
    assert (unit["custom_id"], unit["invoice_id"]) == (f"crm.{CHECKOUT},campaign.winter", str(CHECKOUT))
    context = order["payment_source"]["paypal"]["experience_context"]
    assert (context["locale"], context["return_url"]) == ("uk", "https://fund.example/thanks")
    ids = [headers.get("paypal-request-id") for _, target, headers, _ in outside.asked if target.endswith("/orders")]
    assert ids == [str(CHECKOUT)] * 2
    with pytest.raises(Refused, match="decimals"):
        await checkout_of(outside, amount=Money(120050, "HUF"))
    with pytest.raises(Refused, match="cannot_be_zero"):
        await checkout_of(outside, amount=Money(0, "EUR"))
    outside.trouble = [503]
    with pytest.raises(httpx.HTTPStatusError):
        await checkout_of(outside)


async def test_a_regular_gift_begins_on_a_page(paypal: tuple[World, str], outside: FakePlatform) -> None:
    """The first charge is the checkout's gift; each later one, which carries the same mark, is a gift of its own."""
    world, _ = paypal
    await world.post("/v1/campaigns", {"code": "winter", "name": "Winter"})
    body = {
        "provider": "paypal", "amount": {"amount": 2550, "currency": "EUR"}, "every": "month", "campaign_code": "winter",
        "donor": {"email": "ada@example.org", "name": "Ada Byron"}, "success_url": "https://fund.example/thanks",
        "cancel_url": "https://fund.example/again",
    }  # fmt: skip
    page = await world.post("/v1/donations/checkout", body)
    assert page["url"].startswith("https://www.sandbox.paypal.com/webapps/billing/subscriptions?ba=I-")
    path = f"/v1/billing/subscriptions/{page['url'].partition('ba=')[2]}"
    made = outside.objects[path]
    assert made["custom_id"] == f"crm-plan.{page['id']},campaign.winter"
    terms = outside.objects[f"/v1/billing/plans/{made['plan_id']}"]
    (cycle,) = terms["billing_cycles"]
    assert cycle["pricing_scheme"] == {"fixed_price": {"currency_code": "EUR", "value": "25.50"}}
    assert (cycle["frequency"]["interval_unit"], cycle["total_cycles"]) == ("MONTH", 0)
    subscriber = {
        "email_address": "ada@example.org",
        "name": {"given_name": "Ada", "surname": "Byron"},
        "payer_id": "PP1",
    }
    for number in (1, 2):
        counted = {"tenure_type": "REGULAR", "sequence": 1, "cycles_completed": number}
        made |= {"status": "ACTIVE", "subscriber": subscriber, "billing_info": {"cycle_executions": [counted]}}
        made["plan"] = {"billing_cycles": terms["billing_cycles"]}
        amount = {"total": "25.50", "currency": "EUR"}
        more = {"custom": made["custom_id"], "billing_agreement_id": made["id"], "amount": amount}
        sale = sample("PAYMENT.SALE.COMPLETED", id=f"SALE{number}00000", **more)
        await send(paypal, {**sale, "id": f"WH-SALE-{number}"})
    found = (await world.get("/v1/donations", params={"sort": "id"}))["data"]
    assert [one["status"] for one in found] == ["succeeded", "succeeded"]
    (first,) = [one for one in found if one["id"] == page["donation_id"]]
    (later,) = [one for one in found if one is not first]
    assert (first["provider_payment_id"], later["provider_payment_id"]) == ("SALE100000", "SALE200000")
    (plan,) = (await world.get("/v1/recurring-plans"))["data"]
    assert (plan["status"], plan["frequency_unit"], plan["amount"]["amount"]) == ("active", "month", 2550)
    for name in ("contact_id", "campaign_id", "recurring_plan_id"):
        assert first[name] == later[name] is not None, name
    shown = await world.get(f"/v1/donations/checkouts/{page['id']}") if False else page
    shown = await world.get(f"/v1/donations/checkouts/{page['id']}")
    assert (shown["every"], shown["status"]) == ("month", "succeeded")
    assert [one["kind"] for one in (await world.get("/v1/messages", params={"sort": "id"}))["data"]].count(
        "welcome"
    ) == 1
    again = await world.post("/v1/donations/checkout", {**body, "every": "year"})
    assert again["id"] != page["id"]
    products = [target for method, target, _, _ in outside.asked if target == "/v1/catalogs/products"]
    assert len(products) == 1, "one product for all, asked for once"


@pytest.mark.parametrize("ref", ["", "x/../y", "order:", "order:5O/../1", "uuid:5O19", "9X?y=1"])
async def test_other_refs_are_not_asked_for(ref: str, outside: FakePlatform) -> None:
    async with http.client("paypal") as client:
        assert await PROVIDER.fetch_payment(client, PAYPAL, ref) == []
        assert await PROVIDER.follow_up(client, PAYPAL, FollowUp("unheard of", "x")) == []
    assert outside.asked == []


async def test_unknown_payments_and_wrong_credentials_give_nothing(outside: FakePlatform) -> None:
    async with http.client("paypal") as client:
        assert await PROVIDER.fetch_payment(client, PAYPAL, "9UNKNOWN") == []
        assert await PROVIDER.fetch_payment(client, {**PAYPAL, "client_secret": "wrong"}, "9UNKNOWN") == []
        outside.trouble = [429]
        with pytest.raises(httpx.HTTPStatusError):
            await PROVIDER.fetch_payment(client, PAYPAL, "9UNKNOWN")


def row(number: int, code: str, value: str, day: int, *, status: str = "S", about: str | None = None) -> dict[str, Any]:
    info = {
        "transaction_id": f"TX{number}",
        "transaction_event_code": code,
        "transaction_initiation_date": (NOW + timedelta(days=day)).strftime("%Y-%m-%dT%H:%M:%S+0000"),
        "transaction_amount": {"currency_code": "USD", "value": value},
        "fee_amount": {"currency_code": "USD", "value": "-0.59"},
        "transaction_status": status,
    }
    if about:
        info |= {"paypal_reference_id": about, "paypal_reference_id_type": "TXN"}
    who = {"email_address": f"p{number}@example.org", "payer_name": {"given_name": "P", "surname": "Q"}}
    return {"transaction_info": info, "payer_info": who}


async def test_the_list_of_payments_with_what_was_given_back(outside: FakePlatform) -> None:
    assert isinstance(PROVIDER, ListsPayments)
    outside.transactions = [
        row(1, "T0013", "25.00", 0),
        row(2, "T0006", "10.00", 1, status="P"),
        row(3, "T1107", "-5.00", 2, about="TX1"),
        row(4, "T0400", "-500.00", 3),  # a payout
        row(5, "T0013", "40.00", 40),
        row(6, "T1107", "-7.00", 41, about="3CELSEWHERE"),
        row(7, "T0013", "9.00", 42, status="V"),
    ]
    elsewhere = sample("PAYMENT.CAPTURE.COMPLETED", id="3CELSEWHERE")["resource"]
    outside.objects["/v2/payments/captures/3CELSEWHERE"] = elsewhere
    found: list[Listed] = []
    cursor = None
    async with http.client("paypal") as client:
        while True:
            page = await PROVIDER.list_payments(
                client, PAYPAL, NOW - timedelta(days=1), NOW + timedelta(days=60), cursor
            )
            found += page.items
            cursor = page.next_cursor
            if cursor is None:
                break
        with pytest.raises(Refused, match="credentials"):
            wrong = {**PAYPAL, "client_secret": "wrong"}
            await PROVIDER.list_payments(client, wrong, NOW, NOW + timedelta(days=1), None)
        outside.trouble = [403]
        with pytest.raises(Refused, match="search transactions"):
            await PROVIDER.list_payments(client, PAYPAL, NOW, NOW + timedelta(days=1), None)
    by_ref = {one.ref: one for one in found}
    assert {ref: (one.status, one.refunded) for ref, one in by_ref.items()} == {
        "TX1": ("partially_refunded", 500),
        "TX2": ("pending", 0),
        "TX5": ("succeeded", 0),
        "3CELSEWHERE": ("partially_refunded", 700),
        "TX7": ("refunded", 900),
    }
    assert (by_ref["TX1"].amount, by_ref["TX1"].fee) == (Money(2500, "USD"), 59)
    first = by_ref["TX1"].meanings[0].payment
    assert first is not None
    assert (first.payer.email, first.refs) == ("p1@example.org", ("TX1",))
    assert len([path for path in outside.paths() if path == "/v1/reporting/transactions"]) == 2 + 1


async def test_a_checkout_of_ours_ends_in_one_gift_whatever_paypal_says_first(
    paypal: tuple[World, str], outside: FakePlatform
) -> None:
    world, connection = paypal
    body = {
        "connection_id": connection,
        "amount": {"amount": 2550, "currency": "EUR"},
        "donor": {"email": "ada@example.org", "name": "Ada Byron"},
        "success_url": "https://fund.example/thanks",
        "cancel_url": "https://fund.example/again",
    }
    page = await world.post("/v1/donations/checkout", body)
    assert page["url"].startswith("https://www.sandbox.paypal.com/checkoutnow?token=")
    (path,) = [path for path in outside.objects if path.startswith("/v2/checkout/orders/")]
    outside.objects[path]["status"] = "APPROVED"
    await send(paypal, {**sample("CHECKOUT.ORDER.APPROVED"), "resource": outside.objects[path]})
    (gift,) = (await world.get("/v1/donations"))["data"]
    assert (gift["id"], gift["status"]) == (page["donation_id"], "succeeded")
    assert gift["provider_payment_id"] == f"3C{path.rpartition('/')[2][2:]}"
    assert (await world.get(f"/v1/donations/checkouts/{page['id']}"))["status"] == "succeeded"
    assert (await world.get("/v1/contacts", params={"include_total": "true"}))["total"] == 1
