"""Two organizations that know each other's ids. Nothing of one can be read, changed, referred to or noticed by the
other: as path, body, filter, cursor or webhook address."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from crm_api.kit.ids import new_id
from crm_api.payments.providers import STRIPE
from tests.api.surface import FIXTURES, Operation, Planted, leaves, operations, problem_of, replaced, send
from tests.support.world import World


def _body(planted: Planted, operation: Operation) -> bytes:
    return json.dumps(planted.body(operation)).encode() if operation.body else b""


async def _everything(world: World) -> dict[str, Any]:
    """All that an organization can read of itself."""
    found = {}
    for operation in operations():
        if operation.is_list and not operation.in_path:
            page = await world.get(operation.path, params={"limit": 200, "include_total": "true"})
            for row in page["data"]:
                row.pop("last_used_at", None)
            found[operation.path] = page
    return found


async def test_every_route_with_the_others_ids(planted: Planted, other: Planted) -> None:
    """Each id of each path, one at a time: the same 404 as for an id that does not exist."""
    before = await _everything(planted.world)
    walked = 0
    for operation in operations():
        if operation.public:
            continue
        for name in operation.ids:
            nothing = str(new_id())
            body = _body(other, operation)
            answers = [
                await send(other.world, operation.method, other.url(operation, **{name: value}), body=body)
                for value in (planted.ids[name], nothing)
            ]
            theirs, absent = [problem_of(answer, never=[planted.ids[name], nothing]) for answer in answers]
            assert theirs["status"] == 404, f"{operation} {name}: {answers[0].text}"
            assert {**theirs, "request_id": ""} == {**absent, "request_id": ""}, f"{operation} tells them apart"
            walked += 1
    assert walked >= 34
    assert await _everything(planted.world) == before


async def test_the_external_id_of_another_organization(planted: Planted, other: Planted) -> None:
    await other.world.contact(external_ids=[{"system": "theirs", "id": "7"}])
    path = "/v1/contacts/by-external-id/theirs/7"
    await planted.world.get(path, expect=404)
    made = await planted.world.put(path, {"given_name": "Ours"}, expect=201)
    assert made["id"] != (await other.world.get(path))["id"]


def _references(operation: Operation, planted: Planted) -> list[tuple[str | int, ...]]:
    """Places of the body that name a row."""
    body = planted.body(operation)
    return [at for at, _ in leaves(body) if str(at[-1]) in planted.ids and str(at[-1]).endswith("_id")]


_MORE = {
    "donations_create": ("fund_id", "campaign_id"),
    "deals_create": ("stage_id", "owner_member_id"),
    "deals_update": ("contact_id", "owner_member_id"),
    "interactions_create": ("campaign_id",),
    "interactions_update": ("campaign_id",),
    "intake_sources_create": ("campaign_id",),
    "intake_sources_update": ("campaign_id",),
    "donations_checkout_create": ("contact_id", "fund_id", "campaign_id", "appeal_id", "connection_id"),
    "payment_match_rules_create": ("fund_id", "campaign_id", "connection_id"),
    "payment_match_rules_update": ("contact_id", "fund_id", "campaign_id", "connection_id"),
    "tasks_create": ("deal_id", "interaction_id"),
    "tasks_update": ("contact_id", "assignee_id", "deal_id", "interaction_id"),
}
"""References that the examples leave out."""


async def test_every_body_with_the_others_ids(planted: Planted, other: Planted) -> None:
    """404 without the id, and nothing is written."""
    tried = set()
    for operation in operations():
        if operation.body is None or operation.public or operation.id == "contacts_batch":  # see below
            continue
        body = other.body(operation)
        places = _references(operation, other) + [(name,) for name in _MORE.get(operation.id, ())]
        for at in places:
            name = str(at[-1])
            if len(at) == 1:
                body.setdefault(name, other.ids[name])
            answers = []
            for value in (planted.ids[name], str(new_id())):
                sent = replaced(body, at, value)
                if operation.id == "deals_create" and name == "pipeline_id":
                    sent.pop("stage_id", None)
                if "code" in sent:
                    sent["code"] = "fresh"
                answer = await send(other.world, operation.method, other.url(operation), body=json.dumps(sent).encode())
                answers.append(problem_of(answer, never=[value]))
            theirs, absent = answers
            assert theirs["status"] == 404, f"{operation} {name}: {theirs}"
            assert {**theirs, "request_id": ""} == {**absent, "request_id": ""}, f"{operation} tells them apart"
            assert theirs["errors"][0]["pointer"].rpartition("/")[2] == name
            tried.add((operation.id, name))
    assert tried == {
        ("donations_create", "contact_id"), ("donations_create", "fund_id"), ("donations_create", "campaign_id"),
        ("appeals_create", "campaign_id"), ("deals_create", "pipeline_id"), ("deals_create", "contact_id"),
        ("deals_create", "stage_id"), ("deals_create", "owner_member_id"), ("deals_update", "contact_id"),
        ("deals_update", "owner_member_id"), ("deals_move", "stage_id"),
        ("household_members_create", "contact_id"), ("households_create", "contact_id"),
        ("relationships_create", "from_contact_id"), ("relationships_create", "to_contact_id"),
        ("interactions_create", "contact_id"), ("interactions_create", "member_id"),
        ("interactions_create", "campaign_id"), ("interactions_update", "campaign_id"),
        ("tasks_create", "contact_id"), ("tasks_create", "assignee_id"), ("tasks_create", "deal_id"),
        ("tasks_create", "interaction_id"), ("tasks_update", "contact_id"), ("tasks_update", "assignee_id"),
        ("tasks_update", "deal_id"), ("tasks_update", "interaction_id"),
        ("intake_sources_create", "campaign_id"), ("intake_sources_update", "campaign_id"),
        ("recurring_plans_create", "contact_id"), ("recurring_plans_create", "fund_id"),
        ("recurring_plans_create", "campaign_id"), ("recurring_plans_pay", "donation_id"),
        ("pledges_create", "contact_id"), ("pledges_create", "fund_id"), ("pledges_create", "campaign_id"),
        ("pledge_payments_create", "donation_id"),
        ("intake_sources_link", "contact_id"), ("receipts_create", "donation_id"),
        ("donations_upsert_by_external_id", "contact_id"), ("donations_refund_failed", "refund_id"),
        ("donation_soft_credits_create", "contact_id"), ("matching_gifts_create", "company_contact_id"),
        ("gift_batches_add", "contact_id"), ("gift_batches_add", "fund_id"), ("gift_batches_add", "campaign_id"),
        ("donations_upsert_by_external_id", "fund_id"), ("donations_upsert_by_external_id", "campaign_id"),
        *(("donations_checkout_create", name) for name in _MORE["donations_checkout_create"]),
        *(("payment_match_rules_update", name) for name in _MORE["payment_match_rules_update"]),
        *(("payment_match_rules_create", name) for name in _MORE["payment_match_rules_update"]),
        ("payments_unmatched_match", "contact_id"), ("payouts_create", "connection_id"),
    }  # fmt: skip


async def test_a_batch_with_the_others_ids(planted: Planted, other: Planted) -> None:
    """Each item for itself: the other's contact is as absent as one that never was."""
    ids = [planted.ids["contact_id"], str(new_id())]
    items = [{"op": "update", "id": one, "body": {"tags": ["taken"]}} for one in ids]
    answer = await other.world.post("/v1/contacts/batch", {"items": items, "atomic": False}, expect=200)
    theirs, absent = answer["results"]
    assert (theirs["status"], theirs["problem"]) == (absent["status"], absent["problem"])
    assert theirs["status"] == 404
    assert planted.ids["contact_id"] not in str(answer)


