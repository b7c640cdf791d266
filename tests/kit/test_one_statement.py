"""A write of deferred rows only is one statement: it sets its tenant itself, and is a whole transaction."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from crm_api.contacts.models import contact_keys, contacts
from crm_api.contacts.schemas import ContactCreate, ContactPatch
from crm_api.contacts.service import create_contact, patch_contact
from crm_api.donations.gifts.schemas import DonationCreate
from crm_api.donations.gifts.service import record_by_hand
from crm_api.kit.db import SYSTEM, Database, Tenant
from crm_api.kit.ids import new_id
from crm_api.kit.problems import NotFound
from crm_api.kit.statements import insert_sql
from tests.support.world import World


class Heard:
    """A connection that is listened to."""

    def __init__(self, connection: Any, said: list[str]) -> None:
        self.real, self._said = connection, said

    def is_closed(self) -> bool:
        """As the real one."""
        return bool(self.real.is_closed())

    async def fetch(self, sql: str, *arguments: Any) -> Any:
        """Rows."""
        self._said.append(sql)
        return await self.real.fetch(sql, *arguments)

    async def execute(self, sql: str, *arguments: Any) -> Any:
        """A tag."""
        self._said.append(sql)
        return await self.real.execute(sql, *arguments)


class Listening:
    """A pool whose connections are listened to."""

    def __init__(self, pool: Any) -> None:
        self.pool, self.said = pool, list[str]()

    async def acquire(self) -> Heard:
        """Take a connection."""
        return Heard(await self.pool.acquire(), self.said)

    def release(self, connection: Heard) -> None:
        """Give it back."""
        self.pool.release(connection.real)

    async def mend(self, connection: Heard) -> None:
        """Give it back after an error."""
        await self.pool.mend(connection.real)


@dataclass
class Ear:
    """A database of its own, and what it is told."""

    database: Database
    said: list[str]


@pytest.fixture
async def ear(database_url: str, world: World) -> AsyncIterator[Ear]:
    """Listens to what is said to the database."""
    database = await Database.open(database_url, size=1)
    real, listening = database._pool, Listening(database._pool)
    database._pool = listening  # type: ignore[assignment]
    yield Ear(database, listening.said)
    database._pool = real
    await database.close()


async def test_a_new_contact_is_one_trip(world: World, ear: Ear) -> None:
    await world.contact()  # which custom fields are required is asked once in some seconds
    async with ear.database.write(world.tenant) as session:
        await create_contact(session, ContactCreate(given_name="Олена", tags=["a", "b"]))
    (statement,) = ear.said
    assert statement.startswith("WITH _tenant AS MATERIALIZED")
    (found,) = (await world.get("/v1/contacts", params={"tag": "b"}))["data"]
    assert found["given_name"] == "Олена"


async def test_a_gift_is_one_trip(world: World, ear: Ear) -> None:
    contact = await world.contact()
    body = {"contact_id": contact["id"], "amount": {"amount": 2500, "currency": "USD"}}
    async with ear.database.write(world.tenant) as session:
        await record_by_hand(session, DonationCreate.model_validate_json(json.dumps(body)))
    assert len(ear.said) == 1
    assert len(await world.jobs()) >= 2


async def test_a_write_that_reads_begins_a_transaction(world: World, ear: Ear) -> None:
    contact = await world.contact()
    async with ear.database.write(world.tenant) as session:
        await patch_contact(session, UUID(contact["id"]), ContactPatch(family_name="Another"))
    assert ear.said[0].startswith("BEGIN; SET LOCAL")
    assert ear.said[-1] == "COMMIT"


async def test_a_write_of_nothing_says_nothing(world: World, ear: Ear) -> None:
    async with ear.database.write(world.tenant):
        pass
    with pytest.raises(KeyError):
        async with ear.database.write(world.tenant) as session:
            session.later(contacts, **_row(new_id()))
            raise KeyError
    assert ear.said == []


async def test_all_or_nothing(world: World) -> None:
    """A refused row takes every other row of the statement with it."""
    before = (await world.get("/v1/jobs"))["data"]
    with pytest.raises(AssertionError, match="404"):
        await world.donation(str(new_id()))
    assert (await world.get("/v1/donations"))["data"] == []
    assert (await world.get("/v1/jobs"))["data"] == before


def _row(contact_id: UUID) -> dict[str, Any]:
    return {"kind": "person", "display_name": "Somebody", "id": contact_id, "created_at": "now", "updated_at": "now"}


async def test_the_tenant_is_gone_afterwards(database_url: str, world: World) -> None:
    database = await Database.open(database_url, size=1)
    async with database.write(world.tenant) as session:
        session.later(contacts, **_row(new_id()))
    async with database.connection() as connection:
        assert not await connection.fetchval("SELECT current_setting('crm.organization_id', true)")
        assert await connection.fetchval("SELECT count(*) FROM contacts") == 0
    await database.close()


async def test_no_tenant_means_no_row(database_url: str, world: World, service_role: asyncpg.Connection) -> None:
    """The statement without its fence is refused outside a transaction that has set the tenant: it fails closed."""
    sql = insert_sql(((contacts, tuple(_row(new_id()))),), fenced=False)
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await service_role.execute(sql, world.id, json.dumps([_row(new_id())], default=str))


async def test_another_organizations_row_cannot_be_named(world: World, make_world: Any, database_url: str) -> None:
    other: World = await make_world(name="Other Fund")
    theirs = await other.contact()
    database = await Database.open(database_url, size=1)
    with pytest.raises(NotFound):
        async with database.write(world.tenant) as session:
            session.later(contact_keys, kind="tag", value="mine", contact_id=theirs["id"])
    unknown: Tenant = replace(world.tenant, id=new_id())
    with pytest.raises(NotFound):
        async with database.write(unknown, SYSTEM) as session:
            session.later(contacts, **_row(new_id()))
    await database.close()


async def test_callbacks_follow_the_commit_only(database_url: str, world: World) -> None:
    database, called = await Database.open(database_url, size=1), list[str]()
    with pytest.raises(NotFound):
        async with database.write(world.tenant) as session:
            session.after_commit(lambda: called.append("failed"))
            session.later(contact_keys, kind="tag", value="x", contact_id=new_id())
    async with database.write(world.tenant) as session:
        session.after_commit(lambda: called.append("done"))
        session.later(contacts, **_row(new_id()))
    async with database.write(world.tenant) as session:
        session.after_commit(lambda: called.append("nothing to write"))
    assert called == ["done", "nothing to write"]
    await database.close()
