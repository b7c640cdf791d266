"""A unique word in every text that is kept of a person, whatever route or provider brings it; the person is erased; then
the word is looked for wherever data can be: a dump of the database, the files, the letters, Valkey.

Routes are found in the document, so a new one takes part by itself. What is not about people is listed by name: whoever
adds such a route says so here.
"""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import redis.asyncio as redis

from crm_api.embedded import wheels
from crm_api.outbox.doorbell import Doorbell
from tests.api.surface import FIXTURES, Answer, Operation, Planted, operations, plant, replaced, send
from tests.api.test_privacy import WORD, Words, _marked
from tests.support.services import Services
from tests.support.world import World

ABOUT_NOBODY = (
    "/v1/organization", "/v1/members", "/v1/api-keys", "/v1/exchange-rates", "/v1/funds", "/v1/campaigns",
    "/v1/appeals", "/v1/pipelines", "/v1/payment-connections", "/v1/privacy-settings", "/v1/custom-fields",
    "/v1/relationship-types", "/v1/household-patterns", "/v1/duplicate-rules", "/v1/intake",
    "/v1/segments", "/v1/giving-levels", "/v1/ledger", "/v1/payouts", "/v1/reports", "/v1/teams", "/v1/receipt-settings",
    "/v1/dunning-policy", "/v1/scoring", "/v1/ltv", "/v1/checkout-settings", "/v1/payment-match-rules", "/v1/gift-batches",
)  # fmt: skip
"""Where an organization describes itself and how it works."""
NOT_SENT = {"contacts_erase", "api_keys_rotate", "contacts_export_subject"}
STATEMENT = re.compile(r"^INSERT INTO public\.(\w+) ", re.MULTILINE)


def about_people() -> list[Operation]:
    """Operations whose bodies can hold something of a person."""
    found = [
        one
        for one in operations()
        if not one.path.startswith(ABOUT_NOBODY) and one.id not in NOT_SENT and not one.public
    ]
    return [one for one in found if one.body is not None or one.form is not None]


def _form(operation: Operation, planted: Planted, words: Words) -> dict[str, Any]:
    """A file with a word in its name, its content and the texts beside it."""
    if operation.form == "DocumentUpload":
        file = (f"{words()}.txt", f"Notes: {words()}".encode(), "text/plain")
        return {"data": {"contact_id": planted.ids["contact_id"], "title": words()}, "files": {"file": file}}
    raise AssertionError(f"say how {operation} is sent")


def _at(body: Any, pointer: str) -> tuple[str | int, ...] | None:
    """The place of a JSON pointer, as far as the body has it."""
    place: list[str | int] = []
    for step in pointer.split("/")[1:]:
        name: str | int = int(step) if isinstance(body, list) and step.isdigit() else step
        try:
            body = body[name]
        except (KeyError, IndexError, TypeError):
            break
        place.append(name)
    return tuple(place) or None


async def _accepted(planted: Planted, operation: Operation, words: Words) -> tuple[Answer, bytes]:
    """A body with a word in each text that takes one: what is refused gets its example back."""
    example = planted.body(operation)
    body = {"reason": words()} if operation.id == "donations_refund" else _marked(example, words)
    for _ in range(5):
        raw = json.dumps(body).encode()
        answer = await send(planted.world, operation.method, planted.url(operation), body=raw)
        if answer.status != 422:
            break
        for error in answer.json().get("errors", []):
            place = _at(example, error["pointer"])
            if place is not None:
                value = example
                for step in place:
                    value = value[step]
                body = replaced(body, place, value)
    return answer, raw


async def _tell_everything(planted: Planted, words: Words) -> dict[str, int]:
    """Every body of every route about people, with a word in each of its texts; what was answered."""
    answered = {}
    for operation in about_people():
        if operation.form is not None:
            if operation.path == "/v1/imports":
                continue  # what an import keeps of a row is told by its plan; see the tests of imports
            options = _form(operation, planted, words)
            answer: Any = await planted.world.client.request(operation.method, planted.url(operation), **options)
            answered[operation.id] = answer.status_code
            continue
        answer, raw = await _accepted(planted, operation, words)
        answered[operation.id] = answer.status
        key = [(b"idempotency-key", f"again-{operation.id}".encode())]
        # A stored answer holds the person too, but for that of an export: it repeats a filter, which is of nobody.
        if operation.method == "POST" and operation.id != "exports_create":
            await send(planted.world, operation.method, planted.url(operation), body=raw, headers=key)
    return answered


