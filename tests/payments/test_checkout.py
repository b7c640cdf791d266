"""Checkouts: a page is made once, its gift is there from the beginning, and whatever the provider tells ends in it."""

from __future__ import annotations

import asyncio
import itertools
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest

from crm_api.kit import clock
from crm_api.payments.checkouts import service
from tests.conftest import MakeWorld
from tests.support.fake_stripe import API_KEY, FakeStripe
from tests.support.stripe_events import Event, stripe_event
from tests.support.world import STRIPE_SECRET, World

AMOUNT = 2500
PATH = "/v1/donations/checkout"


@pytest.fixture
async def shop(make_world: MakeWorld, stripe: FakeStripe) -> World:
    """An organization that takes payments on Stripe's page."""
    world = await make_world(service_urls={"stripe": stripe.url}, job_retry_base_seconds=0.01)
    await world.stripe_connection(STRIPE_SECRET, api_key=API_KEY)
    return world


def body(**changes: Any) -> dict[str, Any]:
    plain: dict[str, Any] = {
        "amount": {"amount": AMOUNT, "currency": "USD"},
        "donor": {"email": "olena@example.org", "name": "Олена Шевченко", "language": "uk"},
        "success_url": "https://example.org/thanks?checkout={checkout_id}",
        "cancel_url": "https://example.org/donate",
    }
    return {**plain, **changes}


async def begin(world: World, *, key: str | None = None, expect: int = 201, **changes: Any) -> Any:
    headers = {"Idempotency-Key": key} if key else {}
    return await world.post(PATH, body(**changes), expect=expect, headers=headers)


async def state(world: World, checkout: Any) -> Any:
    return await world.get(f"/v1/donations/checkouts/{checkout['id']}")


def events_of(fields: dict[str, str], session: dict[str, Any], seed: str) -> list[Event]:
    """What Stripe sends when the page of a single gift is paid: the intent, the charge and the session."""
    start = clock.utc_now().replace(microsecond=0)
    mine = {
        name.partition("[metadata][")[2].rstrip("]"): value
        for name, value in fields.items()
        if name.startswith("payment_intent_data[metadata]")
    }
    known: dict[str, Any] = {"email": "olena@example.org", "name": "Olena Shevchenko", "phone": None, "address": None}
    common: dict[str, Any] = {"seed": seed, "start": start, "currency": "usd", "customer": None}
    return [
        stripe_event("payment_intent.succeeded", amount=AMOUNT, amount_received=AMOUNT, metadata=mine, **common),
        stripe_event(
            "charge.succeeded", amount=AMOUNT, amount_captured=AMOUNT, metadata=mine, billing_details=known, **common
        ),
        stripe_event(
            "checkout.session.completed",
            id=session["id"],
            amount_total=AMOUNT,
            client_reference_id=fields["client_reference_id"],
            customer_details=known,
            metadata={},
            **common,
        ),
    ]


async def test_a_page_and_its_gift(shop: World, stripe: FakeStripe) -> None:
    contact = await shop.contact(emails=[])
    fund = await shop.post("/v1/funds", {"code": "winter", "name": "Winter"})
    campaign = await shop.post("/v1/campaigns", {"code": "c26", "name": "2026"})
    checkout = await begin(
        shop,
        contact_id=contact["id"],
        fund_code="winter",
        campaign_id=campaign["id"],
        source_code="flyer-7",
        utm={"source": "newsletter", "medium": "email"},
        donor_covered_fee={"amount": 100, "currency": "USD"},
        is_anonymous=True,
    )
    assert checkout["status"] == "open"
    assert checkout["url"].startswith("https://checkout.stripe.com/")
    ((key, (sent, _)),) = stripe.pages.items()
    assert key == sent["client_reference_id"] == sent["payment_intent_data[metadata][crm_gift_id]"] == checkout["id"]
    assert sent["mode"] == "payment"
    assert sent["line_items[0][price_data][unit_amount]"] == str(AMOUNT)
    assert sent["success_url"] == f"https://example.org/thanks?checkout={checkout['id']}"
    assert sent["metadata[campaign_code]"] == "c26"
    assert sent["locale"] == "auto", "Stripe's page does not speak Ukrainian"
    gift = await shop.get(f"/v1/donations/{checkout['donation_id']}")
    expected = {
        "id": checkout["id"],
        "status": "pending",
        "contact_id": contact["id"],
        "fund_id": fund["id"],
        "campaign_id": campaign["id"],
        "source_code": "flyer-7",
        "utm": {"source": "newsletter", "medium": "email"},
        "donor_covered_fee": {"amount": 100, "currency": "USD"},
        "is_anonymous": True,
        "amount": {"amount": AMOUNT, "currency": "USD"},
    }
    assert {name: gift[name] for name in expected} == expected
    assert (await shop.get("/v1/donations/checkouts"))["data"] == [checkout]


