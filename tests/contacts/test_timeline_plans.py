"""How Postgres reads a timeline: a range of one index for each kind, however much a contact has behind it."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg

from crm_api.contacts.timeline.service import _page
from crm_api.kit.db import Statement, prepare
from crm_api.kit.ids import new_id
from crm_api.kit.timeline import SOURCES, Shape
from tests.support.world import World

START = datetime(2026, 1, 5, 9, tzinfo=UTC)
MANY = 600
"""Touches of each kind that the contact has, among those of others."""
DEALS = MANY * 11 // 220
"""Its deals, each with a move, and its merges."""
MODES = ("force_custom_plan", "force_generic_plan")
TABLES = {
    "interaction_participants", "gifts", "recurring_plans", "messages", "deals", "tasks", "donor_status_changes",
    "consent_events", "documents", "merges", "pledges",
}  # fmt: skip


async def _fill(owner: asyncpg.Connection, world: World, contact: UUID) -> None:
    """Ten times as many rows of 3,000 others; one row in 40 of the contact is for few eyes."""
    stage, pipeline = new_id(), new_id()
    person = f"CASE WHEN touch.n % 11 = 0 THEN '{contact}'::uuid ELSE (SELECT id FROM people WHERE people.n = touch.n % 3000) END"
    org = f"'{world.id}'::uuid"
    total = MANY * 11
    series = f"generate_series(0, {total - 1}) touch(n)"
    moment = f"timestamptz '{START.isoformat()}' - n * interval '1 hour'"
    ident = "uuidv7()"
    statements = [
        "CREATE TEMP TABLE people AS SELECT gen_random_uuid() AS id, n FROM generate_series(0, 2999) n",
        "CREATE INDEX ON people (n)",
        f"INSERT INTO contacts (organization_id, id, kind, display_name, created_at, updated_at) "
        f"SELECT {org}, id, 'person', 'x', now(), now() FROM people",
        f"CREATE TEMP TABLE touches AS SELECT {ident} AS id, n, {person} AS contact_id, {moment} AS at FROM {series}",
        f"INSERT INTO interactions (organization_id, id, kind, at, sensitivity, actor_kind, actor_id, created_at, "
        f"updated_at) SELECT {org}, id, 'call', at, CASE WHEN n % 440 = 0 THEN 'beneficiary_sensitive' "
        f"ELSE 'donor_sensitive' END, 'system', 'x', at, at FROM touches",
        f"INSERT INTO interaction_participants (organization_id, interaction_id, contact_id, position, at) "
        f"SELECT {org}, id, contact_id, 1, at FROM touches",
        f"INSERT INTO gifts (organization_id, id, contact_id, amount, currency, status, method, received_at, gift_date, "
        f"created_at, updated_at) SELECT {org}, {ident}, contact_id, 100, 'USD', 'succeeded', 'cash', at, at::date, at, "
        f"at FROM touches",
        f"INSERT INTO tasks (organization_id, id, title, contact_id, due_by, timeline_at, created_at, updated_at) "
        f"SELECT {org}, {ident}, 'x', contact_id, at, at, at, at FROM touches",
        f"INSERT INTO messages (organization_id, id, kind, channel, contact_id, purpose, dedupe_key, language, state, "
        f"created_at, updated_at) SELECT {org}, {ident}, 'welcome', 'email', contact_id, 'gift_processing', n::text, "
        f"'en', 'suppressed', at, at FROM touches",
        f"INSERT INTO recurring_plans (organization_id, id, contact_id, status, status_at, created_at, updated_at) "
        f"SELECT {org}, {ident}, contact_id, 'active', at, at, at FROM touches",
        f"INSERT INTO pledges (organization_id, id, contact_id, kind, status, description, pledged_on, created_at, "
        f"updated_at) SELECT {org}, {ident}, contact_id, 'in_kind', 'active', 'x', at::date, at, at FROM touches",
        f"INSERT INTO donor_status_changes (organization_id, id, contact_id, status, rules_version, as_of, changed_at) "
        f"SELECT {org}, {ident}, contact_id, 'lapsed', 1, at::date, at FROM touches",
        f"INSERT INTO consent_events (organization_id, id, contact_id, status, legal_basis, source, recorded_by_kind, "
        f"recorded_by, at, recorded_at) SELECT {org}, {ident}, contact_id, 'granted', 'consent', 'x', 'system', 'x', at, "
        f"at FROM touches",
        f"INSERT INTO documents (organization_id, id, contact_id, title, kind, sensitivity, file, filename, media_type, "
        f"size, sha256, expires_sort, created_at, updated_at) SELECT {org}, {ident}, contact_id, 'x', 'other', "
        f"'donor_sensitive', n::text, 'x', 'text/plain', 1, 'x', '9000-01-01', at, at FROM touches",
        f"INSERT INTO merges (organization_id, id, survivor_id, retired_ids, survivor_own, produced, actor_kind, "
        f"actor_id, merged_at, created_at, updated_at) SELECT {org}, {ident}, contact_id, '[]', '{{}}', '{{}}', "
        f"'system', 'x', at, at, at FROM touches WHERE contact_id <> '{contact}' OR n % 220 = 0",
        f"INSERT INTO pipelines (organization_id, id, name, kind, created_at, updated_at) "
        f"VALUES ({org}, '{pipeline}', 'x', 'grants', now(), now())",
        f"INSERT INTO pipeline_stages (organization_id, id, pipeline_id, name, position, created_at) "
        f"VALUES ({org}, '{stage}', '{pipeline}', 'x', 0, now())",
        f"INSERT INTO deals (organization_id, id, pipeline_id, stage_id, contact_id, title, status, entered_stage_at, "
        f"created_at, updated_at) SELECT {org}, {ident}, '{pipeline}', '{stage}', contact_id, 'x', 'open', at, at, at "
        f"FROM touches WHERE contact_id <> '{contact}' OR n % 220 = 0",
        f"INSERT INTO deal_moves (organization_id, id, deal_id, from_stage_id, to_stage_id, moved_at, actor_kind, "
        f"actor_id) SELECT organization_id, {ident}, id, '{stage}', '{stage}', created_at, 'system', 'x' FROM deals "
        f"WHERE organization_id = {org}",
    ]
    async with owner.transaction():
        await owner.execute(f"SET LOCAL crm.organization_id = '{world.id}'")
        for statement in statements:
            await owner.execute(statement)
    await owner.execute("DROP TABLE people, touches")
    for table in sorted(
        {source.contact.table.name for source in SOURCES.by_kind.values()} | {"interactions", "deal_moves"}
    ):
        await owner.execute(f"ANALYZE {table}")


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for inner in plan.get("Plans", []):
        yield from _nodes(inner)


def _literal(value: Any) -> str:
    return str(value) if isinstance(value, int) else f"'{value}'"


async def _plan(
    service_role: asyncpg.Connection, statement: Statement, values: dict[str, Any], organization: UUID, mode: str
) -> dict[str, Any]:
    """The plan Postgres carries out, with the rows it met, under row-level security."""
    arguments = ", ".join(_literal(one) for one in (*statement.arguments(values), organization))
    async with service_role.transaction():
        await service_role.execute(f"SET LOCAL plan_cache_mode = {mode}; SET LOCAL jit = off")
        await service_role.execute(f"PREPARE timeline AS {statement.bound}")
        said = await service_role.fetchval(f"EXPLAIN (ANALYZE, TIMING off, FORMAT JSON) EXECUTE timeline({arguments})")
        await service_role.execute("DEALLOCATE timeline")
    plan: dict[str, Any] = json.loads(said)[0]["Plan"]
    return plan


async def test_each_kind_is_a_range_of_its_index(
    world: World, owner: asyncpg.Connection, service_role: asyncpg.Connection
) -> None:
    """As the service's own role, planned for the values and for any: whatever the contact has behind it, a page reads
    one page of each kind and no more, and sorts no more than it has read."""
    contact = UUID((await world.contact())["id"])
    await _fill(owner, world, contact)
    sources = list(SOURCES.by_kind.values())
    limit = 51
    values: dict[str, Any] = {"organization_id": world.id, "contact_id": contact, "row_limit": limit}
    values |= {"after_at": START - timedelta(days=200), "after_id": new_id()}
    values |= {"at_0": START - timedelta(days=600), "at_1": START - timedelta(days=1)}
    questions = ((False, True, ()), (True, True, ()), (True, False, ("gte", "lt")))
    for mode, (after, sensitive, moments) in itertools.product(MODES, questions):
        shape = Shape(tuple(source.kind for source in sources), sensitive, True, after, moments)
        plan = await _plan(service_role, prepare(_page(sources, shape)), values, world.id, mode)
        assert plan["Actual Rows"] == limit
        seen = set()
        for node in _nodes(plan):
            kind, table = node["Node Type"], node.get("Relation Name")
            assert kind not in {"Seq Scan", "Bitmap Heap Scan", "Hash Join", "Merge Join"}, (table, node)
            loops = node["Actual Loops"]
            if kind in {"Sort", "Incremental Sort"}:
                (inner,) = node["Plans"]
                assert inner["Actual Rows"] * inner["Actual Loops"] <= max(DEALS, limit * len(sources)), node
            elif table is not None:
                assert node["Index Name"], node
                seen.add(table)
                met = node["Actual Rows"] * loops + node.get("Rows Removed by Filter", 0) * loops
                # A move does not name the contact: those of its own deals are met, all of them; so are its merges. A
                # few rows for few eyes are passed by.
                most = DEALS * 1.5 if table in {"deals", "deal_moves", "merges"} else limit * 2
                assert met <= most, (table, met, node)
        assert seen >= TABLES