async def _providers_tell(world: World, words: Words) -> None:
    """Every event of every fixture, of one payer whose name and address hold a word."""
    name, address = words(), f"{words()}@example.org"
    sent = 0
    for path in sorted(FIXTURES.glob("*.json")):
        raw = json.loads(path.read_text()).get("request", {}).get("body_raw")
        if raw is None or '"type"' not in raw:
            continue
        for told in ("jenny.rosen@example.org", "olena@example.org"):
            raw = raw.replace(told, address)
        await world.stripe_sends(raw.replace("Jenny Rosen", name).encode())
        sent += name in raw or address in raw
    assert sent >= 5


async def _everybody(world: World) -> list[str]:
    found: list[str] = []
    query: dict[str, Any] = {"limit": 200}
    while True:
        page = await world.get("/v1/contacts", params=query)
        found += [row["id"] for row in page["data"]]
        if not page["has_more"]:
            return found
        query["cursor"] = page["next_cursor"]


async def _erase_everybody(world: World) -> dict[str, set[str]]:
    """Erase every contact; what the plans said becomes of each table."""
    said: dict[str, set[str]] = {}
    for contact_id in await _everybody(world):
        erasure = await world.post(f"/v1/contacts/{contact_id}/erasure", {"confirm": True}, expect=202)
        await world.drain()
        done = await world.get(f"/v1/erasures/{erasure['id']}")
        assert done["state"] == "succeeded", done["reason"]
        for one in done["plan"]["tables"]:
            said.setdefault(one["table"], set()).add(one["action"])
    return said


def _dump(owner_url: str, world: World) -> str:
    """All rows of the organization, as pg_dump writes them (the owner is held by row-level security too)."""
    command = [
        str(wheels.binary("pg_dump")), "--data-only", "--inserts", "--enable-row-security", "--schema=public", owner_url
    ]  # fmt: skip
    environment = {"PGOPTIONS": f"-c crm.organization_id={world.id}", "PATH": ""}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def _tables_with(dump: str, text: str) -> dict[str, str]:
    """Table → the first statement of the dump that holds the text."""
    starts = [*STATEMENT.finditer(dump)]
    found: dict[str, str] = {}
    for one, following in zip(starts, [*starts[1:], None], strict=True):
        row = dump[one.start() : following.start() if following else len(dump)]
        if text in row or text.encode().hex() in row:  # bytea is written in hexadecimal
            found.setdefault(one[1], row)
    return found


@pytest.fixture
async def bell(services: Services) -> AsyncIterator[redis.Redis]:
    """Valkey rings while the test runs."""
    url = services.redis_url.rpartition("/")[0] + "/13"
    client: redis.Redis = redis.from_url(url)  # type: ignore[no-untyped-call]
    await client.flushdb()
    doorbell = Doorbell(url)
    doorbell.install()
    yield client
    await doorbell.close()
    await client.flushdb()
    await client.aclose()


async def _valkey(client: redis.Redis) -> str:
    """Everything in it, keys and values."""
    found = []
    async for key in client.scan_iter():
        found += [repr(key), repr(await client.dump(key))]
    return "\n".join(found)


async def test_nothing_of_an_erased_person_is_left(world: World, bell: redis.Redis, owner_url: str) -> None:
    words = Words()
    planted = await plant(world)
    answered = await _tell_everything(planted, words)
    refused = {name: status for name, status in answered.items() if status >= 300 and status not in {404, 409}}
    assert refused == {}, "every route must take what its own example says"
    assert len([one for one in answered.values() if one < 300]) > 10
    await _providers_tell(world, words)
    await asyncio.sleep(0.05)
    assert WORD not in await _valkey(bell)
    await world.drain()
    before = await asyncio.to_thread(_dump, owner_url, world)
    holding = _tables_with(before, WORD)
    assert {"contacts", "contact_keys", "provider_events", "gifts", "deals", "messages", "idempotency_keys"} <= set(
        holding
    ), "the words must have arrived"
    folders = [world.settings.mail_directory, Path(world.settings.files_url.removeprefix("file://"))]
    assert any(WORD.encode() in file.read_bytes() for folder in folders if folder for file in _files(folder))

    said = await _erase_everybody(world)
    await world.set_clock(world.tenant.now() + timedelta(days=2))  # words of names of before go at night
    await world.drain()
    left = _tables_with(await asyncio.to_thread(_dump, owner_url, world), WORD)
    told = {table: row for table, row in left.items() if "retain" not in said.get(table, ())}
    assert told == {}, "\n".join(f"{table}: {row[:1500]}" for table, row in told.items())
    for folder in folders:
        assert folder is not None
        for file in _files(folder):
            assert WORD.encode() not in file.read_bytes(), file
            assert WORD not in str(file), file
    assert WORD not in await _valkey(bell)


def _files(folder: Path) -> list[Path]:
    return [file for file in folder.rglob("*") if file.is_file()]
