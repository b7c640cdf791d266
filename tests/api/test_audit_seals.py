"""The seals of the audit: made by the worker, read over HTTP, and what they find when somebody changes the past."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from datetime import timedelta
from hashlib import sha256
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from typer.testing import CliRunner

from crm_api.audit import sealing, sensitive_reads
from crm_api.audit.chain import GENESIS, first_id_of
from crm_api.audit.sealing import Verdict, verify
from crm_api.cli import app
from crm_api.kit import clock
from crm_api.kit.ids import new_id
from crm_api.settings import get_settings
from tests.support.world import World

HOUR = timedelta(hours=1)
SCOPES = ["contacts:read", "audit:read"]


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Events settle as soon as they are made; other tests' transactions are not waited for."""
    monkeypatch.setattr(sealing, "SETTLED", timedelta(0))
    monkeypatch.setattr(sealing, "BEFORE_OPEN", -HOUR)


@pytest.fixture
async def hand(owner: asyncpg.Connection, world: World) -> asyncpg.Connection:
    """Somebody at the database itself, as its owner."""
    await owner.execute(f"SET crm.organization_id = '{world.id}'")
    return owner


async def _seals(world: World) -> list[dict[str, Any]]:
    page = await world.get("/v1/audit-seals", params={"limit": 200})
    return list(reversed(page["data"]))


async def _an_hour_later(world: World, hours: int = 1) -> None:
    await world.set_clock(clock.utc_now() + HOUR * hours)
    await world.drain()


async def _verdict(world: World) -> Verdict:
    return await verify(world.database.read(world.tenant))


@pytest.mark.usefixtures("at_once")
async def test_the_worker_seals_every_hour_and_each_event_once(world: World) -> None:
    await world.contact()
    await _an_hour_later(world)
    await world.contact()
    await _an_hour_later(world, 2)
    first, *_, last = await _seals(world)
    assert (first["number"], first["previous_hash"]) == (1, GENESIS)
    seals = await _seals(world)
    assert [seal["number"] for seal in seals] == list(range(1, len(seals) + 1))
    assert [seal["previous_hash"] for seal in seals[1:]] == [seal["hash"] for seal in seals[:-1]]
    events = list(reversed((await world.get("/v1/audit-events", params={"limit": 200}))["data"]))
    sealed = [event for event in events if event["id"] <= last["last_event_id"]]
    assert sum(seal["events"] for seal in seals) == len(sealed)
    assert {"organization.created", "contact.created"} <= {event["action"] for event in sealed}

    # As anybody can compute it from the API's answers alone, without this project's code.
    def digest_of(event: dict[str, Any]) -> bytes:
        moment = event["at"].removesuffix("Z")
        at = f"{moment}{'' if '.' in moment else '.000000'}Z"
        names = ("actor_kind", "actor_id", "action", "resource", "resource_id", "fields", "request_id")
        values = [str(world.id), event["id"], at, *(event[name] for name in names)]
        return sha256(json.dumps(values, separators=(",", ":"), ensure_ascii=False).encode()).digest()

    mine = [event for event in sealed if event["id"] <= first["last_event_id"]]
    assert sha256(b"".join(map(digest_of, mine))).hexdigest() == first["digest"]
    members = [GENESIS, first["first_event_id"], first["last_event_id"], len(mine), first["digest"]]
    assert sha256(json.dumps(members, separators=(",", ":")).encode()).hexdigest() == first["hash"]
    assert await _verdict(world) == Verdict(len(seals), len(sealed), len(seals), last["hash"], None)


