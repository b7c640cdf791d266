"""Every fixture of Monobank, LiqPay, WayForPay and Fondy, posted as it stands over HTTP, ends as its `expect` says."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from crm_api.kit.db import prepare
from crm_api.payments.outside import OUTSIDE
from crm_api.payments.provider import Delivery
from crm_api.payments.providers import PROVIDERS
from crm_api.payments.providers.monobank import simulated_account
from tests.conftest import MakeWorld
from tests.support.gateways import ACCOUNTS, connect, deliver, fake_gateway, send
from tests.support.services import Services
from tests.support.world import World, open_world

FOLDER = Path(__file__).parents[1] / "fixtures"
PLAN_WORDS = {"cancelled": "canceled"}
CASES = sorted(
    f"{folder}/{path.stem}"
    for folder in ("monobank", "liqpay", "wayforpay", "fondy")
    for path in (FOLDER / folder).glob("*.json")
)
NOW = datetime(2026, 5, 4, 10, 0, tzinfo=UTC)
BODIES = prepare(text("SELECT event_type, body FROM provider_events WHERE organization_id = :organization_id"))


def fixture(case: str) -> Any:
    return json.loads((FOLDER / f"{case}.json").read_text("utf-8"))


def provider_of(case: str) -> str:
    return "monobank_personal" if "personal" in case else case.partition("/")[0]


def account_of(case: str) -> dict[str, str]:
    """The account that a fixture was signed for."""
    check = fixture(case).get("verification", {})
    return {
        "monobank": {"token": "uRealToken", "public_key": check.get("pubkey_base64", "")},
        "monobank_personal": {"secret": "jar-secret-0001"},
        "liqpay": {"public_key": check.get("public_key", ""), "private_key": check.get("private_key", "")},
        "wayforpay": {"merchant_account": check.get("merchant_account", ""), "secret_key": check.get("secret", "")},
        "fondy": {"merchant_id": "1700000", "secret_key": check.get("secret", "")},
    }[provider_of(case)]


def delivery_of(case: str) -> Delivery:
    request = fixture(case)["request"]
    tail = "jar-secret-0001" if provider_of(case) == "monobank_personal" else ""
    return Delivery(request["body_raw"].encode(), request["headers"], tail=tail)


def minor(wanted: dict[str, Any]) -> int:
    return int(wanted["amount_minor"] if "amount_minor" in wanted else Decimal(wanted["amount_decimal"]) * 100)


async def inbox(world: World, **query: Any) -> list[Any]:
    found: list[Any] = (await world.get("/v1/payments/inbox", params=query))["data"]
    return found


async def gifts_of(world: World) -> list[Any]:
    found: list[Any] = (await world.get("/v1/donations"))["data"]
    return found


def test_no_fixture_is_left_out() -> None:
    assert len(CASES) == 17
    words = {word for case in CASES for word in fixture(case)["expect"]}
    assert words == {"donation", "plan", "http", "effects", "http_response_body_example"}


@pytest.mark.parametrize("case", [case for case in CASES if not case.endswith("validation_get")])
async def test_a_fixture_ends_as_it_says(world: World, case: str) -> None:
    provider, expect = provider_of(case), fixture(case)["expect"]
    connection = await connect(world, provider, account_of(case))
    example = expect.get("http_response_body_example")
    await world.set_clock(datetime.fromtimestamp(example["time"] if example else 1_760_001_000, UTC))
    for _ in range(2):  # a repeated delivery is answered alike and changes nothing
        answer = await deliver(world, provider, connection, delivery_of(case))
        assert answer.json() == (example or {"received": True})
        await world.drain()
    (event,) = await inbox(world)
    assert (event["state"], event["reason"]) == ("handled", None)
    assert {job["state"] for job in await world.jobs()} == {"done"}
    gifts = await gifts_of(world)
    assert len(gifts) == (1 if "donation" in expect else 0)
    if wanted := expect.get("donation"):
        (gift,) = gifts
        assert (gift["provider"], gift["provider_payment_id"]) == (provider, wanted["ref"])
        assert (gift["status"], gift["version"]) == (wanted["status"], 1)
        assert gift["amount"] == {"amount": minor(wanted), "currency": wanted["currency"]}
        assert gift["refunded_amount"]["amount"] == wanted.get("refunded_minor", 0)
        assert event["donation_id"] == gift["id"]
        if wanted.get("needs_matching"):
            assert gift["contact_id"] is None
    plans = {plan["provider_plan_id"]: plan for plan in (await world.get("/v1/recurring-plans"))["data"]}
    assert set(plans) == {one for one in (expect.get("plan", {}).get("ref"), (wanted or {}).get("plan_ref")) if one}
    if wanted and "plan_ref" in wanted:
        assert gifts[0]["recurring_plan_id"] == plans[wanted["plan_ref"]]["id"]
    if wanted := expect.get("plan"):
        plan = plans[wanted["ref"]]
        assert plan["status"] == PLAN_WORDS.get(wanted["status"], wanted["status"])
        assert (plan["ended_at"] is not None) == (plan["status"] == "canceled")
        if "amount_decimal" in wanted:
            assert plan["amount"] == {"amount": minor(wanted), "currency": wanted["currency"]}


async def test_the_bank_s_question_is_answered_with_200(world: World) -> None:
    connection = await connect(world, "monobank_personal", {"secret": "jar-secret-0001"})
    path = f"/v1/payments/webhooks/monobank_personal/{connection}/jar-secret-0001"
    answer = await world.client.get(path, headers={"Authorization": ""})
    assert answer.status_code == 200
    assert await inbox(world) == []


async def test_what_is_not_the_provider_s_is_refused_and_nothing_is_stored(world: World) -> None:
    cases = ["monobank/invoice_success", "monobank/personal_statement_jar_top_up", "liqpay/callback_success"]
    for case in [*cases, "wayforpay/callback_approved", "fondy/callback_approved"]:
        provider, sent = provider_of(case), delivery_of(case)
        connection = await connect(world, provider, account_of(case))
        unsigned = sent.body.replace(b"&signature", b"&x").replace(b"Signature", b"X").replace(b"signature", b"x")
        wrong = {
            "monobank": [Delivery(sent.body.replace(b"42000", b"92000"), sent.headers), Delivery(sent.body)],
            "monobank_personal": [Delivery(sent.body, tail="jar-secret-0002"), Delivery(sent.body)],
        }.get(provider, [Delivery(sent.body.replace(b"1", b"2"), sent.headers), Delivery(unsigned, sent.headers)])
        for one in wrong:
            answer = await deliver(world, provider, connection, one, expect=400)
            assert answer.json()["code"].startswith("signature_"), provider
    assert await inbox(world) == []
    assert await world.drain() == 0


async def test_the_bank_s_key_is_asked_for_once_and_again_when_it_has_changed(make_world: MakeWorld) -> None:
    OUTSIDE.forget()
    async with fake_gateway() as bank:
        world = await make_world(service_urls=bank.urls)
        connection = await connect(world, "monobank", {"token": "uRealToken"})
        old, new = simulated_account("old"), simulated_account("new")
        bank.public_key = old["public_key"]
        monobank = PROVIDERS["monobank"]

        async def post(account: dict[str, str], seed: str, expect: int = 200) -> None:
            sample = monobank.sample("invoice.success", now=NOW, seed=seed)
            await deliver(world, "monobank", connection, monobank.signed(sample, account, now=NOW), expect=expect)

        bank.trouble = [500]
        await post(old, "0", expect=503)
        await post(old, "1")
        await post(old, "2")
        assert bank.paths() == ["/api/merchant/pubkey"] * 2
        bank.public_key = new["public_key"]
        await post(new, "3")
        await post(new, "4")
        assert len(bank.asked) == 3
        for number in range(5):
            await post(simulated_account("somebody else"), f"false {number}", expect=400)
        assert len(bank.asked) == 3
        assert len(await inbox(world)) == 4


async def test_test_money_is_no_gift_in_a_live_organization(make_world: MakeWorld) -> None:
    world = await make_world(mode="live")
    connection = await connect(world, "liqpay", {**ACCOUNTS["liqpay"], "public_key": "i1"})
    await send(world, "liqpay", connection, "pay.success", at=NOW)
    await send(world, "liqpay", connection, "pay.success", at=NOW, seed="2", public_key="i1", status="sandbox")
    await send(world, "liqpay", connection, "pay.success", at=NOW, seed="3", public_key="i1")
    await world.drain()
    states = sorted((one["state"], one["reason"]) for one in await inbox(world) if one["reason"])
    assert states == [("ignored", "test_event_in_live_organization")] * 2
    (gift,) = await gifts_of(world)
    assert gift["status"] == "succeeded"


async def test_a_subscription_at_liqpay_from_its_first_day_to_its_last(world: World) -> None:
    connection = await connect(world, "liqpay")
    days = [("subscribe.subscribed", 0), ("regular.success", 0), ("regular.failure", 30), ("regular.success", 33)]
    for event, day in days:
        await send(world, "liqpay", connection, event, at=NOW + timedelta(days=day))
        await world.drain()
        (plan,) = (await world.get("/v1/recurring-plans"))["data"]
        assert plan["status"] == ("past_due" if event == "regular.failure" else "active")
    gifts = await gifts_of(world)
    assert sorted(gift["status"] for gift in gifts) == ["failed", "succeeded", "succeeded"]
    assert {gift["recurring_plan_id"] for gift in gifts} == {plan["id"]}
    assert plan["contact_id"] is not None
    await send(world, "liqpay", connection, "subscribe.unsubscribed", at=NOW + timedelta(days=40))
    await send(world, "liqpay", connection, "regular.success", at=NOW + timedelta(days=41))
    await world.drain()
    (plan,) = (await world.get("/v1/recurring-plans"))["data"]
    assert (plan["status"], plan["ended_at"]) == ("canceled", "2026-06-13T10:00:00Z")


async def test_wayforpay_s_later_charges_belong_to_the_first_one_s_plan(world: World) -> None:
    connection = await connect(world, "wayforpay")
    await send(world, "wayforpay", connection, "Approved", at=NOW, orderReference="D-1")
    await send(world, "wayforpay", connection, "Approved", at=NOW, orderReference="D-1_WFPREG-7-1", seed="a")
    await send(world, "wayforpay", connection, "Declined", at=NOW, orderReference="D-1_WFPREG-7-2", seed="b")
    await world.drain()
    (plan,) = (await world.get("/v1/recurring-plans"))["data"]
    assert plan["provider_plan_id"] == "D-1"
    named = {gift["provider_payment_id"]: gift["recurring_plan_id"] for gift in await gifts_of(world)}
    assert named == {"D-1": None, "D-1_WFPREG-7-1": plan["id"], "D-1_WFPREG-7-2": plan["id"]}


STORIES: dict[str, list[str]] = {
    "monobank": [
        "invoice.created", "invoice.processing", "invoice.failure", "invoice.processing", "invoice.success",
        "invoice.refund_processing", "invoice.partially_refunded",
    ],
    "liqpay": ["pay.processing", "pay.failure", "pay.success", "pay.partially_refunded"],
    "wayforpay": ["InProcessing", "Declined", "Approved", "Refunded.partially"],
    "fondy": ["processing", "declined", "approved", "partially_reversed"],
}  # fmt: skip

PAID = {"monobank": "invoice.success", "liqpay": "pay.success", "wayforpay": "Approved", "fondy": "processing"}
"""Which of them dates the money; Fondy dates an order by its making."""


@st.composite
def mixtures(draw: st.DrawFn) -> list[tuple[str, int]]:
    """Events of all four stories in any order, some of them twice."""
    every = [(provider, number) for provider, story in STORIES.items() for number in range(len(story))]
    return [*draw(st.permutations(every)), *draw(st.lists(st.sampled_from(every), max_size=4))]


@settings(
    max_examples=2,
    phases=(Phase.generate,),
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(order=mixtures())
async def test_in_any_order_any_number_of_times(
    order: list[tuple[str, int]], database_url: str, services: Services, tmp_path_factory: pytest.TempPathFactory
) -> None:
    world = await open_world(database_url, services, tmp_path_factory.mktemp("mail"), currency="UAH")
    try:
        connections = {provider: await connect(world, provider) for provider in STORIES}
        for place, (provider, number) in enumerate(order):
            at = NOW + timedelta(minutes=number)
            told = {"order_time": "04.05.2026 13:00:00"} if provider == "fondy" else {}  # Kyiv's, in all of its states
            await send(world, provider, connections[provider], STORIES[provider][number], at=at, **told)
            if place % 7 == 3:
                await world.drain()
        await world.drain()
        gifts = await gifts_of(world)
        assert sorted(gift["provider"] for gift in gifts) == sorted(STORIES)
        for gift in gifts:
            assert gift["status"] == "partially_refunded", gift["provider"]
            assert gift["refunded_amount"]["amount"] * 2 == gift["amount"]["amount"]
            paid_at = NOW + timedelta(minutes=STORIES[gift["provider"]].index(PAID[gift["provider"]]))
            assert datetime.fromisoformat(gift["received_at"]) == paid_at
        assert {event["state"] for event in await inbox(world, limit=100)} == {"handled"}
    finally:
        await world.close()


async def test_who_is_erased_is_gone_from_every_kind_of_body(world: World) -> None:
    connections = {provider: await connect(world, provider) for provider in ("liqpay", "fondy", "monobank_personal")}
    first, family, mobile = "Олена", "Ковальчук", "380501234567"
    person = {"sender_first_name": first, "sender_last_name": family, "sender_phone": mobile}
    await send(world, "liqpay", connections["liqpay"], "regular.success", at=NOW, order_id="D-7001", **person)
    await send(world, "liqpay", connections["liqpay"], "subscribe.subscribed", at=NOW, order_id="D-7001", **person)
    await world.drain()
    (gift,) = await gifts_of(world)
    await world.post(f"/v1/contacts/{gift['contact_id']}/erasure", {"confirm": True}, expect=202)
    await world.drain()
    reader = world.database.read(world.tenant)
    for row in await reader.fetch(BODIES):
        payload = PROVIDERS["liqpay"].parse(row["body"])
        assert payload["order_id"] == "D-7001"
        for name, value in person.items():
            assert payload.get(name) != value, row["event_type"]
    before = await gifts_of(world)
    for event in await inbox(world):
        await world.post(f"/v1/payments/inbox/{event['id']}/replay", expect=202)
    await world.drain()
    assert [(one["status"], one["amount"]) for one in await gifts_of(world)] == [
        (one["status"], one["amount"]) for one in before
    ]


async def test_the_secret_may_stand_in_the_query(world: World) -> None:
    connection = await connect(world, "monobank_personal")
    sample = PROVIDERS["monobank_personal"].sample("StatementItem", now=NOW, seed="q")
    path = f"/v1/payments/webhooks/monobank_personal/{connection}"
    for query, status in (({"key": "a-secret-of-the-tests", "v": "1"}, 200), ({"key": "guess"}, 400)):
        answer = await world.client.post(path, json=sample, params=query, headers={"Authorization": ""})
        assert answer.status_code == status, answer.text


@pytest.mark.parametrize("first", ["monobank", "monobank_personal"])
async def test_an_invoice_s_money_on_the_account_is_the_same_gift(world: World, first: str) -> None:
    connections = {name: await connect(world, name) for name in ("monobank", "monobank_personal")}
    invoice = PROVIDERS["monobank"].sample("invoice.success", now=NOW, seed="s")
    row = PROVIDERS["monobank_personal"].sample("StatementItem", now=NOW, seed="s")["data"]["statementItem"]
    row |= {"amount": invoice["amount"] - 500, "invoiceId": invoice["invoiceId"]}
    for name in (first, *(other for other in connections if other != first)):
        if name == "monobank":
            await send(world, name, connections[name], "invoice.success", at=NOW)
        else:
            await send(world, name, connections[name], "StatementItem", at=NOW, data={"statementItem": row})
        await world.drain()
    (gift,) = await gifts_of(world)
    assert (gift["provider"], gift["provider_payment_id"]) == ("monobank", invoice["invoiceId"])
    assert gift["amount"]["amount"] == invoice["amount"]
