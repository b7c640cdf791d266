"""Who sees which rows, asked of the live database: no table that leads to a contact is forgotten, and the policies hold
the limited role alone."""

from __future__ import annotations

from uuid import UUID

import asyncpg
import pytest

from crm_api.kit import limits
from crm_api.kit.ids import new_id
from crm_api.kit.limits import Limit
from crm_api.registry import load_models
from crm_api.row_limits import _made_of, apply, wanted
from tests.structure.catalogue import LiveTable
from tests.support.world import World

Tables = dict[str, LiveTable]
OPEN = {"contact_teams", "teams", "team_members", "team_keys"}
"""Tables that are everybody's although somebody might think otherwise; each says why."""
UNTIED = {
    "audit_events", "idempotency_keys", "imports", "import_rows", "import_drafts", "import_draft_keys", "exports",
    "merge_batches", "report_runs", "interactions", "interaction_members", "interaction_mentions", "households",
}  # fmt: skip
"""Tables that no key ties to a contact, and that are limited all the same."""


def _lead_to_contacts(tables: Tables) -> dict[str, set[str]]:
    """Tables from which foreign keys lead to contacts, by whatever way: the columns that do."""
    found: dict[str, set[str]] = {"contacts": set()}
    while True:  # (interactions and households are named by rows that name contacts, and by tasks and deliveries)
        size = sum(map(len, found.values())) + len(found)
        for table in tables.values():
            for key in table.foreign_keys:
                if key["target"] in found and key["target"] not in OPEN and key["target"] != table.name:
                    found.setdefault(table.name, set()).add(key["columns"][-1])
        if sum(map(len, found.values())) + len(found) == size:
            return found


def test_no_table_that_leads_to_a_contact_is_without_a_policy(tables: Tables) -> None:
    models = load_models().tables
    silent = []
    for name, columns in _lead_to_contacts(tables).items():
        said = models[name].info.get("limit") or limits.RowLimit()
        if said.open:
            assert name in OPEN, f"{name}: say here too that everybody sees it"
            continue
        held = {one.removeprefix("limit_") for one in tables[name].policies if one.startswith("limit_")}
        silent += [f"{name}.{column}" for column in columns - held - set(said.past)]
        assert held, f"{name}: nothing limits it"
    assert silent == [], "a key leads to contacts, and whoever sees part of these sees all of this"
    limited = {name for name, table in tables.items() if any(one.startswith("limit_") for one in table.policies)}
    assert limited - _lead_to_contacts(tables).keys() == UNTIED


def test_the_database_holds_the_policies_that_the_models_ask_for(tables: Tables) -> None:
    asked = wanted(load_models()).policies
    there = {(table.name, name) for table in tables.values() for name in table.policies if name.startswith("limit_")}
    assert there == {place for place in asked if place[0] in tables}


async def test_they_are_made_anew_where_they_differ_and_only_there(owner_url: str, owner: asyncpg.Connection) -> None:
    oids = "SELECT p.oid FROM pg_policy p WHERE polname LIKE 'limit\\_%' ORDER BY p.oid"
    before = await owner.fetch(oids)
    await apply(owner_url)
    assert await owner.fetch(oids) == before
    await owner.execute("DROP POLICY limit_contact_id ON documents; REVOKE SELECT ON gifts FROM crm_limited")
    await owner.execute("COMMENT ON POLICY limit_contact_id ON deals IS 'older'; GRANT DELETE ON teams TO crm_limited")
    await owner.execute("CREATE POLICY limit_made_up ON funds AS RESTRICTIVE TO crm_limited USING (false)")
    await apply(owner_url)
    after = await owner.fetch(oids)
    assert (len(after), len({*after} - {*before})) == (len(before), 2)
    said = "SELECT obj_description(oid, 'pg_policy') FROM pg_policy WHERE polname = 'limit_contact_id' AND polrelid = 'deals'::regclass"
    assert await owner.fetchval(said) == _made_of(wanted(load_models()).policies["deals", "limit_contact_id"])
    may = "SELECT has_table_privilege('crm_limited', $1, $2)"
    assert await owner.fetchval(may, "gifts", "SELECT")
    assert not await owner.fetchval(may, "teams", "DELETE")


async def test_the_limited_role_may_do_no_more_than_the_service(tables: Tables, owner: asyncpg.Connection) -> None:
    less = wanted(load_models()).privileges
    for table in tables.values():
        for privilege in ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER"):
            may = "SELECT has_table_privilege($1, $2::oid, $3)"
            service = await owner.fetchval(may, "crm_service", table.oid, privilege)
            wants = service and (table.name not in less or privilege in less[table.name])
            assert await owner.fetchval(may, "crm_limited", table.oid, privilege) == wants, f"{table.name}: {privilege}"
    assert less.keys() >= OPEN


