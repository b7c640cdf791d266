"""Payments that belong to nobody yet: queued, matched by hand and by rule, set aside, and forgotten with the person."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from crm_api.kit import clock
from crm_api.kit.db import prepare
from crm_api.payments.matching import rules
from crm_api.payments.providers import PROVIDERS
from tests.conftest import MakeWorld
from tests.support.gateways import ACCOUNTS, connect, deliver
from tests.support.stripe_events import gift_event, stripe_event
from tests.support.world import World

START = datetime(2026, 5, 4, 10, 0, tzinfo=UTC)


@pytest.fixture
async def jar(make_world: MakeWorld) -> tuple[World, str]:
    """An organization whose account at the bank gets transfers with a comment."""
    world = await make_world(currency="UAH")
    return world, await connect(world, "monobank_personal")


async def transfer(world: World, connection: str, comment: str, *, number: int = 1, amount: int = 50_000) -> None:
    """A top-up; who made it stands in its comment only."""
    provider = PROVIDERS["monobank_personal"]
    payload = provider.sample("StatementItem", now=START, seed="s")
    item = payload["data"]["statementItem"]
    item |= {
        "id": f"tr{number}",
        "amount": amount,
        "operationAmount": amount,
        "comment": comment,
        "description": "Від:",
    }
    item.pop("counterName", None)
    item.pop("counterIban", None)
    now = clock.utc_now()
    await deliver(
        world, "monobank_personal", connection, provider.signed(payload, ACCOUNTS["monobank_personal"], now=now)
    )
    await world.drain()


async def queue(world: World, **query: Any) -> list[Any]:
    found: list[Any] = (await world.get("/v1/payments/unmatched", params=query))["data"]
    return found


async def rule(world: World, **body: Any) -> Any:
    return await world.post("/v1/payment-match-rules", {"name": "Rule", **body})


async def test_matched_by_hand(jar: tuple[World, str]) -> None:
    world, connection = jar
    contact = await world.contact()
    await transfer(world, connection, "На дрони від Олени Шевченко")
    (waiting,) = await queue(world)
    gift = await world.get(f"/v1/donations/{waiting['donation_id']}")
    assert (gift["status"], gift["contact_id"]) == ("succeeded", None)
    expected = {"kind": "donation", "state": "waiting", "reason": "hint_only", "connection_id": connection}
    assert {name: waiting[name] for name in expected} == expected
    assert "На дрони" in waiting["hint"]
    assert waiting["amount"] == gift["amount"]
    path = f"/v1/payments/unmatched/{gift['id']}"
    matched = await world.post(f"{path}/match", {"contact_id": contact["id"]})
    assert matched["state"] == "matched"
    await world.drain()
    assert (await world.get(f"/v1/donations/{gift['id']}"))["contact_id"] == contact["id"]
    assert (await world.profile(contact["id"]))["gift_count"] == 1
    assert len(world.letters()) == 1
    assert await queue(world) == []
    assert (await world.post(f"{path}/match", {"contact_id": contact["id"]}, expect=409))["code"] == "already_matched"


async def test_suggestions(jar: tuple[World, str]) -> None:
    """By name in any script and order, and by an id of the organization's own."""
    world, connection = jar
    named = await world.contact()
    known = await world.contact(
        given_name="Іван", family_name="Франко", emails=[], external_ids=[{"system": "donors", "id": "D-2002"}]
    )
    await world.contact(given_name="Леся", family_name="Українка", emails=[])
    await rule(world, kind="external_id", value="donors", is_active=False)
    await transfer(world, connection, "d-2002 допомога від shevchenko olena")
    (waiting,) = await queue(world)
    found = (await world.get(f"/v1/payments/unmatched/{waiting['donation_id']}/suggestions"))["data"]
    assert [(one["contact_id"], one["reasons"]) for one in found] == [
        (known["id"], ["external_id"]),
        (named["id"], ["name"]),
    ]
    await world.get(f"/v1/payments/unmatched/{named['id']}/suggestions", expect=404)


