"""Keys and scopes: who may do what, and for how long."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import asyncpg
import pytest

from crm_api.auth.scopes import ALL_SCOPES, ROLE_SCOPES, SCOPES
from crm_api.auth.tokens import new_token
from crm_api.kit import clock
from crm_api.kit.ids import new_id
from tests.api.surface import Planted, operations, problem_of, send
from tests.support.world import World


async def _key(world: World, scopes: list[str], **more: Any) -> dict[str, Any]:
    made: dict[str, Any] = await world.post("/v1/api-keys", {"name": "Key", "scopes": scopes, **more})
    return made


def _bearer(key: str) -> list[tuple[bytes, bytes]]:
    return [(b"authorization", f"Bearer {key}".encode())]


async def test_every_route_without_its_scope(planted: Planted) -> None:
    """A key with every scope but one: 403 with that scope's name, before anything else is looked at."""
    world = planted.world
    keys = {scope: (await _key(world, sorted(ALL_SCOPES - {scope})))["key"] for scope in sorted(ALL_SCOPES)}
    neither = {f"{what}:{verb}" for what in ("contacts", "donations") for verb in ("read", "write")}
    keys["imports"] = (await _key(world, sorted(ALL_SCOPES - neither)))["key"]
    used = set()
    for operation in operations():
        if operation.scope is None:
            continue
        used.add(operation.scope)
        scope = operation.scope
        if operation.id.startswith("imports_"):  # of people or of gifts: the rights of either will do to ask
            scope = "imports"
        for body in (b"", b"not JSON"):
            url = planted.url(operation, **{name: str(new_id()) for name in operation.ids})
            headers = _bearer(keys[scope])
            answer = await send(world, operation.method, url, body=body, headers=headers, authorized=False)
            assert answer.status == 403, f"{operation}: {answer.status} {answer.text}"
            said = problem_of(answer)
            assert (said["code"], said["scope"]) == ("missing_scope", operation.scope), operation
    assert used == ALL_SCOPES - {"contacts:read_sensitive"}


NAMING = {
    "segments_members_list", "segments_changes_list", "segments_explain", "contacts_segments_list", "segments_preview",
    "exports_create", "reports_lybunt", "reports_sybunt", "reports_prospects", "reports_giving_levels_donors",
}  # fmt: skip
"""Operations that name contacts, and say so with another scope."""


async def test_every_route_with_its_scope_alone(planted: Planted) -> None:
    """No route needs more than the scope it names, except those that name people, too."""
    world = planted.world
    keys: dict[str, str] = {}
    for operation in operations():
        if operation.scope is None or operation.id in {"api_keys_create", "api_keys_rotate", "members_create"}:
            continue  # these give rights away, and nobody gives more than they have
        if operation.scope not in keys:
            keys[operation.scope] = (await _key(world, [operation.scope]))["key"]
        body = json.dumps(planted.body(operation)).encode() if operation.body else b""
        headers = _bearer(keys[operation.scope])
        answer = await send(
            world, operation.method, planted.url(operation), body=body, headers=headers, authorized=False
        )
        if operation.id == "members_update":
            assert problem_of(answer)["code"] == "role_not_grantable"
        elif operation.id in NAMING:  # whoever exports may read what is exported; whoever lists donors, their names
            assert problem_of(answer)["scope"] == "contacts:read"
        else:
            assert answer.status not in {401, 403}, f"{operation}: {answer.text}"


async def test_nothing_works_without_credentials(planted: Planted) -> None:
    for operation in operations():
        if operation.scope is None:
            continue
        url = planted.url(operation)
        wrong = planted.url(operation, **dict.fromkeys(operation.ids, "x"))
        for target in (url, wrong, f"{url}?nonsense=1", f"{url}?limit=x&fields=x"):
            answer = await send(planted.world, operation.method, target, body=b"not JSON", authorized=False)
            assert answer.status == 401, f"{operation.method} {target}: strangers are told nothing but that"
            assert problem_of(answer)["code"] == "credentials_missing"
            assert answer.headers["www-authenticate"] == 'Bearer realm="crm-api"'


