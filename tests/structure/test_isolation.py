"""Row-level security at work: what the service's own login can reach when the code around it forgets the tenant."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from crm_api.kit import clock
from crm_api.kit.ids import new_id
from tests.api.surface import Planted, plant
from tests.structure.catalogue import LiveTable
from tests.support.services import Services
from tests.support.world import open_world

Tables = dict[str, LiveTable]
NOT_A_TENANT = ("", " ", "x", "00000000-0000-0000-0000-000000000000", "%", "' OR true --", "NULL")


@pytest.fixture(scope="module")
async def two(
    database_url: str, services: Services, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[tuple[Planted, Planted]]:
    """Two organizations with rows in every table."""
    planted = []
    for _ in range(2):
        world = await open_world(database_url, services, tmp_path_factory.mktemp("mail"))
        planted.append(await plant(world))
        await world.post("/v1/funds", {"code": "x", "name": "X"}, headers={"Idempotency-Key": "k"})
        await world.set_clock(clock.utc_now() + timedelta(days=2))  # schedules come due
        await world.drain()
    yield planted[0], planted[1]
    for one in planted:
        await one.world.close()


async def _under(connection: asyncpg.Connection, organization: UUID) -> None:
    await connection.execute(f"SET LOCAL crm.organization_id = '{organization}'")


async def test_without_an_organization_nobody_sees_a_row(
    two: tuple[Planted, Planted], tables: Tables, service_role: asyncpg.Connection, owner: asyncpg.Connection
) -> None:
    empty = set()
    async with service_role.transaction():
        await _under(service_role, two[0].world.id)
        for table in tables:
            if not await service_role.fetchval(f"SELECT count(*) FROM {table}"):
                empty.add(table)
    assert not empty, f"the test must put a row into {empty}"
    for connection in (service_role, owner):  # FORCE: the owner is held too
        for table in tables:
            assert await connection.fetchval(f"SELECT count(*) FROM {table}") == 0, table
            assert await connection.fetchval(f"SELECT EXISTS (SELECT 1 FROM {table})") is False, table


@pytest.mark.parametrize("setting", NOT_A_TENANT)
async def test_what_is_no_organization_shows_nothing(
    two: tuple[Planted, Planted], tables: Tables, service_role: asyncpg.Connection, setting: str
) -> None:
    for table in tables:
        try:
            async with service_role.transaction():
                await service_role.execute("SELECT set_config('crm.organization_id', $1, true)", setting)
                seen = await service_role.fetchval(f"SELECT count(*) FROM {table}")
        except asyncpg.InvalidTextRepresentationError:
            seen = 0
        assert seen == 0, table


async def test_the_setting_ends_with_its_transaction(
    two: tuple[Planted, Planted], service_role: asyncpg.Connection
) -> None:
    async with service_role.transaction():
        await _under(service_role, two[0].world.id)
        assert await service_role.fetchval("SELECT count(*) FROM contacts")
    assert await service_role.fetchval("SELECT count(*) FROM contacts") == 0


async def _sample(connection: asyncpg.Connection, tables: Tables, organization: UUID) -> dict[str, dict[str, Any]]:
    async with connection.transaction():
        await _under(connection, organization)
        rows = {name: await connection.fetchrow(f"SELECT * FROM {name} LIMIT 1") for name in tables}
    return {name: dict(row) for name, row in rows.items() if row is not None}


def _insert(table: str, row: dict[str, Any]) -> tuple[str, list[Any]]:
    values = ", ".join(f"${number}" for number in range(1, len(row) + 1))
    return f"INSERT INTO {table} ({', '.join(row)}) VALUES ({values})", list(row.values())


async def test_nothing_is_written_without_the_own_organization(
    two: tuple[Planted, Planted], tables: Tables, service_role: asyncpg.Connection
) -> None:
    """No organization set, and another one set: inserts are refused, changes and removals find no row."""
    mine, theirs = two
    rows = await _sample(service_role, tables, mine.world.id)
    for acting in (None, theirs.world.id):
        for table, row in rows.items():
            may = {grant async for grant in _grants(service_role, table)}
            fresh = {**row, **({"id": new_id()} if "id" in row else {})}
            with pytest.raises(asyncpg.InsufficientPrivilegeError, match="row-level security"):
                async with service_role.transaction():
                    if acting is not None:
                        await _under(service_role, acting)
                    sql, values = _insert(table, fresh)
                    await service_role.execute(sql, *values)
            column = tables[table].tenant_column
            async with service_role.transaction():
                if acting is not None:
                    await _under(service_role, acting)
                if "UPDATE" in may:
                    update = f"UPDATE {table} SET {column} = {column} WHERE {column} = $1"
                    assert await service_role.execute(update, mine.world.id) == "UPDATE 0", table
                if "DELETE" in may:
                    delete = f"DELETE FROM {table} WHERE {column} = $1"
                    assert await service_role.execute(delete, mine.world.id) == "DELETE 0", table


async def _grants(connection: asyncpg.Connection, table: str) -> AsyncIterator[str]:
    for privilege in ("UPDATE", "DELETE"):
        if await connection.fetchval("SELECT has_table_privilege($1, $2)", table, privilege):
            yield privilege


async def test_a_row_cannot_be_moved_to_another_organization(
    two: tuple[Planted, Planted], tables: Tables, service_role: asyncpg.Connection
) -> None:
    mine, theirs = two
    for table in tables:
        if "UPDATE" not in {grant async for grant in _grants(service_role, table)}:
            continue
        column = tables[table].tenant_column
        with pytest.raises((asyncpg.InsufficientPrivilegeError, asyncpg.PostgresError)) as caught:
            async with service_role.transaction():
                await _under(service_role, mine.world.id)
                await service_role.execute(f"UPDATE {table} SET {column} = $1", theirs.world.id)
                await service_role.execute("SELECT 1 / (SELECT 0)")  # a table without rows has nothing to refuse
        assert "row-level security" in str(caught.value) or "division" in str(caught.value), table


async def test_evidence_cannot_be_changed(service_role: asyncpg.Connection) -> None:
    for table in ("audit_events", "payment_entries", "donor_status_changes", "deal_moves", "ledger_journals"):
        for statement in (f"UPDATE {table} SET id = id", f"DELETE FROM {table}", f"TRUNCATE {table}"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError, match="permission denied"):
                await service_role.execute(statement)


async def test_postgres_refuses_a_key_to_another_organizations_row(
    two: tuple[Planted, Planted], tables: Tables, service_role: asyncpg.Connection
) -> None:
    """Every foreign key of every table, one at a time: the row is copied with the other organization's id in it."""
    mine, theirs = two
    rows = await _sample(service_role, tables, mine.world.id)
    others = await _sample(service_role, tables, theirs.world.id)
    tried = 0
    for table, row in rows.items():
        for key in tables[table].foreign_keys:
            if key["target"] == "organizations":
                continue
            fresh = {**row, **({"id": new_id()} if "id" in row else {})}
            for name, target in zip(key["columns"][1:], key["target_columns"][1:], strict=True):
                fresh[name] = others[key["target"]][target]
            if table == "matching_gifts" and "matching_gift_id" in key["columns"]:  # what a received match has
                fresh |= {"status": "received", "received_amount": 1, "received_currency": "USD"}
            if table == "receipt_lines":  # a gift is on one active receipt
                fresh["active"] = False
            if table == "recurring_periods":  # a plan has one of each day, a gift pays one
                fresh |= {"due_on": fresh["due_on"] + timedelta(days=1000)}
                fresh["gift_id"] = None if key["columns"][1] != "gift_id" else fresh["gift_id"]
            if table == "ledger_journals":  # one posting of a gift has its lines once
                fresh["revision"] += 1000
            if table in {"charge_attempts", "pledge_installments"}:
                fresh["number"] += 1000
            if table == "charge_attempts":  # a period has one that is open
                fresh |= {"state": "declined", "settled_at": fresh["created_at"]}
            if "low_id" in fresh:  # a pair stands in order
                fresh["low_id"], fresh["high_id"] = sorted((fresh["low_id"], fresh["high_id"]), key=str)
            for name in fresh:  # what is unique is made so
                if isinstance(fresh[name], str) and name in {"name", "code", "email", "dedupe_key", "entry_key", "external_id",
                                                              "provider_event_id", "provider_payment_id", "value", "ref", "payout_ref",
                                                              "provider_plan_id", "file", "delivery_key", "series", "number"}:  # fmt: skip
                    fresh[name] = f"{fresh[name]}+"
            with pytest.raises(asyncpg.ForeignKeyViolationError):
                async with service_role.transaction():
                    await _under(service_role, mine.world.id)
                    await service_role.execute("SET CONSTRAINTS ALL IMMEDIATE")
                    if table in {
                        "duplicates",
                        "matching_gifts",
                        "household_members",
                        "merged_contacts",
                        "payment_polls",
                        "unmatched_payments",
                    }:  # unique beside their key
                        await service_role.execute(f"DELETE FROM {table}")
                    sql, values = _insert(table, fresh)
                    await service_role.execute(sql, *values)
            tried += 1
    assert tried >= 25