async def test_a_contact_is_made(jar: tuple[World, str]) -> None:
    world, connection = jar
    await transfer(world, connection, "Марія")
    (waiting,) = await queue(world)
    path = f"/v1/payments/unmatched/{waiting['donation_id']}"
    weak = await world.post("/v1/api-keys", {"name": "Cashier", "scopes": ["payments:write", "payments:read"]})
    headers = {"Authorization": f"Bearer {weak['key']}"}
    body = {"create": {"given_name": "Марія", "emails": [{"address": "maria@example.org"}]}}
    assert (await world.post(f"{path}/match", body, headers=headers, expect=403))["scope"] == "contacts:write"
    (shown,) = (await world.get("/v1/payments/unmatched", headers=headers))["data"]
    assert shown["hint"] is None, "what people wrote is for those who may read contacts"
    await world.post(f"{path}/match", body)
    (contact,) = (await world.get("/v1/contacts"))["data"]
    assert (await world.get(f"/v1/donations/{waiting['donation_id']}"))["contact_id"] == contact["id"]


async def test_set_aside(jar: tuple[World, str]) -> None:
    world, connection = jar
    contact = await world.contact()
    await transfer(world, connection, "слава")
    (waiting,) = await queue(world)
    path = f"/v1/payments/unmatched/{waiting['donation_id']}"
    assert (await world.post(f"{path}/dismiss", expect=200))["state"] == "dismissed"
    await rule(world, kind="contains", value="слава", contact_id=contact["id"])
    await world.drain()
    assert await queue(world) == []
    assert [one["state"] for one in await queue(world, state="dismissed")] == ["dismissed"]
    assert (await world.post(f"{path}/match", {"contact_id": contact["id"]}))["state"] == "matched"


async def test_rules_look_at_new_and_waiting_payments(jar: tuple[World, str]) -> None:
    world, connection = jar
    baker = await world.contact(given_name="Bakery", emails=[])
    donor = await world.contact(given_name="Іван", emails=[], external_ids=[{"system": "donors", "id": "D-2002"}])
    fund = await world.post("/v1/funds", {"code": "drones", "name": "Drones"})
    await transfer(world, connection, "Код d-2002, на ДРОНИ", number=1)
    await transfer(world, connection, "UA21 3223 1300 0002 6007 2335 6600 1", number=2)
    await transfer(world, connection, "D-20021", number=3)
    assert len(await queue(world)) == 3
    await rule(world, kind="contains", value="дрони", fund_id=fund["id"])
    by_id = await rule(world, kind="external_id", value="donors")
    by_iban = await rule(world, kind="iban", value="UA213223130000026007233566001", contact_id=baker["id"])
    await world.drain()
    (left,) = await queue(world)
    assert "D-20021" in left["hint"], "another code that only begins so"
    matched = {one["rule_id"]: one["donation_id"] for one in await queue(world, state="matched")}
    first = await world.get(f"/v1/donations/{matched[by_id['id']]}")
    assert (first["contact_id"], first["fund_id"]) == (donor["id"], fund["id"])
    assert (await world.get(f"/v1/donations/{matched[by_iban['id']]}"))["contact_id"] == baker["id"]
    await transfer(world, connection, "від пекарні: ua213223130000026007233566001", number=4)
    assert len(await queue(world)) == 1
    assert len(await queue(world, state="matched", rule_id=by_iban["id"])) == 2, "known at once by which rule"
    own = await rule(world, kind="code", value="D-20021", contact_id=baker["id"], is_active=False)
    await world.drain()
    assert len(await queue(world)) == 1
    await world.patch(f"/v1/payment-match-rules/{own['id']}", {"is_active": True})
    await world.drain()
    assert await queue(world) == []


async def test_rules_that_could_do_nothing(world: World) -> None:
    for body, code in (
        ({"kind": "contains", "value": "ab"}, "value_does_not_fit"),
        ({"kind": "iban", "value": "not an account"}, "value_does_not_fit"),
        ({"kind": "code", "value": "D-1"}, "no_effect"),
    ):
        said = await world.post("/v1/payment-match-rules", {"name": "Rule", **body}, expect=422)
        assert said["errors"][0]["code"] == code


async def test_who_waits_and_who_does_not(world: World) -> None:
    """Gifts without a donor, unless that is meant or no money has come; found out by themselves when it changes."""
    await world.donation(None)
    await world.donation(None, is_anonymous=True)
    await world.donation((await world.contact())["id"])
    await world.stripe_sends(gift_event("nobody", email=None, name=None))
    await world.stripe_sends(
        stripe_event("payment_intent.payment_failed", seed="failed", customer=None, receipt_email=None, metadata={})
    )
    await world.drain()
    waiting = await queue(world)
    assert {one["reason"] for one in waiting} == {"payer_unknown"}
    assert {one["provider"] for one in waiting} == {None, "stripe"}
    later = stripe_event(
        "checkout.session.completed", seed="nobody", after=60, amount_total=2500, currency="usd", customer=None,
        metadata={}, customer_details={"email": "o@example.org", "name": "Olena", "phone": None, "address": None},
    )  # fmt: skip
    await world.stripe_sends(later)
    await world.drain()
    assert [one["provider"] for one in await queue(world)] == [None]