async def test_any_order_ends_in_the_checkouts_gift(shop: World, stripe: FakeStripe) -> None:
    """Six gifts of one donor; the events of each come in another order, the first of them twice."""
    for number, order in enumerate(itertools.permutations(range(3)), start=1):
        checkout = await begin(shop)
        await shop.drain()
        assert len((await shop.get("/v1/contacts"))["data"]) == min(number - 1, 1), "a page is no person yet"
        sent, session = stripe.pages[checkout["id"]]
        events = events_of(sent, session, f"any{number}")
        for event in (*order, order[0]):
            await shop.stripe_sends(events[event])
            await shop.drain()
            assert len((await shop.get("/v1/donations"))["data"]) == number
        gift = await shop.get(f"/v1/donations/{checkout['donation_id']}")
        assert (gift["status"], gift["amount"]["amount"]) == ("succeeded", AMOUNT)
        (donor,) = (await shop.get("/v1/contacts"))["data"]
        assert gift["contact_id"] == donor["id"]
        assert (await state(shop, checkout))["status"] == "succeeded"
        assert len(shop.letters()) == number


async def test_the_event_may_overtake_the_record(
    shop: World, stripe: FakeStripe, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stripe has taken the money before our row of the gift is written: the gift is the event's."""
    real = service.open_page

    async def late(session: Any, claimed: Any, link: Any, asked: Any) -> None:
        ((_, (sent, made)),) = stripe.pages.items()
        for event in events_of(sent, made, "late")[:1]:
            await shop.stripe_sends(event)
            await shop.drain()
        await real(session, claimed, link, asked)

    monkeypatch.setattr(service, "open_page", late)
    checkout = await begin(shop)
    (gift,) = (await shop.get("/v1/donations"))["data"]
    assert (checkout["status"], checkout["donation_id"]) == ("succeeded", gift["id"])
    ((_, (sent, made)),) = stripe.pages.items()
    for event in events_of(sent, made, "late"):
        await shop.stripe_sends(event)
    await shop.drain()
    (gift,) = (await shop.get("/v1/donations"))["data"]
    assert (gift["id"], gift["status"]) == (checkout["donation_id"], "succeeded")


async def test_a_plan_begins_on_the_page(shop: World, stripe: FakeStripe) -> None:
    """The first invoice is the checkout's gift, later ones of the plan are gifts of their own."""
    checkout = await begin(shop, every="month")
    ((_, (sent, session)),) = stripe.pages.items()
    assert sent["mode"] == "subscription"
    assert sent["line_items[0][price_data][recurring][interval]"] == "month"
    assert "subscription_data[metadata][crm_gift_id]" not in sent
    tags = {"crm_checkout_id": sent["subscription_data[metadata][crm_checkout_id]"]}
    start = clock.utc_now().replace(microsecond=0)

    def invoice(seed: str, reason: str, at: datetime) -> Event:
        parent = {"type": "subscription_details", "subscription_details": {"metadata": tags, "subscription": "sub_1"}}
        paid: dict[str, Any] = {"amount_due": AMOUNT, "amount_paid": AMOUNT, "currency": "usd", "customer": "cus_1"}
        return stripe_event(
            "invoice.paid", seed=seed, start=at, billing_reason=reason, parent=parent, customer_email="o@example.org",
            customer_name="Olena", **paid,
        )  # fmt: skip

    first = invoice("one", "subscription_create", start)
    done = stripe_event(
        "checkout.session.completed", seed="one", start=start, id=session["id"], mode="subscription", currency="usd",
        amount_total=AMOUNT, payment_intent=None, invoice=first["data"]["object"]["id"], subscription="sub_1",
        customer="cus_1", client_reference_id=sent["client_reference_id"], metadata={},
    )  # fmt: skip
    for event in (first, done, invoice("two", "subscription_cycle", start + timedelta(days=30))):
        await shop.stripe_sends(event)
        await shop.drain()
    gifts = {gift["id"]: gift for gift in (await shop.get("/v1/donations"))["data"]}
    assert len(gifts) == 2
    assert {gift["status"] for gift in gifts.values()} == {"succeeded"}
    assert gifts[checkout["donation_id"]]["provider_payment_id"] == first["data"]["object"]["id"]
    (plan,) = (await shop.get("/v1/recurring-plans"))["data"]
    assert {gift["recurring_plan_id"] for gift in gifts.values()} == {plan["id"]}


async def test_the_same_key_gets_the_same_page(shop: World, stripe: FakeStripe) -> None:
    answers = await asyncio.gather(
        *(shop.client.post(PATH, json=body(), headers={"Idempotency-Key": "k"}) for _ in range(12))
    )
    assert {answer.status_code for answer in answers} <= {201, 409}
    again = await shop.client.post(PATH, json=body(), headers={"Idempotency-Key": "k"})
    assert again.headers["idempotency-replayed"] == "true"
    assert {answer.json()["id"] for answer in (*answers, again) if answer.status_code == 201} == {again.json()["id"]}
    assert again.headers["location"] == f"/v1/donations/checkouts/{again.json()['id']}"
    assert len(stripe.pages) == 1
    assert len((await shop.get("/v1/donations"))["data"]) == 1
    said = await begin(shop, key="k", expect=422, is_anonymous=True)
    assert said["code"] == "idempotency_key_reused"


@pytest.mark.parametrize("step", ["before the call", "the call", "after the call"])
async def test_a_crash_between_ends_well(
    shop: World, stripe: FakeStripe, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """Whatever breaks, the same request sent again gets the page that may exist already, and there is one gift."""
    if step == "the call":
        stripe.trouble += [500]
        said = await shop.client.post(PATH, json=body(), headers={"Idempotency-Key": "k"})
        assert (said.status_code, said.headers["retry-after"]) == (503, "5")
    else:
        broken = "create_checkout" if step == "before the call" else "open_page"

        async def dies(*_: Any, **__: Any) -> Any:
            raise RuntimeError("killed")

        with monkeypatch.context() as patch:
            target: Any = service
            if step == "before the call":
                from crm_api.payments.providers.stripe import pages as target
            patch.setattr(target, broken, dies)
            await begin(shop, key="k", expect=500)
        busy = await begin(shop, key="k", expect=409)
        assert busy["code"] == "idempotency_in_progress", "whoever has the row may still be at work"
        monkeypatch.setattr(service, "LEASE", timedelta(0))
        await _let_the_lease_end(shop)
    checkout = await begin(shop, key="k")
    assert checkout["status"] == "open"
    assert len(stripe.pages) == 1
    (gift,) = (await shop.get("/v1/donations"))["data"]
    assert gift["id"] == checkout["donation_id"]
    assert await begin(shop, key="k") == checkout


async def _let_the_lease_end(world: World) -> None:
    from sqlalchemy import text

    from crm_api.kit.db import prepare

    ended = prepare(text("UPDATE checkouts SET claimed_until = asked_at WHERE organization_id = :organization_id"))
    async with world.database.write(world.tenant) as session:
        assert await session.execute(ended) == 1


async def test_the_provider_refuses(shop: World, stripe: FakeStripe) -> None:
    stripe.refusal = "amount_too_small"
    said = await begin(shop, key="k", expect=409)
    assert said["code"] == "provider_refused"
    assert "amount_too_small" in said["detail"]
    assert (await shop.get("/v1/donations"))["data"] == []
    stripe.refusal = ""
    assert (await begin(shop, key="k"))["status"] == "open", "after a no the key begins anew"
    assert [one["status"] for one in (await shop.get("/v1/donations/checkouts"))["data"]] == ["open", "refused"]


async def test_an_abandoned_page_is_canceled(shop: World, stripe: FakeStripe) -> None:
    start = clock.utc_now()
    await shop.set_clock(start)
    left = await begin(shop)
    await shop.set_clock(start + timedelta(minutes=30))
    await shop.drain()
    assert (await state(shop, left))["status"] == "open"
    await shop.set_clock(start + timedelta(minutes=70))
    await shop.drain()
    shown = await state(shop, left)
    assert (shown["status"], shown["url"]) == ("expired", None)
    gift = await shop.get(f"/v1/donations/{left['donation_id']}")
    assert (gift["status"], gift["failure_reason"]) == ("canceled", "checkout_expired")
    assert (await shop.get("/v1/contacts"))["data"] == []
    ((_, (sent, session)),) = stripe.pages.items()
    for event in events_of(sent, session, "late"):  # a bank that took its time: paid is paid
        await shop.stripe_sends(event)
    await shop.drain()
    assert (await shop.get(f"/v1/donations/{left['donation_id']}"))["status"] == "succeeded"
    assert (await state(shop, left))["status"] == "succeeded"


async def _publishable(world: World) -> dict[str, str]:
    key = await world.post("/v1/api-keys", {"name": "Page", "kind": "publishable", "scopes": ["donations:intend"]})
    return {"Authorization": f"Bearer {key['key']}"}


async def test_a_publishable_key(shop: World) -> None:
    page, other = await _publishable(shop), await _publishable(shop)
    contact = await shop.contact()
    mine = await shop.post(PATH, body(), headers=page)
    shown = await shop.get(f"/v1/donations/checkouts/{mine['id']}", headers=page)
    assert shown == mine
    assert "olena" not in str(shown).lower()
    await shop.get(f"/v1/donations/checkouts/{mine['id']}", headers=other, expect=404)
    theirs = await begin(shop)
    await shop.get(f"/v1/donations/checkouts/{theirs['id']}", headers=page, expect=404)
    said = await shop.post(PATH, body(contact_id=contact["id"]), headers=page, expect=403)
    assert said["scope"] == "donations:write"
    for path in ("/v1/donations/checkouts", f"/v1/donations/{mine['donation_id']}", "/v1/checkout-settings"):
        await shop.get(path, headers=page, expect=403)


async def test_a_key_of_a_branch(shop: World) -> None:
    """Who sees the contacts of one team only begins payments all the same, and not for contacts of others."""
    await shop.patch("/v1/organization", {"team_access": "on"})
    team = await shop.post("/v1/teams", {"name": "Lviv"})
    scopes = ["donations:write", "donations:read", "contacts:read", "contacts:write"]
    key = await shop.post("/v1/api-keys", {"name": "Lviv", "scopes": scopes, "sees_all": False})
    await shop.put(f"/v1/teams/{team['id']}/members", {"member_ids": [], "key_ids": [key["id"]]})
    branch = {"Authorization": f"Bearer {key['key']}"}
    assert (await shop.post(PATH, body(), headers={**branch, "Idempotency-Key": "b"}))["status"] == "open"
    theirs, other = await shop.contact(emails=[]), await shop.post("/v1/teams", {"name": "Odesa"})
    await shop.put(f"/v1/contacts/{theirs['id']}/teams", {"team_ids": [other["id"]]})
    said = await shop.post(PATH, body(contact_id=theirs["id"]), headers=branch, expect=404)
    assert said["errors"][0]["pointer"] == "/contact_id"
    mine = await shop.post("/v1/contacts", {"given_name": "Марія"}, headers=branch)
    made = await shop.post(PATH, body(contact_id=mine["id"]), headers=branch)
    assert (await shop.get(f"/v1/donations/{made['donation_id']}", headers=branch))["contact_id"] == mine["id"]


async def test_limits_against_card_testing(shop: World, stripe: FakeStripe) -> None:
    page = await _publishable(shop)
    limits = {
        "per_key_per_minute": 6,
        "per_address_per_hour": 4,
        "per_email_per_hour": 2,
        "failures_per_ten_minutes": 3,
    }
    await shop.put("/v1/checkout-settings", {"limits": limits})

    async def ask(email: str, *, headers: dict[str, str] = page) -> httpx.Response:
        return await shop.client.post(PATH, json=body(donor={"email": email}), headers=headers)

    burst = await asyncio.gather(*(ask("one@example.org") for _ in range(6)))
    assert sorted(answer.status_code for answer in burst) == [201, 201, 429, 429, 429, 429], "counted though at once"
    refused = next(answer for answer in burst if answer.status_code == 429)
    assert 0 < int(refused.headers["retry-after"]) <= 3600
    assert refused.json()["code"] == "rate_limited"
    assert "one@example.org" not in refused.text
    assert (await ask("ONE@example.org")).status_code == 429
    assert [(await ask(f"{n}@example.org")).status_code for n in range(3)] == [201, 201, 429], "the address's"
    server = {"Authorization": f"Bearer {shop.api_key}"}
    assert [(await ask(f"s{n}@example.org", headers=server)).status_code for n in range(5)] == [201] * 5
    for number in range(3):
        failed = stripe_event("payment_intent.payment_failed", seed=f"f{number}", start=clock.utc_now(), metadata={})
        await shop.stripe_sends(failed)
    await shop.drain()
    said = await ask("s9@example.org", headers=server)
    assert said.status_code == 429, "so many refused payments at once: nothing new is begun"
    assert 0 < int(said.headers["retry-after"]) <= 600


REFUSED: list[tuple[dict[str, Any], str, str]] = [
    ({"success_url": "http://example.org/"}, "/success_url", "return_not_https"),
    ({"success_url": "https://me@example.org/"}, "/success_url", "return_not_https"),
    ({"cancel_url": "https://example.net/"}, "/cancel_url", "return_not_allowed"),
    ({"cancel_url": "https://example.org.evil.example/"}, "/cancel_url", "return_not_allowed"),
    ({"amount": {"amount": 499, "currency": "USD"}}, "/amount/amount", "below_minimum"),
    ({"amount": {"amount": 99, "currency": "UAH"}}, "/amount/amount", "below_minimum"),
    ({"donor_covered_fee": {"amount": 1, "currency": "EUR"}}, "/donor_covered_fee/currency", "currency_mismatch"),
    ({"fund_code": "nothing"}, "/fund_code", "reference_not_found"),
    ({"appeal_id": "01938d6e-5a00-7000-8000-000000000001"}, "/appeal_id", "reference_not_found"),
    ({"connection_id": "01938d6e-5a00-7000-8000-000000000001"}, "/connection_id", "reference_not_found"),
]


async def test_what_is_refused(shop: World, stripe: FakeStripe) -> None:
    settings = {"allowed_origins": ["https://example.org"], "minimum": [{"amount": 500, "currency": "USD"}]}
    await shop.put("/v1/checkout-settings", settings)
    for changes, pointer, code in REFUSED:
        said = (await shop.client.post(PATH, json=body(**changes))).json()
        assert (said["errors"][0]["pointer"], said["errors"][0]["code"]) == (pointer, code), changes
    assert not stripe.pages
    assert (await shop.get("/v1/donations"))["data"] == []


async def test_which_connection_makes_the_page(shop: World, stripe: FakeStripe) -> None:
    no_key = {"provider": "stripe", "name": "Webhooks only", "credentials": {"webhook_secret": "whsec_other"}}
    unable = await shop.post("/v1/payment-connections", no_key)
    said = await begin(shop, connection_id=unable["id"], expect=422)
    assert said["errors"][0]["code"] == "no_checkout"
    assert (await begin(shop))["connection_id"] == await shop.stripe_connection(), "the only one that can"
    second = {**no_key, "name": "Second", "credentials": {"webhook_secret": "whsec_second", "api_key": API_KEY}}
    able = await shop.post("/v1/payment-connections", second)
    assert (await begin(shop, expect=422))["errors"][0]["code"] == "ambiguous_connection"
    assert (await begin(shop, connection_id=able["id"]))["connection_id"] == able["id"]
    assert (await begin(shop, provider="paypal", expect=409))["code"] == "no_checkout"
