"""Every fixture of PayPal, Donorbox, GoFundMe Pro, Givebutter and the generic source, posted as it stands over HTTP,
ends as its `expect` says."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from crm_api.kit import http
from crm_api.payments.outside import OUTSIDE
from crm_api.payments.provider import Delivery
from crm_api.payments.providers import PROVIDERS
from tests.conftest import MakeWorld
from tests.support.gateways import connect, deliver
from tests.support.platforms import PAYPAL, FakePlatform, fake_platform
from tests.support.world import World

FOLDER = Path(__file__).parents[1] / "fixtures"
FOLDERS = ("paypal", "donorbox", "gofundme-pro", "givebutter", "standard-webhooks")
CASES = sorted(f"{folder}/{path.stem}" for folder in FOLDERS for path in (FOLDER / folder).glob("*.json"))
PLAN_WORDS = {"suspended": "paused", "cancelled": "canceled"}
PATH = "/v1/notifications/certs/CERT-fixture-00000000-00000000"


def fixture(case: str) -> Any:
    return json.loads((FOLDER / f"{case}.json").read_text("utf-8"))


def provider_of(case: str) -> str:
    folder = case.partition("/")[0].replace("-", "_")
    return "generic" if folder == "standard_webhooks" else folder


def valid(case: str) -> bool:
    return bool(fixture(case)["verification"]["expect_valid"])


def account_of(case: str) -> dict[str, str]:
    """The account that a fixture was signed for."""
    check = fixture(case)["verification"]
    if provider_of(case) == "paypal":
        return {**PAYPAL, "webhook_id": check["webhook_id"]}
    return {"secret": check["secret"]}


def delivery_of(case: str) -> Delivery:
    request = fixture(case)["request"]
    return Delivery(request["body_raw"].encode(), request["headers"])


@pytest.fixture
async def outside() -> AsyncIterator[FakePlatform]:
    OUTSIDE.forget()
    async with fake_platform() as platform:
        yield platform
    OUTSIDE.forget()


async def ready(case: str, make_world: MakeWorld, outside: FakePlatform, tmp_path: Path) -> tuple[World, str]:
    """An organization of the fixture's own, its clock at the delivery; trusting the fixture's certificate."""
    check, trusted = fixture(case)["verification"], tmp_path / "trusted.pem"
    if cert := check.get("cert_pem"):
        trusted.write_text(cert)
        outside.certificates[PATH] = cert.encode()
    world = await make_world(service_urls=outside.urls, paypal_ca_file=str(trusted) if cert else "")
    await world.set_clock(datetime.fromtimestamp(check.get("now", 1_760_000_001), UTC))
    return world, await connect(world, provider_of(case), account_of(case))


async def before(world: World, case: str, connection: str) -> None:
    """The payment that a refund is about: the fixtures of refunds name one that came earlier."""
    body = json.loads(delivery_of(case).body)
    if provider_of(case) != "paypal" or "REFUNDED" not in body["event_type"]:
        return
    kind = body["event_type"].replace("REFUNDED", "COMPLETED")
    event = PROVIDERS["paypal"].sample(kind, now=datetime(2025, 10, 8, tzinfo=UTC), seed=case)
    resource = event["resource"]
    resource["id"] = fixture(case)["expect"]["donation"]["ref"]
    resource["amount"] = {**resource["amount"], **body["resource"]["amount"]}
    resource["billing_agreement_id"] = "I-BEFORE00001"
    # It was signed with PayPal's key, which only the fixture's author had; so it is put where the API gives it.
    paths = {"capture": "/v2/payments/captures/", "sale": "/v1/payments/sale/"}
    world.app.state.outside.objects[paths[event["resource_type"]] + resource["id"]] = resource


async def inbox(world: World) -> list[Any]:
    found: list[Any] = (await world.get("/v1/payments/inbox"))["data"]
    return found


def minor(text: str) -> int:
    return int(Decimal(text) * 100)


async def check(world: World, expect: dict[str, Any]) -> None:
    """Compare what the API shows with a fixture's neutral words."""
    gifts = (await world.get("/v1/donations"))["data"]
    plans = {plan["provider_plan_id"]: plan for plan in (await world.get("/v1/recurring-plans"))["data"]}
    if "donations" in expect:
        assert len(gifts) == expect["donations"]
    if wanted := expect.get("donation"):
        (gift,) = gifts
        assert (gift["provider_payment_id"], gift["status"]) == (wanted["ref"], wanted["status"])
        assert gift["amount"]["currency"] == wanted["currency"]
        if "amount_decimal" in wanted:
            assert gift["amount"]["amount"] == minor(wanted["amount_decimal"])
        if "fee_decimal" in wanted:
            assert gift["fee_amount"]["amount"] == minor(wanted["fee_decimal"])
        assert gift["refunded_amount"]["amount"] == minor(wanted.get("refunded_decimal", "0"))
        if wanted.get("plan_ref"):
            assert gift["recurring_plan_id"] == plans[wanted["plan_ref"]]["id"]
        if "country" in expect:
            contact = await world.get(f"/v1/contacts/{gift['contact_id']}")
            assert [one["country"] for one in contact["addresses"]] == [expect["country"]]
    if wanted := expect.get("plan"):
        plan = plans[wanted["ref"]]
        assert plan["status"] == PLAN_WORDS.get(wanted["status"], wanted["status"])
        if "amount_decimal" in wanted:
            assert plan["amount"]["amount"] == minor(wanted["amount_decimal"])
            assert (plan["frequency_unit"], plan["frequency_interval"]) == (wanted["interval"], 1)