async def test_the_lookups_answer_one_id_only(two: tuple[Planted, Planted], service_role: asyncpg.Connection) -> None:
    mine, _ = two
    found = await service_role.fetch("SELECT * FROM crm_lookup_api_key($1)", UUID(mine.ids["key_id"]))
    assert [row["organization_id"] for row in found] == [mine.world.id]
    assert await service_role.fetch("SELECT * FROM crm_lookup_api_key($1)", None) == []
    assert await service_role.fetch("SELECT * FROM crm_lookup_connection($1)", new_id()) == []
    for role in ("crm_service", "crm_lookup"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await service_role.execute(
                f"SET ROLE {role}; SELECT secret_hash FROM api_keys; CREATE TABLE public.x (y int)"
            )
        await service_role.execute("RESET ROLE")


async def test_unknown_roles_cannot_call_the_lookups(owner: asyncpg.Connection) -> None:
    await owner.execute("DROP ROLE IF EXISTS crm_stranger; CREATE ROLE crm_stranger NOLOGIN")
    try:
        for call in (
            "crm_lookup_api_key(NULL)",
            "crm_lookup_connection(NULL)",
            "crm_due_organizations(now(), 0, 1)",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                async with owner.transaction():
                    await owner.execute("SET LOCAL ROLE crm_stranger")
                    await owner.execute(f"SELECT * FROM {call}")
    finally:
        await owner.execute("DROP ROLE crm_stranger")