async def test_what_is_young_or_behind_an_open_transaction_waits(
    world: World, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A transaction that commits late brings events with ids of before: nothing near it is sealed."""
    await _an_hour_later(world)
    assert await _seals(world) == []
    monkeypatch.setattr(sealing, "SETTLED", timedelta(0))
    slow = await asyncpg.connect(database_url)
    async with slow.transaction():
        begun = await slow.fetchval("SELECT now()")
        until = await sealing.settled_until(world.database.read(world.tenant))
        assert until <= begun - sealing.BEFORE_OPEN
    await slow.close()


@pytest.mark.usefixtures("at_once")
async def test_more_events_than_one_seal_takes_are_sealed_in_pieces(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sealing, "AT_ONCE", 3)
    for number in range(5):
        await world.contact(given_name=f"N{number}")
    await _an_hour_later(world)
    seals = await _seals(world)
    assert [seal["events"] for seal in seals[:2]] == [3, 3]
    verdict = await _verdict(world)
    assert (verdict.seals, verdict.misfit) == (len(seals), None)
    page = await world.get("/v1/audit-seals", params={"limit": 1})
    assert page["data"] == [seals[-1]]
    assert page["has_more"]


COPY = (
    "INSERT INTO audit_events SELECT organization_id, $2, at, actor_kind, actor_id, action, resource, resource_id, "
    "fields, request_id FROM audit_events WHERE id = $1"
)


@pytest.mark.usefixtures("at_once")
async def test_tampering_is_found(world: World, hand: asyncpg.Connection) -> None:
    """Each time undone again, so that the next finding is its own."""
    await world.contact()
    await _an_hour_later(world)
    await world.contact()
    await world.contact()
    await _an_hour_later(world, 2)
    seals = await _seals(world)
    assert len(seals) >= 2
    between = UUID(int=UUID(seals[0]["last_event_id"]).int + 1)
    event, seal = UUID(seals[1]["last_event_id"]), UUID(seals[0]["id"])
    cases: tuple[tuple[str, str, tuple[Any, ...], int], ...] = (
        ("events_changed", "UPDATE audit_events SET actor_id = 'nobody' WHERE id = $1", (event,), 2),
        ("events_changed", "UPDATE audit_events SET at = at + interval '1 microsecond' WHERE id = $1", (event,), 2),
        ("events_removed", "DELETE FROM audit_events WHERE id = $1", (event,), 2),
        ("events_added", COPY, (event, between), 2),
        ("events_added", COPY, (event, UUID(int=1)), 1),
        ("events_added", COPY, (event, first_id_of(clock.utc_now() - 9 * HOUR)), 1),
        ("seal_changed", "UPDATE audit_seals SET events = events + 1 WHERE id = $1", (seal,), 1),
        ("seal_missing", "DELETE FROM audit_seals WHERE id = $1", (seal,), 2),
        ("chain_broken", "UPDATE audit_seals SET previous_hash = repeat('1', 64) WHERE id = $1", (seal,), 1),
    )
    whole = await _verdict(world)
    assert whole.misfit is None
    for code, statement, values, number in cases:
        keep = "CREATE TEMP TABLE {0}_kept AS TABLE {0}"
        for table in ("audit_events", "audit_seals"):
            await hand.execute(keep.format(table))
        assert (await hand.execute(statement, *values)).endswith(" 1"), statement
        misfit = (await _verdict(world)).misfit
        assert misfit is not None, statement
        assert (misfit.code, misfit.number) == (code, number), statement
        assert misfit.last_event_id == UUID(seals[number - 1]["last_event_id"])
        for table in ("audit_events", "audit_seals"):
            await hand.execute(f"DELETE FROM {table}; INSERT INTO {table} TABLE {table}_kept; DROP TABLE {table}_kept")
    assert await _verdict(world) == whole


async def test_the_service_cannot_change_either(world: World, service_role: asyncpg.Connection) -> None:
    for table in ("audit_events", "audit_seals"):
        for change in (f"UPDATE {table} SET id = id", f"DELETE FROM {table}", f"TRUNCATE {table}"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await service_role.execute(change)


@pytest.fixture
def command_line(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The settings of a command that is run here."""
    monkeypatch.setenv("DATABASE_URL", database_url)
    get_settings.cache_clear()
    yield
    get_settings.cache_clear()


@pytest.mark.usefixtures("at_once", "command_line")
async def test_the_command(world: World, hand: asyncpg.Connection) -> None:
    await world.contact()
    await _an_hour_later(world)
    (*_, last) = await _seals(world)

    async def run(*arguments: str) -> Any:
        return await asyncio.to_thread(CliRunner().invoke, app, ["audit", "verify", *arguments])

    fine = await run("--organization", str(world.id))
    assert (fine.exit_code, fine.stdout[:6]) == (0, "ok    ")
    assert last["hash"] in fine.stdout
    lines = [json.loads(line) for line in (await run("--json")).stdout.splitlines()]
    (mine,) = [line for line in lines if line["organization_id"] == str(world.id)]
    assert (mine["ok"], mine["hash"], mine["misfit"]) == (True, last["hash"], None)
    await hand.execute("UPDATE audit_events SET action = 'contact.viewed' WHERE action = 'contact.created'")
    wrong = await run("--organization", str(world.id))
    assert wrong.exit_code == 1
    assert "events_changed" in wrong.stdout
    assert last["last_event_id"] in wrong.stdout
    told = json.loads((await run("--organization", str(world.id), "--json")).stdout)
    assert (told["ok"], told["misfit"]["code"]) == (False, "events_changed")
    assert (await run("--organization", str(new_id()))).exit_code == 1
    assert (await run("--organization", "x")).exit_code == 1


async def _reads(world: World) -> list[dict[str, Any]]:
    await sensitive_reads.flush(world.database)
    events = (await world.get("/v1/audit-events", params={"limit": 200}))["data"]
    return [event for event in events if event["action"].endswith(".sensitive_read")]


async def test_who_was_shown_something_sensitive(world: World) -> None:
    field = {"resource": "contacts", "key": "need", "label": "Need", "type": "text"}
    await world.post("/v1/custom-fields", {**field, "sensitivity": "beneficiary_sensitive"})
    await world.drain()
    external = [{"system": "aid", "id": "7"}]
    contact = await world.contact(custom={"need": "zqwheelchair"}, external_ids=external)
    await world.contact(given_name="Plain")
    path = f"/v1/contacts/{contact['id']}"
    plain = (await world.post("/v1/api-keys", {"name": "Donors", "scopes": SCOPES}))["key"]
    for address in (path, "/v1/contacts", "/v1/contacts?q=Олена", "/v1/contacts/by-external-id/aid/7"):
        await world.get(address, headers={"Authorization": f"Bearer {plain}"})
    await world.get(path, params={"fields": "display_name"})
    await world.get(f"{path[:-1]}{'0' if path[-1] != '0' else '1'}", expect=404)
    assert await _reads(world) == [], "nobody was shown anything sensitive"
    for number, address in enumerate(
        (path, "/v1/contacts", "/v1/contacts?q=Олена", "/v1/contacts/by-external-id/aid/7")
    ):
        await world.get(address, headers={"X-Request-Id": f"read-{number}"})
    events = await _reads(world)
    assert sorted(event["request_id"] for event in events) == ["read-0", "read-1", "read-2", "read-3"]
    for event in events:
        assert (event["action"], event["resource"]) == ("contact.sensitive_read", "contact")
        assert (event["resource_id"], event["fields"]) == (contact["id"], ["custom.need"])
        assert event["actor_kind"] == "api_key"
        assert event["actor_id"] == str(UUID(world.api_key.split("_")[2]))
    assert "zqwheelchair" not in json.dumps(events)


async def test_an_interaction_in_confidence(world: World) -> None:
    contact = await world.contact()
    body = {"kind": "note", "body": "zqwound", "participants": [{"contact_id": contact["id"], "role": "about"}]}
    secret = await world.post("/v1/interactions", {**body, "sensitivity": "beneficiary_sensitive"})
    await world.post("/v1/interactions", body)
    await world.get(f"/v1/interactions/{secret['id']}")
    await world.get("/v1/interactions")
    events = await _reads(world)
    assert [(event["resource_id"], event["fields"]) for event in events] == [(secret["id"], ["body"])] * 2


async def test_reads_are_written_within_a_second(world: World) -> None:
    session = world.database.read(world.tenant)
    sensitive_reads.note(session, "contact.sensitive_read", "contact", new_id(), fields=["custom.need"])
    for _ in range(100):
        await asyncio.sleep(0.02)
        events = (await world.get("/v1/audit-events", params={"action": "contact.sensitive_read"}))["data"]
        if events:
            break
    assert len(events) == 1


async def test_what_waits_is_bounded_and_kept_where_the_database_stumbles(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sensitive_reads, "MOST_WAITING", 3)
    monkeypatch.setattr(sensitive_reads, "_PAUSES", (0.0, 0.0))
    whole, failing = world.database.write, [True]

    def stumbles(*arguments: Any, **options: Any) -> Any:
        if failing and failing.pop():
            raise asyncpg.InterfaceError("gone")
        return whole(*arguments, **options)

    monkeypatch.setattr(world.database, "write", stumbles)
    session = world.database.read(world.tenant)
    for _ in range(5):
        sensitive_reads.note(session, "contact.sensitive_read", "contact", new_id(), fields=["custom.need"])
    assert len(await _reads(world)) == 3
    assert failing == []
