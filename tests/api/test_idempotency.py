"""Idempotency-Key: the key and its effect commit together, and a failure leaves neither."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from typing import Any

import asyncpg
import pytest

from crm_api.idempotency import service
from crm_api.kit import clock
from tests.api.surface import Planted, operations, plant, problem_of, send
from tests.support.world import World

FUND = {"code": "winter", "name": "Winter relief"}


async def _count(owner: asyncpg.Connection, world: World, table: str) -> int:
    async with owner.transaction():
        await owner.execute(f"SET LOCAL crm.organization_id = '{world.id}'")
        found: int = await owner.fetchval(f"SELECT count(*) FROM {table}")
    return found


async def test_fifty_at_once_make_one_row(world: World, owner: asyncpg.Connection) -> None:
    body = {"given_name": "Олена", "emails": [{"address": "olena@example.org"}]}
    headers = {"Idempotency-Key": "fifty-at-once"}
    answers = await asyncio.gather(
        *(world.client.post("/v1/contacts", json=body, headers=headers) for _ in range(50)),
    )
    assert {answer.status_code for answer in answers} <= {201, 409}
    carried_out = [answer for answer in answers if answer.status_code == 201]
    assert carried_out
    assert len({answer.content for answer in carried_out}) == 1
    assert sum("idempotency-replayed" not in answer.headers for answer in carried_out) == 1
    for answer in answers:
        if answer.status_code == 409:
            assert answer.json()["code"] == "idempotency_in_progress"
    assert await _count(owner, world, "contacts") == 1
    assert len((await world.get("/v1/contacts"))["data"]) == 1

    again = await world.client.post("/v1/contacts", json=body, headers=headers)
    assert again.status_code == 201
    assert again.content == carried_out[0].content
    assert again.headers["idempotency-replayed"] == "true"
    assert again.headers["location"] == carried_out[0].headers["location"]
    assert again.headers["etag"] == carried_out[0].headers["etag"]
    assert again.headers["content-type"] == carried_out[0].headers["content-type"]


async def test_a_replay_is_the_first_answer_even_when_the_row_has_changed(world: World) -> None:
    headers = {"Idempotency-Key": "k"}
    first = await world.post("/v1/funds", FUND, headers=headers)
    await world.patch(f"/v1/funds/{first['id']}", {"name": "Another"})
    assert await world.post("/v1/funds", FUND, headers=headers) == first


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/funds", {**FUND, "name": "Other"}),
        ("/v1/funds", {"name": FUND["name"], "code": FUND["code"]}),  # the same members in another order: other bytes
        ("/v1/campaigns", FUND),
        ("/v1/contacts", {"given_name": "Olena"}),
    ],
)
async def test_a_key_belongs_to_one_request(world: World, path: str, body: dict[str, Any]) -> None:
    headers = {"Idempotency-Key": "k"}
    await world.post("/v1/funds", FUND, headers=headers)
    refused = await world.post(path, body, headers=headers, expect=422)
    assert refused["code"] == "idempotency_key_reused"
    assert len((await world.get("/v1/funds"))["data"]) == 1


@pytest.mark.parametrize(
    ("body", "status"),
    [({"code": "winter"}, 422), ({"campaign_id": "01938d6e-5a00-7000-8000-000000000001", "code": "a", "name": "A",
                                  "channel": "mail"}, 404)],
)  # fmt: skip
async def test_a_failed_request_stores_nothing(
    world: World, owner: asyncpg.Connection, body: dict[str, Any], status: int
) -> None:
    headers = {"Idempotency-Key": "k"}
    await world.post("/v1/appeals" if status == 404 else "/v1/funds", body, headers=headers, expect=status)
    assert await _count(owner, world, "idempotency_keys") == 0
    await world.post("/v1/funds", FUND, headers=headers)
    await world.post("/v1/funds", {**FUND, "name": "Again"}, headers={"Idempotency-Key": "k2"}, expect=409)
    assert await _count(owner, world, "idempotency_keys") == 1
    assert await _count(owner, world, "funds") == 1


async def test_a_key_is_the_organization_s_whichever_credential_sends_it(world: World) -> None:
    """A retry may come with another key, after a rotation; what that key may not do, it may not see again either."""
    named = {"Idempotency-Key": "k"}
    mine = await world.post("/v1/funds", FUND, headers=named)
    other = await world.post("/v1/api-keys", {"name": "Other", "scopes": ["donations:write", "donations:read"]})
    theirs = {**named, "Authorization": f"Bearer {other['key']}"}
    assert (await world.post("/v1/funds", FUND, headers=theirs))["id"] == mine["id"]
    reused = await world.post("/v1/funds", {**FUND, "code": "theirs"}, headers=theirs, expect=422)
    assert reused["code"] == "idempotency_key_reused"
    weak = await world.post("/v1/api-keys", {"name": "Weak", "scopes": ["donations:read"]})
    await world.post("/v1/funds", FUND, headers={**named, "Authorization": f"Bearer {weak['key']}"}, expect=403)


async def test_keys_of_two_organizations_are_two_keys(make_world: Any) -> None:
    one, two = await make_world(), await make_world()
    headers = {"Idempotency-Key": "k"}
    assert (await one.post("/v1/funds", FUND, headers=headers))["id"] != (
        await two.post("/v1/funds", FUND, headers=headers)
    )["id"]


async def test_the_replay_of_a_new_api_key_does_not_reveal_its_secret(world: World, owner: asyncpg.Connection) -> None:
    body = {"name": "Website", "scopes": ["contacts:read"]}
    first = await world.post("/v1/api-keys", body, headers={"Idempotency-Key": "k"})
    secret = first["key"].split("_")[3]
    again = await world.post("/v1/api-keys", body, headers={"Idempotency-Key": "k"})
    assert again == {**first, "key": None}
    rotated = await world.post(f"/v1/api-keys/{first['id']}/rotate", {}, headers={"Idempotency-Key": "r"})
    replayed = await world.post(f"/v1/api-keys/{first['id']}/rotate", {}, headers={"Idempotency-Key": "r"})
    assert replayed == {**rotated, "key": None}
    async with owner.transaction():
        await owner.execute(f"SET LOCAL crm.organization_id = '{world.id}'")
        stored = [row["body"] for row in await owner.fetch("SELECT body FROM idempotency_keys")]
    assert len(stored) == 2
    assert not any(secret in body or rotated["key"].split("_")[3] in body for body in stored)


async def test_every_post_takes_a_key(world: World) -> None:
    """Sent twice, every POST answers twice the same, the second time from what was stored."""
    planted: Planted = await plant(world)
    await world.donation(planted.ids["contact_id"])
    planted.ids["job_id"] = (await world.jobs(state="due"))[0]["id"]
    changes = {"code": "another", "email": "another@fund.example", "address": "another@example.org", "id": "43"}
    for operation in operations():
        if operation.method != "POST" or operation.public or operation.media_type == "multipart/form-data":
            continue  # forms with a file: test_forms
        body = json.dumps({**planted.body(operation)}) if operation.body else ""
        for name, value in changes.items():
            for old in ("winter-2026-letter", "winter-2026", "winter", "olena@example.org", "42"):
                body = body.replace(f'"{name}": "{old}"', f'"{name}": "{value}"')
        if operation.id in {"donations_refund"}:
            body = "{}"
        if operation.id == "receipts_create":  # the planted gift has been refunded by now
            body = json.dumps({"donation_id": (await world.donation(planted.ids["contact_id"]))["id"]})
        headers = [(b"idempotency-key", operation.id.encode())]
        first, second = [
            await send(world, "POST", planted.url(operation), body=body.encode(), headers=headers) for _ in range(2)
        ]
        assert first.status < 300, f"{operation}: {first.status} {first.text}"
        assert second.headers["idempotency-replayed"] == "true", operation
        assert second.status == first.status
        hidden: dict[str, Any] = {"key": None} if {"last_four", "key"} <= first.json().keys() else {}
        hidden |= {"issued": {}} if "issued" in first.json() else {}
        assert second.json() == {**first.json(), **hidden}, "a secret is shown once"
        assert second.headers.get("location") == first.headers.get("location")


async def test_other_methods_ignore_a_key(world: World, owner: asyncpg.Connection) -> None:
    fund = await world.post("/v1/funds", FUND)
    for name in ("A", "B"):
        patched = await world.patch(f"/v1/funds/{fund['id']}", {"name": name}, headers={"Idempotency-Key": "k"})
        assert patched["name"] == name
    assert await _count(owner, world, "idempotency_keys") == 0


async def test_answers_are_kept_a_week(world: World, owner: asyncpg.Connection) -> None:
    for name in ("old", "young"):
        await world.post("/v1/funds", {**FUND, "code": name}, headers={"Idempotency-Key": name})
    async with owner.transaction():
        await owner.execute(f"SET LOCAL crm.organization_id = '{world.id}'")
        age = "UPDATE idempotency_keys SET created_at = now() - $1::interval WHERE key = $2"
        await owner.execute(age, timedelta(days=7, minutes=1), "old")
        await owner.execute(age, timedelta(days=6, hours=23), "young")
    await world.set_clock(clock.utc_now() + timedelta(days=1, hours=1))  # the nightly housekeeping comes due
    await world.drain()
    async with owner.transaction():
        await owner.execute(f"SET LOCAL crm.organization_id = '{world.id}'")
        left = [row["key"] for row in await owner.fetch("SELECT key FROM idempotency_keys")]
    assert left == ["young"]
    assert timedelta(days=7) == service.KEPT


async def test_malformed_keys(world: World) -> None:
    for key in (b"", b"x" * 256, b"\xff", b"a\tb"):
        answer = await send(world, "POST", "/v1/funds", body=json.dumps(FUND).encode(),
                            headers=[(b"idempotency-key", key)])  # fmt: skip
        assert answer.status == 400
        assert problem_of(answer)["code"] == "idempotency_key_malformed"
    await world.post("/v1/funds", FUND, headers={"Idempotency-Key": "x" * 255})