async def test_every_filter_with_the_others_values(planted: Planted, other: Planted) -> None:
    """Ids of the other organization match nothing, and no total counts them."""
    asked = 0
    for operation in operations():
        if not operation.is_list:
            continue
        path = planted.url(operation)
        theirs = (await other.world.get(other.url(operation)))["data"]
        for parameter in operation.parameters:
            name = parameter["name"].removesuffix("[in]")
            if parameter["in"] != "query" or parameter["schema"].get("format") != "uuid":
                continue
            value = theirs[0].get(name) or other.ids.get(name)
            if value is None:
                continue
            query = {parameter["name"]: value, "include_total": "true"}
            page = await planted.world.get(path, params=query)
            assert (page["data"], page["total"], page["has_more"]) == ([], 0, False), f"{operation} {name}"
            asked += 1
    assert asked >= 20


async def test_lists_hold_the_own_rows_only(planted: Planted, other: Planted) -> None:
    for operation in operations():
        if operation.is_list:
            mine = (await planted.world.get(planted.url(operation), params={"limit": 200}))["data"]
            theirs = (await other.world.get(other.url(operation), params={"limit": 200}))["data"]
            assert mine
            assert theirs
            assert not {row["id"] for row in mine} & {row["id"] for row in theirs}, operation


async def test_the_others_cursor_is_harmless(planted: Planted, other: Planted) -> None:
    """It holds a place in an order and no right: it shows the own rows beyond that place."""
    for one in (planted, other):
        for number in range(4):
            await one.world.contact(given_name=f"More {number}")
    cursor = (await planted.world.get("/v1/contacts", params={"limit": 2}))["next_cursor"]
    own = {row["id"] for row in (await other.world.get("/v1/contacts", params={"limit": 200}))["data"]}
    page = await other.world.get("/v1/contacts", params={"limit": 2, "cursor": cursor})
    assert {row["id"] for row in page["data"]} <= own


