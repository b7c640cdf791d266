"""Merge and unmerge over random data: every row of every table comes back, whoever added the table."""

from __future__ import annotations

import random
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from sqlalchemy import Text, UniqueConstraint

from crm_api.contacts.dedupe.repointing import DERIVED, MOVE, Reference, references
from crm_api.kit.ids import new_id
from tests.api.surface import plant
from tests.support.effort import seeds
from tests.support.world import World

BOOKS = {"audit_events", "audit_seals", "jobs", "idempotency_keys", "merges", "merged_contacts", "merge_changes",
         "merge_batches", "contact_words"}  # fmt: skip
"""What was done, not what is: the trail, the outbox, the journal itself, and the vocabulary of typos, which only grows."""
MOVING = {"version", "updated_at"}


async def dump(owner: asyncpg.Connection, organization: UUID) -> dict[str, set[str]]:
    """Every row of every table of the organization, as JSON text, without versions and times of change."""
    tables = await owner.fetch(
        "SELECT c.relname AS name FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid "
        "WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND a.attname = 'organization_id'"
    )
    found = {}
    async with owner.transaction():
        await owner.execute(f"SET LOCAL crm.organization_id = '{organization}'")
        for name in sorted({row["name"] for row in tables} - BOOKS):
            rows = await owner.fetch(
                f"SELECT (to_jsonb(t) - '{{version,updated_at}}'::text[])::text AS row FROM {name} t"
            )
            found[name] = {row["row"] for row in rows}
    return found


def _differences(before: dict[str, set[str]], after: dict[str, set[str]]) -> list[str]:
    return [
        f"{name}: {sign} {row}"
        for name in before
        for sign, rows in (("missing", before[name] - after[name]), ("extra", after[name] - before[name]))
        for row in rows
    ]


class Copier:
    """Fills every table that names contacts with rows of other contacts, made from those that `plant` has made."""

    def __init__(self, owner: asyncpg.Connection, world: World, dice: random.Random) -> None:
        self.owner, self.world, self.dice = owner, world, dice

    async def fill(self, contacts: list[str]) -> dict[str, int]:
        """Rows that were made, by column that names a contact."""
        made = {}
        async with self.owner.transaction():
            await self.owner.execute(f"SET LOCAL crm.organization_id = '{self.world.id}'")
            for reference in references():
                if reference.way in {MOVE, DERIVED} and reference.table.name not in {
                    "contacts",
                    "contact_external_ids",
                }:
                    made[f"{reference.table.name}.{reference.column}"] = await self._copies(reference, contacts)
        return made

    async def _copies(self, reference: Reference, contacts: list[str]) -> int:
        name, column = reference.table.name, reference.column
        rows = await self.owner.fetch(f"SELECT * FROM {name} ORDER BY {column} IS NULL LIMIT 3")
        if not rows:
            return 1  # tests/structure/test_isolation.py sees to it that `plant` makes a row of every table
        made = 0
        for contact in contacts:
            for _ in range(self.dice.randint(1, 3)):
                made += await self._copy(reference, dict(self.dice.choice(rows)), UUID(contact))
        return made

    async def _copy(self, reference: Reference, row: dict[str, Any], contact: UUID) -> int:
        row[reference.column] = contact
        if "is_primary" in row:
            row["is_primary"] = False  # the one that `plant` has made is
        if "id" in row:
            row["id"] = new_id()
        for one in _unique_texts(reference):
            if isinstance(row[one], str):
                row[one] = f"{row[one]}{new_id().hex}"
        values = ", ".join(f"${number}" for number in range(1, len(row) + 1))
        try:
            async with self.owner.transaction():
                await self.owner.execute(
                    f"INSERT INTO {reference.table.name} ({', '.join(row)}) VALUES ({values})", *row.values()
                )
        except (asyncpg.UniqueViolationError, asyncpg.CheckViolationError):
            return 0  # such a row is there already, or would relate a contact to itself
        return 1


def _unique_texts(reference: Reference) -> set[str]:
    """Columns of text that stand in a unique key without the contact: a copy needs others."""
    table = reference.table
    keys = [list(one.columns) for one in table.constraints if isinstance(one, UniqueConstraint)]
    keys += [list(one.columns) for one in table.indexes if one.unique]
    named = [column for key in keys if reference.column not in {c.name for c in key} for column in key]
    return {column.name for column in named if isinstance(column.type, Text) and not column.foreign_keys}


GIVEN = ("Олена", "Olena", "Саша", "ნინო", None)


def _content(dice: random.Random, number: int) -> dict[str, Any]:
    body: dict[str, Any] = {
        "given_name": dice.choice(GIVEN),
        "family_name": dice.choice(("Шевченко", "Shevchenko", "Бондар", None)),
        "middle_name": dice.choice(("Іванівна", None)),
        "language": dice.choice(("uk", "en", None)),
        "birth_date": dice.choice(("1980-05-17", "1980", None)),
        "emails": [{"address": f"{dice.choice('abc')}{n}@example.org"} for n in range(dice.randint(0, 3))],
        "phones": [{"number": f"+38050123456{dice.randint(0, 9)}"} for _ in range(dice.randint(0, 2))],
        "addresses": [{"city": dice.choice(("Kyiv", "Lviv")), "country": "UA"} for _ in range(dice.randint(0, 2))],
        "handles": [{"network": "telegram", "handle": dice.choice(("olena", "olena_sh"))}][: dice.randint(0, 1)],
        "tags": dice.sample(("friend", "board", "press"), dice.randint(0, 3)),
        "external_ids": [{"system": "old-crm", "id": f"p{number}"}],
        "roles": dice.sample(("donor", "volunteer", "partner"), dice.randint(0, 2)),
        "do_not_contact": dice.random() < 0.3,
    }
    return {name: value for name, value in body.items() if value is not None}