def test_only_what_must_be_is_public() -> None:
    public = {operation.id for operation in operations() if operation.public}
    assert public == {"health_live", "health_ready", "metrics", "payments_webhooks_receive"} | {
        "payments_webhooks_receive_secret",
        "payments_webhooks_probe",  # says that somebody listens, as the bank asks
        "payments_webhooks_probe_secret",
    } | {
        "files_read",  # the link is the permission
        "intake_receive",
        "intake_receive_secret",
        "intake_verify",
        "unsubscribe_show",
        "unsubscribe_leave",
        "receipts_verify",  # says whether a receipt holds, and nothing else
    }


async def test_a_publishable_key_reads_nothing(planted: Planted) -> None:
    world = planted.world
    made = await _key(world, ["donations:intend"], kind="publishable")
    assert made["key"].startswith("crm_pub_")
    may_intend = {
        "donations_checkout_create",
        "donations_checkouts_get",
    }  # what it may see: tests/payments/test_checkout
    for operation in operations():
        if operation.scope is not None and operation.id not in may_intend:
            answer = await send(
                world, operation.method, planted.url(operation), headers=_bearer(made["key"]), authorized=False
            )
            assert answer.status == 403, operation
    for scope in ("contacts:read", "donations:write"):
        body = {"name": "Key", "kind": "publishable", "scopes": [scope]}
        said = await world.post("/v1/api-keys", body, expect=422)
        assert said["errors"][0] | {"detail": ""} == {"pointer": "/scopes/0", "code": "scope_not_allowed", "detail": ""}
    said = await world.post("/v1/api-keys", {"name": "Key", "scopes": ["donations:intend"]}, expect=422)
    assert said["errors"][0]["code"] == "scope_not_allowed"


async def test_keys_of_the_wrong_form(world: World) -> None:
    """Each part of a real key changed by one character, a key of the right form that does not exist."""
    good = world.api_key
    codes = set()
    for at in range(4, len(good)):
        if good[at] == "_":
            continue
        wrong = good[:at] + ("0" if good[at] != "0" else "1") + good[at + 1 :]
        answer = await send(world, "GET", "/v1/organization", headers=_bearer(wrong), authorized=False)
        assert answer.status == 401
        codes.add(problem_of(answer)["code"])
    assert codes == {"credentials_malformed"}, "the checksum refuses them without a query"
    for prefix in ("live", "test", "pub"):
        token, _ = new_token(prefix, new_id())
        answer = await send(world, "GET", "/v1/organization", headers=_bearer(token), authorized=False)
        assert (answer.status, problem_of(answer)["code"]) == (401, "credentials_unknown")


async def test_the_secret_is_shown_once_and_stored_hashed(world: World, owner: asyncpg.Connection) -> None:
    made = await _key(world, ["contacts:read"])
    secret = made["key"].split("_")[3]
    assert made["last_four"] == secret[-4:]
    for path in ("/v1/api-keys", f"/v1/api-keys/{made['id']}"):
        assert secret not in (await send(world, "GET", path)).text
    async with owner.transaction():
        await owner.execute(f"SET LOCAL crm.organization_id = '{world.id}'")
        for row in await owner.fetch("SELECT k::text AS whole FROM api_keys k"):
            assert secret not in row["whole"]


async def _expire(owner: asyncpg.Connection, world: World, key_id: str) -> None:
    async with owner.transaction():
        await owner.execute(f"SET LOCAL crm.organization_id = '{world.id}'")
        await owner.execute("UPDATE api_keys SET expires_at = now() - interval '1 second' WHERE id = $1", key_id)


async def test_an_expired_key(world: World, owner: asyncpg.Connection) -> None:
    soon = (clock.utc_now() + timedelta(hours=1)).isoformat()
    made = await _key(world, ["organization:read"], expires_at=soon)
    headers = {"Authorization": f"Bearer {made['key']}"}
    await world.get("/v1/organization", headers=headers)
    await _expire(owner, world, made["id"])
    assert (await world.get("/v1/organization", headers=headers, expect=401))["code"] == "credentials_expired"
    await world.set_clock(clock.utc_now() - timedelta(days=30))  # a movable clock does not bring it back
    await world.get("/v1/organization", headers=headers, expect=401)
    past = (clock.utc_now() - timedelta(seconds=1)).isoformat()
    body = {"name": "Key", "scopes": ["contacts:read"], "expires_at": past}
    assert (await world.post("/v1/api-keys", body, expect=422))["errors"][0]["pointer"] == "/expires_at"