async def test_what_is_unique_is_unique_in_one_organization(make_world: Any) -> None:
    """No conflict tells one organization what another has."""
    worlds = [await make_world() for _ in range(2)]
    for world in worlds:
        await world.contact(external_ids=[{"system": "s", "id": "1"}])
        for path, body in (
            ("/v1/funds", {"code": "a", "name": "A"}),
            ("/v1/campaigns", {"code": "a", "name": "A"}),
            ("/v1/members", {"email": "a@example.org", "role": "viewer"}),
        ):
            await world.post(path, body)
        gift = {"amount": {"amount": 1, "currency": "USD"}, "external_ids": [{"system": "s", "id": "1"}]}
        await world.post("/v1/donations", gift)
        rate = {"source_currency": "USD", "target_currency": "UAH", "rate": "1", "rate_date": "2026-01-01"}
        await world.post("/v1/exchange-rates", rate)
        event = json.loads(
            json.loads((FIXTURES / "payment_intent_succeeded_usd.json").read_text())["request"]["body_raw"]
        )
        await world.stripe_sends(event)
        await world.drain()
        assert len((await world.get("/v1/donations"))["data"]) == 2


def _event() -> bytes:
    fixture = json.loads((FIXTURES / "payment_intent_succeeded_usd.json").read_text())
    event: dict[str, Any] = copy.deepcopy(json.loads(fixture["request"]["body_raw"]))
    event["id"] = "evt_wrong_tenant"
    return json.dumps(event).encode()


async def test_a_webhook_at_the_wrong_organizations_address(make_world: Any) -> None:
    """Signed with one organization's secret, sent to the other's connection: refused, nothing written anywhere."""
    one, two = await make_world(), await make_world()
    mine = await one.stripe_connection("whsec_of_one")
    theirs = await two.stripe_connection("whsec_of_two")
    now = one.tenant.now()
    for secret, connection in (("whsec_of_one", theirs), ("whsec_of_two", mine)):
        headers = STRIPE.sign(_event(), secret=secret, now=now)
        answer = await one.deliver(connection, _event(), headers, expect=400)
        assert answer.json()["code"].startswith("signature_")
    for world in (one, two):
        await world.drain()
        assert (await world.get("/v1/payments/inbox"))["data"] == []
        assert (await world.get("/v1/donations"))["data"] == []
    headers = STRIPE.sign(_event(), secret="whsec_of_two", now=now)
    await one.deliver(theirs, _event(), {**headers, "X-Organization-Id": str(one.id)})
    assert (await one.get("/v1/payments/inbox"))["data"] == []
    assert len((await two.get("/v1/payments/inbox"))["data"]) == 1


async def test_webhook_addresses_that_are_none(planted: Planted) -> None:
    world = planted.world
    connection = planted.ids["connection_id"]
    for path in (f"paypal/{connection}", f"stripe/{new_id()}", f"none/{connection}"):
        answer = await send(world, "POST", f"/v1/payments/webhooks/{path}", body=b"{}", authorized=False)
        assert answer.status == 404, path
        assert problem_of(answer, never=[connection])["code"] == "not_found"


async def test_a_disabled_connection_does_not_listen(make_world: Any) -> None:
    world: World = await make_world()
    connection = await world.stripe_connection()
    await world.patch(f"/v1/payment-connections/{connection}", {"status": "disabled"})
    headers = STRIPE.sign(_event(), secret="whsec_of_the_tests", now=world.tenant.now())
    await world.deliver(connection, _event(), headers, expect=404)


@pytest.mark.parametrize("header", ["X-Organization-Id", "X-Tenant", "Organization-Id"])
async def test_no_header_changes_a_keys_organization(planted: Planted, other: Planted, header: str) -> None:
    answer = await planted.world.get("/v1/organization", headers={header: str(other.world.id)})
    assert answer["id"] == str(planted.world.id)