@pytest.mark.parametrize("seed", seeds(2))
async def test_every_row_of_every_table_comes_back(world: World, owner: asyncpg.Connection, seed: int) -> None:
    dice = random.Random(seed)
    await plant(world)
    contacts = [(await world.post("/v1/contacts", _content(dice, number)))["id"] for number in range(6)]
    for contact in contacts:
        for _ in range(dice.randint(0, 2)):
            await world.donation(contact, dice.randint(100, 9000))
    made = await Copier(owner, world, dice).fill(contacts)
    assert all(made.values()), [name for name, count in made.items() if not count]
    await world.drain()

    alive, done, dumps = list(contacts), [], []
    while len(alive) > 1:
        dumps.append(await dump(owner, world.id))
        survivor = dice.choice(alive)
        others = dice.sample([one for one in alive if one != survivor], dice.randint(1, min(2, len(alive) - 1)))
        fields = {"given_name": others[0]} if dice.random() < 0.5 else {}
        merge = await world.post(f"/v1/contacts/{survivor}/merge", {"from": others, "fields": fields})
        done.append(merge["id"])
        alive = [one for one in alive if one not in others]
        for one in others:
            answer = await world.client.get(f"/v1/contacts/{one}")
            assert (answer.status_code, answer.headers["location"]) == (301, f"/v1/contacts/{survivor}")
    for one in contacts:
        if one != alive[0]:
            assert (await world.client.get(f"/v1/contacts/{one}")).headers["location"] == f"/v1/contacts/{alive[0]}"
    left = await dump(owner, world.id)
    for reference in references():
        if reference.way in {MOVE, DERIVED} and reference.table.name != "contacts":
            retired = [one for one in contacts if one != alive[0]]
            assert not any(
                f'"{reference.column}": "{one}"' in row for row in left[reference.table.name] for one in retired
            )
    while done:
        await world.post(f"/v1/merges/{done.pop()}/undo", expect=200)
        assert _differences(dumps.pop(), await dump(owner, world.id)) == []


async def test_what_follows_a_merge_follows_its_undo(world: World, owner: asyncpg.Connection) -> None:
    """With the worker at work in between: figures and statuses are those from before, computed anew."""
    first, second = [(await world.contact())["id"] for _ in range(2)]
    for contact, amount in ((first, 1000), (second, 2500), (second, 900)):
        await world.donation(contact, amount)
    await world.drain()
    before = await dump(owner, world.id)
    figures = [await world.profile(one) for one in (first, second)]
    merge = await world.post(f"/v1/contacts/{first}/merge", {"from": [second]})
    await world.drain()
    assert (await world.profile(first))["gift_count"] == 3
    await world.post(f"/v1/merges/{merge['id']}/undo", expect=200)
    await world.drain()
    derived = {"donor_summaries", "donor_status_changes", "rfm_borders", "donor_predictions"}
    after = await dump(owner, world.id)
    assert [line for line in _differences(before, after) if line.partition(":")[0] not in derived] == []
    told = [await world.profile(one) for one in (first, second)]
    assert [{**one, "computed_at": ""} for one in told] == [{**one, "computed_at": ""} for one in figures]
    stored = await owner_rows(owner, world, "SELECT contact_id::text, gift_count FROM donor_summaries ORDER BY 2")
    assert stored == [(first, 1), (second, 2)]


async def owner_rows(owner: asyncpg.Connection, world: World, query: str) -> list[tuple[Any, ...]]:
    """Rows of a query, of this organization."""
    async with owner.transaction():
        await owner.execute(f"SET LOCAL crm.organization_id = '{world.id}'")
        return [tuple(row) for row in await owner.fetch(query)]


async def test_what_came_since_stays_with_the_survivor(world: World) -> None:
    first, second = [(await world.contact())["id"] for _ in range(2)]
    merge = await world.post(f"/v1/contacts/{first}/merge", {"from": [second]})
    gift = await world.donation(first, 700)
    await world.patch(f"/v1/contacts/{first}", {"language": "uk", "tags": ["later"]})
    await world.post(f"/v1/merges/{merge['id']}/undo", expect=200)
    assert (await world.get(f"/v1/donations/{gift['id']}"))["contact_id"] == first
    contact = await world.get(f"/v1/contacts/{first}")
    assert (contact["language"], contact["tags"]) == ("uk", ["later"])


async def test_a_chain_is_undone_from_its_end(world: World) -> None:
    a, b, c = [(await world.contact())["id"] for _ in range(3)]
    first = await world.post(f"/v1/contacts/{b}/merge", {"from": [c]})
    second = await world.post(f"/v1/contacts/{a}/merge", {"from": [b]})
    refused = await world.post(f"/v1/merges/{first['id']}/undo", expect=409)
    assert (refused["code"], refused["merge_id"]) == ("merge_not_latest", second["id"])
    for merge in (second, first):
        await world.post(f"/v1/merges/{merge['id']}/undo", expect=200)
    assert {row["id"] for row in (await world.get("/v1/contacts"))["data"]} == {a, b, c}