@pytest.mark.parametrize("mode", ["test", "live"])
async def test_a_revoked_key_ends_at_once(make_world: Any, mode: str) -> None:
    """In a live organization too, where principals are remembered for some seconds."""
    world: World = await make_world(mode=mode)
    made = await _key(world, ["organization:read"])
    assert made["key"].startswith(f"crm_{mode}_")
    headers = {"Authorization": f"Bearer {made['key']}"}
    await world.get("/v1/organization", headers=headers)
    revoked = await world.post(f"/v1/api-keys/{made['id']}/revoke", expect=200)
    assert revoked["revoked_at"] is not None
    assert (await world.get("/v1/organization", headers=headers, expect=401))["code"] == "credentials_revoked"
    again = await world.post(f"/v1/api-keys/{made['id']}/revoke", expect=200)
    assert again["revoked_at"] == revoked["revoked_at"]
    said = await world.post(f"/v1/api-keys/{made['id']}/rotate", {}, expect=409)
    assert said["code"] == "key_not_active"


@pytest.mark.parametrize("mode", ["test", "live"])
async def test_rotation_overlaps(make_world: Any, owner: asyncpg.Connection, mode: str) -> None:
    world: World = await make_world(mode=mode)
    old = await _key(world, ["organization:read"])
    new = await world.post(f"/v1/api-keys/{old['id']}/rotate", {"overlap_seconds": 3600})
    assert (new["rotated_from"], new["scopes"], new["name"]) == (old["id"], old["scopes"], old["name"])
    for key in (old, new):
        await world.get("/v1/organization", headers={"Authorization": f"Bearer {key['key']}"})
    await _expire(owner, world, old["id"])
    world.app.state.services.authenticator.forget(world.id)
    said = await world.get("/v1/organization", headers={"Authorization": f"Bearer {old['key']}"}, expect=401)
    assert said["code"] == "credentials_expired"
    newest = await world.post(f"/v1/api-keys/{new['id']}/rotate", {"overlap_seconds": 0})
    await world.get("/v1/organization", headers={"Authorization": f"Bearer {new['key']}"}, expect=401)
    await world.get("/v1/organization", headers={"Authorization": f"Bearer {newest['key']}"})


async def test_nobody_gives_more_than_they_have(world: World) -> None:
    weak = await _key(world, ["api_keys:write", "members:write", "contacts:read"])
    strong = await _key(world, ["contacts:write"])
    headers = {"Authorization": f"Bearer {weak['key']}"}
    body = {"name": "More", "scopes": ["contacts:read", "contacts:write"]}
    said = await world.post("/v1/api-keys", body, headers=headers, expect=403)
    assert (said["code"], said["scope"]) == ("missing_scope", "contacts:write")
    said = await world.post(f"/v1/api-keys/{strong['id']}/rotate", {}, headers=headers, expect=403)
    assert said["scope"] == "contacts:write"
    member = {"email": "a@example.org", "role": "viewer"}
    said = await world.post("/v1/members", member, headers=headers, expect=403)
    assert said["code"] == "role_not_grantable"
    await world.post("/v1/api-keys", {**body, "scopes": ["contacts:read"]}, headers=headers)


async def test_the_last_owner_stays(world: World) -> None:
    one = await world.post("/v1/members", {"email": "one@example.org", "role": "owner"})
    for change in ({"role": "viewer"}, {"status": "disabled"}):
        assert (await world.patch(f"/v1/members/{one['id']}", change, expect=409))["code"] == "last_owner"
    await world.post("/v1/members", {"email": "two@example.org", "role": "owner"})
    await world.patch(f"/v1/members/{one['id']}", {"role": "viewer"})


async def test_use_is_noted_coarsely(world: World) -> None:
    made = await _key(world, ["organization:read"])
    assert made["last_used_at"] is None
    for _ in range(3):
        await world.get("/v1/organization", headers={"Authorization": f"Bearer {made['key']}"})
    for task in list(world.app.state.services.authenticator._tasks):
        await task
    used = (await world.get(f"/v1/api-keys/{made['id']}"))["last_used_at"]
    assert used is not None


def test_roles_hold_known_scopes_only() -> None:
    for role, scopes in ROLE_SCOPES.items():
        assert scopes <= ALL_SCOPES, role
    assert {operation.scope for operation in operations()} - {None} <= SCOPES.keys()