async def test_later_payments_of_the_same_customer_are_matched_at_once(world: World) -> None:
    contact = await world.contact(emails=[])
    for seed in ("one", "two"):
        await world.stripe_sends(gift_event(seed, email=None, name=None, customer="cus_quiet"))
        await world.drain()
        if seed == "one":
            (waiting,) = await queue(world)
            await world.post(f"/v1/payments/unmatched/{waiting['donation_id']}/match", {"contact_id": contact["id"]})
    assert {gift["contact_id"] for gift in (await world.get("/v1/donations"))["data"]} == {contact["id"]}
    assert await queue(world) == []


async def test_events_without_their_payment(world: World) -> None:
    start = clock.utc_now()
    await world.set_clock(start)
    await world.stripe_sends(
        stripe_event("refund.created", seed="lost", status="succeeded", amount=100, currency="usd")
    )
    await world.drain()
    assert await queue(world) == []
    await world.set_clock(start + timedelta(hours=2))
    await world.drain()
    (waiting,) = await queue(world, kind="event")
    (event,) = (await world.get("/v1/payments/inbox", params={"state": "unmatched"}))["data"]
    assert (waiting["event_id"], waiting["reason"], waiting["hint"]) == (event["id"], "payment_unknown", None)
    await world.stripe_sends(gift_event("lost", email="o@example.org", name="Olena"))
    await world.drain()
    assert await queue(world) == []
    (gift,) = (await world.get("/v1/donations"))["data"]
    assert gift["refunded_amount"]["amount"] == 100


async def test_hints_go_with_the_person(jar: tuple[World, str]) -> None:
    world, connection = jar
    contact = await world.contact(emails=[{"address": "olena.shevchenko@example.org"}])
    await transfer(world, connection, "Від Олени, olena.shevchenko@example.org", number=1)
    await transfer(world, connection, "ще раз olena.shevchenko@example.org", number=2)
    await transfer(world, connection, "хтось інший", number=3)
    first = next(one for one in await queue(world) if "Від Олени" in one["hint"])
    await world.post(f"/v1/payments/unmatched/{first['donation_id']}/match", {"contact_id": contact["id"]})
    await rule(world, kind="contains", value="Олени", contact_id=contact["id"])
    await world.drain()
    await world.post(f"/v1/contacts/{contact['id']}/erasure", {"confirm": True}, expect=202)
    await world.drain()
    kept = await world.database.read(world.tenant).fetch(
        prepare(text("SELECT hint FROM unmatched_payments WHERE organization_id = :organization_id ORDER BY hint"))
    )
    assert [row["hint"] for row in kept] == ["хтось інший", None]
    assert (await world.get("/v1/payment-match-rules"))["data"] == []


WORDS = st.text(alphabet="abвгд12-. ", max_size=12)


@given(before=WORDS, code=st.from_regex(r"[A-Za-z]{1,3}-[0-9]{1,5}", fullmatch=True), after=WORDS)
def test_a_code_is_found_by_itself_only(before: str, code: str, after: str) -> None:
    hint = f"{before}{code}{after}"
    alone = (not before or not (before[-1].isalnum() or before[-1] in "-_")) and (
        not after or not (after[0].isalnum() or after[0] in "-_")
    )
    if alone:
        assert rules.holds_code(hint.upper(), code.lower())
    elif hint.count(code) == 1:
        assert not rules.holds_code(hint, code)
    assert rules.holds_code(f"({code})", code)


@given(st.text(max_size=60))
def test_no_text_breaks_a_rule(hint: str) -> None:
    for kind, value in (("contains", "abc"), ("code", "D-1"), ("iban", "UA213223130000026007233566001")):
        one = rules.Rule(id=None, kind=kind, value=value)  # type: ignore[arg-type]
        assert isinstance(one.fits(hint, None), bool)
    assert all(rules.tokens(hint))