async def test_the_service_can_take_the_role_and_does_not_have_it(
    service_role: asyncpg.Connection, owner: asyncpg.Connection
) -> None:
    """Were it a member that inherits, every policy would hold every statement of everybody."""
    assert not await owner.fetchval("SELECT pg_has_role('crm_app', 'crm_limited', 'USAGE')")
    async with service_role.transaction():
        await service_role.execute(Limit((), ()).entering)
        assert await service_role.fetchval("SELECT current_user") == "crm_limited"
    assert await service_role.fetchval("SELECT current_user") == "crm_app"
    assert not await service_role.fetchval("SELECT current_setting('crm.teams', true)")
    for statement in ("DELETE FROM contact_teams", "INSERT INTO team_keys SELECT * FROM team_keys"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="permission denied"):
            async with service_role.transaction():
                await service_role.execute(Limit((), ()).entering)
                await service_role.execute(statement)


def test_a_limit_has_one_form() -> None:
    first, second = (UUID(int=number) for number in (1, 2))
    one, other = Limit((first, second), (second,)), Limit((second, first), (second,))
    assert one.text == other.text
    assert Limit.stored({"teams": [str(second), str(first)], "home": [str(second)], "unassigned": False,
                         "hidden_roles": []}) == other  # fmt: skip
    assert (
        len({one.digest, Limit(None).digest, Limit((), ()).digest, Limit((first, second), (second,), True).digest}) == 4
    )
    with pytest.raises(ValueError, match="letters"):
        Limit(hidden_roles=("x'; SET ROLE NONE; --",))


MANY = 4000
LISTS = (
    "SELECT * FROM contacts WHERE organization_id = '{org}' AND merged_into IS NULL ORDER BY id DESC LIMIT 51",
    "SELECT * FROM gifts WHERE organization_id = '{org}' ORDER BY received_at DESC, id DESC LIMIT 51",
    "SELECT c.* FROM contact_keys k JOIN contacts c ON c.organization_id = '{org}' AND c.id = k.contact_id "
    "WHERE k.organization_id = '{org}' AND k.kind = 'tag' AND k.value = 'friend' ORDER BY c.id LIMIT 51",
    "SELECT * FROM documents WHERE organization_id = '{org}' AND contact_id = '{one}' ORDER BY created_at LIMIT 51",
)


async def test_a_limit_is_looked_up_by_index_and_costs_nobody_else(
    world: World, owner: asyncpg.Connection, service_role: asyncpg.Connection
) -> None:
    """Every tenth of four thousand contacts is the team's: a page looks up some hundred of them. The plan of a caller
    that sees all knows nothing of teams."""
    team, one = new_id(), new_id()
    org = f"'{world.id}'::uuid"
    statements = [
        f"INSERT INTO teams (organization_id, id, name, created_at, updated_at) VALUES ({org}, '{team}', 'T', now(), now())",
        f"CREATE TEMP TABLE people AS SELECT CASE WHEN n = 1 THEN '{one}'::uuid ELSE uuidv7() END AS id, n "
        f"FROM generate_series(1, {MANY}) n",
        f"INSERT INTO contacts (organization_id, id, kind, display_name, created_at, updated_at) "
        f"SELECT {org}, id, 'person', 'x', now(), now() FROM people",
        f"INSERT INTO contact_keys (organization_id, kind, value, contact_id) "
        f"SELECT {org}, 'tag', CASE WHEN n % 5 = 0 THEN 'friend' ELSE 'other' END, id FROM people",
        f"INSERT INTO gifts (organization_id, id, contact_id, amount, currency, status, method, received_at, gift_date, "
        f"created_at, updated_at) SELECT {org}, uuidv7(), id, 100, 'USD', 'succeeded', 'cash', now(), now()::date, now(), "
        f"now() FROM people",
        f"INSERT INTO contact_teams (organization_id, contact_id, team_id, assigned_at) "
        f"SELECT {org}, id, '{team}', now() FROM people WHERE n % 10 = 0",
    ]
    async with owner.transaction():
        await owner.execute(f"SET LOCAL crm.organization_id = '{world.id}'")
        for statement in statements:
            await owner.execute(statement)
    await owner.execute("DROP TABLE people; ANALYZE contacts, contact_keys, gifts, contact_teams")
    for question in LISTS:
        sql = question.format(org=world.id, one=one)
        for limit in (None, Limit((team,), (team,))):
            entering = "" if limit is None else f"; {limit.entering}"
            async with service_role.transaction():
                await service_role.execute(f"SET LOCAL crm.organization_id = '{world.id}'{entering}")
                plan = "\n".join(row[0] for row in await service_role.fetch(f"EXPLAIN (ANALYZE, TIMING off) {sql}"))
            assert "Seq Scan on contacts" not in plan, plan
            assert "Seq Scan on gifts" not in plan, plan
            assert ("contact_teams" in plan) == (limit is not None), plan
            assert limit is not None or "SubPlan" not in plan, plan
