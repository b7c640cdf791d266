"""How Postgres finds contacts as the service role: by index, in its order, with nothing read that is not shown."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from crm_api.contacts import search
from crm_api.contacts.bulk import insert_many
from crm_api.contacts.fields import CONTACTS
from crm_api.contacts.schemas import ContactCreate
from crm_api.contacts.service import new_row
from crm_api.kit.db import SYSTEM, ReadSession, Statement
from crm_api.kit.listing import parse_list_query
from tests.support.services import Services
from tests.support.world import World, open_world

PEOPLE = 3000
_GIVEN = ["Олена", "Марія", "Іван", "Петро", "Ганна", "Юрій", "Оксана", "Nino", "Giorgi", "Layla", "Anna", "José"]
_FAMILY = [
    "Шевч",
    "Коваль",
    "Бондар",
    "Ткач",
    "Кравч",
    "Мельнич",
    "Савч",
    "Мороз",
    "Петр",
    "Павл",
    "Гончар",
    "Федор",
    "Kowal",
    "Müll",
    "Beri",
]
_ENDS = ["енко", "ук", "чук", "ський", "ович", "аренко", "ak", "er", "dze"]


@pytest.fixture(scope="module")
async def crowd(
    database_url: str, owner_url: str, services: Services, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[World]:
    """An organization with enough people that a plan is worth looking at."""
    world = await open_world(database_url, services, tmp_path_factory.mktemp("mail"))
    chance = random.Random(7)
    async with world.database.write(world.tenant, SYSTEM) as session:
        rows = []
        for number in range(PEOPLE):
            body = ContactCreate.model_validate(
                {
                    "given_name": chance.choice(_GIVEN),
                    "family_name": chance.choice(_FAMILY) + chance.choice(_ENDS) + chance.choice(("", "ко", "ий")),
                    "emails": [{"address": f"p{number}@example.org"}],
                    "phones": [{"number": f"+380{501000000 + number}"}],
                    "addresses": [{"city": chance.choice(("Київ", "Львів", "Tbilisi")), "country": "UA"}],
                    "tags": [f"tag-{number % 9}"],
                }
            )
            stored = {name: value for name, value in body.stored().items() if value is not None}
            rows.append(new_row(stored, now=session.now, source="import"))
        await insert_many(session, rows)
    owner = await asyncpg.connect(owner_url)
    for table in ("contacts", "contact_keys", "contact_words"):
        await owner.execute(f"ANALYZE {table}")
    await owner.close()
    yield world
    await world.close()


class _Watched(ReadSession):
    """A read session that remembers what it was asked."""

    __slots__ = ("asked",)

    def __init__(self, world: World) -> None:
        super().__init__(world.database, world.tenant, SYSTEM)
        self.asked: list[tuple[Statement, dict[str, Any]]] = []

    async def fetch(self, statement: Statement, **values: Any) -> Any:
        self.asked.append((statement, values))
        return await super().fetch(statement, **values)


def _nodes(plan: dict[str, Any]) -> list[dict[str, Any]]:
    return [plan, *(node for inner in plan.get("Plans", []) for node in _nodes(inner))]


@pytest.mark.parametrize(
    "query",
    [
        {"q": "Шевченко"}, {"q": "Shevch"}, {"q": "ол"}, {"q": "Olena Shevch"}, {"q": "Шевчнко"}, {"q": "Олена Львів"},
        {"q": "أولينا"}, {"q": "050 100 00 77"}, {"q": "p77@"}, {"q": "Олена", "tag": "tag-3"},
        {"q": "Олена", "created_at[gte]": "2020-01-01T00:00:00Z"}, {"q": "Шевченко", "sort": "created_at"},
        {"q": "Олена Шевч", "include_total": "true"}, {"city": "Київ"}, {"tag": "tag-3"}, {"email": "p5@example.org"},
        {"sort": "-updated_at"}, {"tag": "tag-3", "city": "Львів"}, {"sort": "display_name"}, {"language": "uk"},
    ],
    ids=str,
)  # fmt: skip
async def test_only_indexes_are_read(crowd: World, query: dict[str, str]) -> None:
    session = _Watched(crowd)
    asked = parse_list_query(CONTACTS, list(query.items()), path="/v1/contacts")
    reply = await search.read_contacts(session, asked, lambda row: {"id": str(row["id"])})
    assert reply.body
    assert session.asked
    for statement, values in session.asked:
        sql = f"EXPLAIN (ANALYZE, FORMAT JSON) {statement.bound}"
        arguments = statement.arguments({**values, "organization_id": crowd.id})
        async with crowd.database.connection() as connection:
            (row,) = await connection.fetch(sql, *arguments, str(crowd.id))
        nodes = _nodes(row[0][0]["Plan"])
        said = f"{query}: {statement.sql}"
        assert not [node for node in nodes if node["Node Type"] in {"Seq Scan", "Bitmap Heap Scan"}], said
        for node in nodes:
            if node["Node Type"] == "Sort":
                assert node["Actual Rows"] <= 400, f"sorts {node['Actual Rows']} rows: {said}"
            if node.get("Index Name"):
                assert "organization_id" in node.get("Index Cond", ""), said
