"""Every route, walked by a caller whose team looks after nobody: nothing of a contact comes back, and nothing of one
changes, whatever id, filter, sort or search names it."""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import quote

import pytest
from sqlalchemy import text

from crm_api.kit import limits
from crm_api.kit.db import SYSTEM, ReadSession, prepare
from crm_api.kit.ids import new_id
from crm_api.registry import load_models
from tests.api.surface import Answer, Operation, Planted, operations, send
from tests.api.test_teams import Branch, open_branch

SENSITIVE = {"donor_sensitive", "beneficiary_sensitive"}
_CODE = re.compile(r"[a-z][a-z0-9_.:-]*|[0-9.-]+|[A-Z]{2,5}")
"""What a field holds that takes a word of a list, a number or a day."""
SETTINGS = {"receipt_settings"}
NOT_OF_A_PERSON = {"audit_events", "idempotency_keys", "contact_words"}


def _limited_tables() -> list[Any]:
    """Tables whose rows hang on contacts."""
    schema = load_models()
    return [
        schema.tables[name]
        for name, rows in limits.catalogue(schema).items()
        if rows.policies and name not in NOT_OF_A_PERSON
    ]


async def _rows(session: ReadSession, table: Any) -> list[Any]:
    statement = prepare(text(f"SELECT * FROM {table.name} WHERE organization_id = :organization_id"))
    return await session.fetch(statement)


def _texts(value: Any) -> set[str]:
    """Words of a sensitive value."""
    if isinstance(value, dict):
        return {word for inner in value.values() for word in _texts(inner)}
    if isinstance(value, list):
        return {word for inner in value for word in _texts(inner)}
    return {value} if isinstance(value, str) else set()


async def _personal(planted: Planted) -> tuple[set[str], set[str]]:
    """Ids of everything that hangs on a contact, and the texts that say something of one."""
    session = planted.world.database.read(planted.world.tenant, SYSTEM)
    ids, texts = set(), set()
    for table in _limited_tables():
        tagged = [column.name for column in table.columns if column.info["sensitivity"] in SENSITIVE]
        for row in await _rows(session, table):
            ids |= {str(row["id"])} if "id" in table.c else set()
            ids |= {str(row["contact_id"])} if row.get("contact_id") else set()
            texts |= {word for name in tagged for word in _texts(row[name])}
    said = _texts(await planted.world.get("/v1/organization"))
    for name in SETTINGS:  # what is printed on everybody's receipt is no secret of one
        said |= {word for row in await _rows(session, load_models().tables[name]) for word in _texts(dict(row))}
    return ids, {word for word in texts - said if len(word) >= 6 and not _CODE.fullmatch(word)}


async def _stored(planted: Planted) -> dict[str, set[str]]:
    session = planted.world.database.read(planted.world.tenant, SYSTEM)
    return {table.name: {repr(row) for row in await _rows(session, table)} for table in _limited_tables()}


@pytest.fixture
async def outsider(planted: Planted) -> Any:
    """A key with every scope, in a team that looks after nobody."""
    await planted.world.patch("/v1/organization", {"team_access": "on"})
    yield await open_branch(planted.world, f"Nobody's {new_id()}")
    await planted.world.patch("/v1/organization", {"team_access": "off"})


async def _send(planted: Planted, outsider: Branch, operation: Operation, url: str, body: Any) -> Answer:
    headers = [(b"authorization", outsider.headers["Authorization"].encode())]
    content = json.dumps(body).encode() if body is not None else b""
    return await send(planted.world, operation.method, url, body=content, headers=headers, authorized=False)


def _sent(*parts: Any) -> str:
    return json.dumps(parts, ensure_ascii=False, default=str)


async def test_every_route_shows_and_changes_nothing(planted: Planted, outsider: Branch) -> None:
    ids, texts = await _personal(planted)
    assert len(ids) > 40
    assert len(texts) > 40
    before = await _stored(planted)
    written = _sent([one["rule"] for one in (await planted.world.get("/v1/segments"))["data"]])
    walked = found = 0
    for operation in sorted(operations(), key=lambda one: one.method != "GET"):
        if operation.public or operation.form:
            continue
        body = planted.body(operation) if operation.body else None
        url = planted.url(operation)
        queries = [""]
        if operation.is_list:
            queries = ["include_total=true&limit=200", *(f"sort={one}" for one in _sorts(operation))]
        for query in queries:
            asked = f"{url}{'&' if '?' in url else '?'}{query}" if query else url
            answer = await _send(planted, outsider, operation, asked, body)
            assert answer.status < 500, f"{operation}: {answer.text}"
            own = _sent(asked, body) + written  # what somebody has written into a rule is the organization's
            shown = {one for one in ids | texts if one in answer.text and one not in own}
            assert shown == set(), f"{operation} {query}: {answer.text[:800]}"
            if answer.status < 300 and operation.method == "GET":
                said = answer.json() if "json" in answer.headers["content-type"] else {}
                if "contact_id" in operation.in_path:
                    raise AssertionError(f"{operation} knows the contact: {answer.text[:300]}")
                assert not said.get("total") or operation.id not in _COUNTED, f"{operation} counts {said['total']}"
                found += 1
            walked += 1
    assert walked > 250
    assert found > 30
    after = await _stored(planted)
    for table, rows in before.items():
        assert rows <= after[table], f"{table}: a row that the caller does not see was changed"


_COUNTED = {
    "contacts_list",
    "donations_list",
    "messages_list",
    "interactions_list",
    "documents_list",
    "households_list",
}


def _sorts(operation: Operation) -> list[str]:
    (sort,) = [one for one in operation.parameters if one["name"] == "sort"] or [{"schema": {}}]
    return [one for one in sort["schema"].get("enum", ()) if not one.startswith("-")][-1:]


async def test_filters_and_search_find_nobody(planted: Planted, outsider: Branch) -> None:
    """Every filter of every list, with the planted ids and words as values."""
    contact = await planted.world.get(f"/v1/contacts/{planted.ids['contact_id']}")
    words = {
        "q": "Шевченко", "email": contact["emails"][0]["address"], "phone": "+380501234567", "city": "Kyiv",
        "tag": "friend", "role": "donor", "external_id": "old-crm:42", "country": "UA", "status": "succeeded",
    }  # fmt: skip
    ids, _ = await _personal(planted)
    tried = 0
    for operation in operations():
        if operation.method != "GET" or not operation.is_list or operation.in_path:
            continue
        for parameter in operation.parameters:
            name = parameter["name"].partition("[")[0]
            value = planted.ids.get(name) or words.get(name)
            if value is None or "[" in parameter["name"]:
                continue
            answer = await _send(planted, outsider, operation, f"{operation.path}?{name}={quote(value)}", None)
            if answer.status == 200:
                shown = {one for one in ids if one in answer.text and one != value}
                assert shown == set(), f"{operation} {name}: {answer.text[:500]}"
                tried += 1
    assert tried > 40