def test_no_fixture_is_left_out() -> None:
    assert len(CASES) == 18
    assert sorted(case for case in CASES if not valid(case)) == [
        "paypal/body_reserialised_by_proxy",
        "paypal/unsupported_auth_algo",
    ]
    words = {word for case in CASES for word in fixture(case)["expect"]}
    assert words == {"donation", "donations", "plan", "country", "effects", "http_status_class", "delivered_when"}


@pytest.mark.parametrize("case", [case for case in CASES if valid(case)])
async def test_a_fixture_ends_as_it_says(
    case: str, make_world: MakeWorld, outside: FakePlatform, tmp_path: Path
) -> None:
    world, connection = await ready(case, make_world, outside, tmp_path)
    world.app.state.outside = outside
    await before(world, case, connection)
    for _ in range(2):  # a repeated delivery is answered alike and changes nothing
        await deliver(world, provider_of(case), connection, delivery_of(case), expect=202)
        await world.drain()
    (event,) = await inbox(world)
    if event["state"] == "waiting":
        await ask_now(world)
        (event,) = await inbox(world)
    await check(world, fixture(case)["expect"])
    ignored = {
        "paypal/empty_object_in_body": "not_captured",
        "standard-webhooks/outbound_event_unicode": "unknown_type",
    }
    assert (event["state"], event["reason"]) == (("ignored", ignored[case]) if case in ignored else ("handled", None))


async def ask_now(world: World) -> None:
    """Let the question to the provider, which is put a second later, be put now."""
    for job in await world.jobs(subscriber="payments.fetch_payment", state="due"):
        await world.post(f"/v1/jobs/{job['id']}/retry", expect=200)
    await world.drain()


async def test_a_delivery_that_is_not_the_provider_s_is_refused_and_nothing_is_stored(
    make_world: MakeWorld, outside: FakePlatform, tmp_path: Path
) -> None:
    world, _ = await ready(CASES[-1], make_world, outside, tmp_path)
    trusted = {fixture(case)["verification"].get("cert_pem", "") for case in CASES if valid(case)}
    (tmp_path / "trusted.pem").write_text("".join(trusted))
    http.configure(outside.urls, paypal_ca_file=str(tmp_path / "trusted.pem"))
    for case in CASES:
        check, provider = fixture(case)["verification"], provider_of(case)
        now = datetime.fromtimestamp(check.get("now", 1_760_000_001), UTC)
        outside.certificates[PATH] = check.get("cert_pem", next(iter(trusted))).encode()
        OUTSIDE.forget()
        await world.set_clock(now)
        connection = await connect(world, provider, account_of(case))
        for one in bad_ones(case):
            refused = await deliver(world, provider, connection, one, expect=400)
            assert refused.json()["code"].startswith("signature_"), case
        if valid(case) and provider != "givebutter":
            await world.set_clock(now + timedelta(days=5))
            refused = await deliver(world, provider, connection, delivery_of(case), expect=400)
            assert refused.json()["code"] == "signature_timestamp_expired", case
    assert await inbox(world) == []


def bad_ones(case: str) -> list[Delivery]:
    """What is not to be believed of a fixture: itself, or with another byte, without its signature."""
    sent = delivery_of(case)
    if not valid(case):
        return [sent]
    if provider_of(case) == "givebutter":
        return [Delivery(sent.body, {"Signature": "another_secret_of_somebody"}), Delivery(sent.body)]
    return [Delivery(sent.body + b" ", sent.headers), Delivery(sent.body, {"Content-Type": "application/json"})]
