"""The tenancy rules, asked of the live database rather than of the models: a forgotten line in a migration shows here."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import asyncpg
import pytest

import crm_api
from crm_api.kit.fields import Catalogue
from crm_api.registry import load_models
from tests.structure.catalogue import LiveTable

Tables = dict[str, LiveTable]
APPEND_ONLY = {
    "audit_events",
    "audit_seals",
    "payment_entries",
    "donor_status_changes",
    "deal_moves",
    "ledger_journals",
}
UNSET = "NULLIF(current_setting('crm.organization_id'::text, true), ''::text)"


def test_the_database_holds_the_models_tables(tables: Tables) -> None:
    assert tables.keys() == set(load_models().tables)


def test_row_level_security_is_on_and_forced(tables: Tables) -> None:
    assert [table.name for table in tables.values() if not (table.enabled and table.forced)] == []


def test_every_table_has_the_tenant_policy(tables: Tables) -> None:
    for table in tables.values():
        policy = table.policies["tenant"]
        expected = f"({table.tenant_column} = ({UNSET})::uuid)"
        assert policy["command"] == "*", table.name
        assert policy["permissive"], table.name
        assert policy["roles"] == [0], f"{table.name}: the policy must hold every role"
        assert policy["using_"] == policy["check_"] == expected, table.name


async def test_the_only_other_policies_are_the_lookups_and_the_limits(
    tables: Tables, owner: asyncpg.Connection
) -> None:
    lookup = await owner.fetchval("SELECT 'crm_lookup'::regrole::oid")
    limited = await owner.fetchval("SELECT 'crm_limited'::regrole::oid")
    for table in tables.values():
        for name, policy in table.policies.items():
            if name.startswith("limit_"):
                assert not policy["permissive"], f"{table.name}.{name} would show more, not less"
                assert (policy["command"], policy["roles"]) == ("*", [limited]), f"{table.name}.{name}"
            elif name != "tenant":
                assert (name, policy["command"], policy["roles"]) == ("lookup", "r", [lookup]), table.name


def test_the_organization_leads_every_primary_key(tables: Tables) -> None:
    for table in tables.values():
        assert table.primary_key[0] == table.tenant_column, table.name
        assert table.columns[table.tenant_column]["required"], table.name
        assert table.columns[table.tenant_column]["type"] == "uuid", table.name
    assert tables["organizations"].primary_key == ["id"]


def test_every_foreign_key_stays_inside_the_organization(tables: Tables) -> None:
    for table in tables.values():
        for key in table.foreign_keys:
            said = f"{table.name}.{key['name']}"
            assert key["valid"], said
            assert key["columns"][0] == "organization_id", said
            if key["target"] == "organizations":
                assert (key["columns"], key["target_columns"]) == (["organization_id"], ["id"]), said
            else:
                assert key["target_columns"][0] == "organization_id", said
                assert len(key["columns"]) >= 2, said


def test_every_table_belongs_to_an_existing_organization(tables: Tables) -> None:
    for table in tables.values():
        if table.name != "organizations":
            assert any(key["target"] == "organizations" for key in table.foreign_keys), table.name


def _led(table: LiveTable, columns: list[str]) -> bool:
    """Whether a valid index begins with these columns, in any order after the first; one whose condition only leaves
    out rows without the last column will do."""
    for index in table.indexes:
        partial = index["condition"] not in (None, f"({columns[-1]} IS NOT NULL)")
        begins = index["columns"][: len(columns)]
        if index["valid"] and not partial and begins[0] == columns[0] and set(begins) == set(columns):
            return True
    return False


def test_every_foreign_key_has_an_index(tables: Tables) -> None:
    """Without one, removing or locking the row it points at scans the table."""
    for table in tables.values():
        for key in table.foreign_keys:
            if key["target"] != "organizations":
                covered = any(
                    _led(table, ["organization_id", *key["columns"][-count:]])
                    for count in range(1, len(key["columns"]))
                )
                assert covered, f"{table.name}.{key['name']} has no index"


def catalogues() -> list[Catalogue]:
    """Every list's catalogue of fields."""
    found = []
    root = Path(crm_api.__file__).parent
    for path in sorted(root.rglob("fields.py")):
        name = ".".join(path.relative_to(root.parent).with_suffix("").parts)
        found += [value for value in vars(import_module(name)).values() if isinstance(value, Catalogue)]
    return found


@pytest.mark.parametrize("catalogue", catalogues(), ids=lambda catalogue: catalogue.resource)
def test_every_sort_of_a_list_has_an_index(catalogue: Catalogue, tables: Tables) -> None:
    table = tables[catalogue.table.name]
    assert catalogue.default_sort.removeprefix("-") in {item.name for item in catalogue.fields if item.sortable}
    for item in catalogue.fields:
        if not item.sortable:
            continue
        assert item.column is not None
        said = f"{catalogue.resource}: sort={item.name}"
        assert table.columns[item.column.name]["required"], f"{said}: a null has no place in a keyset"
        wanted = ["organization_id", item.column.name] + ([] if item.column.name == "id" else ["id"])
        covered = any(
            index["columns"][: len(wanted)] == wanted and index["condition"] is None for index in table.indexes
        )
        assert covered, f"{said} has no index"


OPEN = {("payment_entries", "status"), ("contact_keys", "kind")}
"""The provider's own word, and names of keys that the code derives."""


def test_statuses_are_text_with_a_check(tables: Tables) -> None:
    """`=` of a native enum is not leakproof: under row-level security it uses no index."""
    for table in tables.values():
        for column in table.columns.values():
            assert column["kind"] != "e", f"{table.name}.{column['name']} is a native enum"
            closed = column["name"] in {"status", "state", "mode", "kind", "role"} and column["type"] == "text"
            if closed and (table.name, column["name"]) not in OPEN:
                checks = [one for one in table.constraints if one["kind"] == "c" and column["name"] in one["columns"]]
                assert checks, f"{table.name}.{column['name']} has no CHECK"


async def test_only_leakproof_types_lead_an_index(tables: Tables, owner: asyncpg.Connection) -> None:
    kinds = {
        row["amname"]
        for row in await owner.fetch(
            "SELECT DISTINCT a.amname FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am a ON a.oid = c.relam "
            "WHERE i.indrelid = ANY($1::oid[])",
            [table.oid for table in tables.values()],
        )
    }
    assert kinds == {"btree"}
    for table in tables.values():
        for index in table.indexes:
            types = {table.columns[name]["type"] for name in index["columns"]}
            assert types <= {"uuid", "text", "timestamptz", "date", "int4", "int8", "bool"}, index["name"]


async def test_no_triggers_rules_or_views_of_ours(owner: asyncpg.Connection) -> None:
    """Integrity comes from keys, checks and privileges: triggers do not distribute."""
    assert await owner.fetch("SELECT tgname FROM pg_trigger WHERE NOT tgisinternal") == []
    assert await owner.fetch("SELECT rulename FROM pg_rules WHERE schemaname = 'public'") == []
    others = (
        "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('v', 'm', 'S', 'f')"
    )
    assert await owner.fetch(others) == []


async def test_what_the_service_may_do(tables: Tables, owner: asyncpg.Connection) -> None:
    models = load_models().tables
    for table in tables.values():
        may = {
            privilege
            for privilege in ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER")
            if await owner.fetchval("SELECT has_table_privilege('crm_app', $1::oid, $2)", table.oid, privilege)
        }
        assert may == set(models[table.name].info["privileges"]), table.name
        if table.name in APPEND_ONLY:
            assert may == {"SELECT", "INSERT"}, f"{table.name} is evidence"
        if "UPDATE" not in may:  # but for what a merge moves and an erasure takes out
            info = models[table.name].info
            allowed = {*info["repointable"], *(name for one in info["personal"] for name in one.columns)}
            changeable = {
                name
                for name in table.columns
                if await owner.fetchval(
                    "SELECT has_column_privilege('crm_app', $1::oid, $2, 'UPDATE')", table.oid, name
                )
            }
            assert changeable == allowed, table.name
    assert "DELETE" not in models["organizations"].info["privileges"]


async def test_nobody_else_may_do_anything(tables: Tables, owner: asyncpg.Connection) -> None:
    for table in tables.values():
        row = await owner.fetchval(
            "SELECT array_agg(DISTINCT a.grantee::regrole::text) FROM pg_class c, aclexplode("
            "coalesce(c.relacl, acldefault('r', c.relowner))) a WHERE c.oid = $1",
            table.oid,
        )
        assert set(row) <= {table.owner, "crm_service", "crm_limited"}, f"{table.name}: {row}"


async def test_the_service_owns_nothing_and_bypasses_nothing(owner: asyncpg.Connection) -> None:
    for role in ("crm_app", "crm_service", "crm_lookup", "crm_limited"):
        row = await owner.fetchrow("SELECT * FROM pg_roles WHERE rolname = $1", role)
        assert row is not None
        assert not (row["rolsuper"] or row["rolbypassrls"] or row["rolcreaterole"] or row["rolcreatedb"]), role
        assert not row["rolreplication"], role
        assert row["rolcanlogin"] == (role == "crm_app"), role
    owned = "SELECT count(*) FROM pg_shdepend WHERE deptype = 'o' AND refobjid = ANY(ARRAY['crm_app', 'crm_service']::regrole[])"
    assert await owner.fetchval(owned) == 0
    groups = "SELECT array_agg(roleid::regrole::text) FROM pg_auth_members WHERE member = 'crm_app'::regrole"
    assert await owner.fetchval(groups) == ["crm_service"]
    for role in ("crm_app", "crm_service", "crm_lookup", "crm_limited"):
        assert not await owner.fetchval("SELECT has_schema_privilege($1, 'public', 'CREATE')", role), role
        assert not await owner.fetchval("SELECT pg_has_role('crm_app', 'crm_lookup', 'MEMBER')")


LOOKUPS = {"crm_lookup_api_key", "crm_lookup_connection", "crm_due_organizations", "crm_ledger_alarms"}


async def test_exactly_four_functions_read_before_a_tenant_is_known(owner: asyncpg.Connection) -> None:
    rows = await owner.fetch(
        """
        SELECT p.oid, p.proname AS name, p.proowner::regrole::text AS owner, p.proconfig AS config, p.prosecdef,
            p.provolatile::text AS volatile
        FROM pg_proc p WHERE p.pronamespace = 'public'::regnamespace
        """
    )
    definers = {row["name"]: row for row in rows if row["prosecdef"]}
    assert definers.keys() == LOOKUPS
    for row in definers.values():
        assert row["owner"] == "crm_lookup"
        assert row["config"] == ["search_path=pg_catalog, pg_temp"]
        assert row["volatile"] == "s", "a lookup must not write"
        grantees = await owner.fetchval(
            "SELECT array_agg(a.grantee::regrole::text) FROM pg_proc p, aclexplode(p.proacl) a "
            "WHERE p.oid = $1 AND a.privilege_type = 'EXECUTE'",
            row["oid"],
        )
        assert sorted(grantees) == ["crm_lookup", "crm_service"], f"{row['name']}: {grantees}"
    assert {row["name"] for row in rows} - LOOKUPS <= {"crm_half_even"}
    owned = {row["name"] for row in rows if row["owner"] == "crm_lookup"}
    assert owned == LOOKUPS


async def test_the_lookups_see_only_what_they_need(tables: Tables, owner: asyncpg.Connection) -> None:
    seen = {}
    for table in tables.values():
        columns = {
            name
            for name in table.columns
            if await owner.fetchval("SELECT has_column_privilege('crm_lookup', $1::oid, $2, 'SELECT')", table.oid, name)
        }
        if columns:
            seen[table.name] = columns
        for privilege in ("INSERT", "UPDATE"):
            may = "SELECT has_any_column_privilege('crm_lookup', $1::oid, $2)"
            assert not await owner.fetchval(may, table.oid, privilege), table.name
        assert not await owner.fetchval("SELECT has_table_privilege('crm_lookup', $1::oid, 'DELETE')", table.oid)
    tenant = {"id", "mode", "currency", "timezone", "language", "test_clock"}
    access = {"team_access", "unassigned_contacts", "beneficiary_privacy", "beneficiary_roles"}
    assert seen == {
        "organizations": tenant | access,
        "api_keys": {
            "organization_id",
            "id",
            "secret_hash",
            "scopes",
            "expires_at",
            "revoked_at",
            "last_used_at",
            "sees_all",
        },
        "payment_connections": {"organization_id", "id", "provider", "status", "credentials"},
        "intake_sources": {"organization_id", "id", "kind", "active", "credentials"},
        "jobs": {"organization_id", "state", "due_at"},
        "schedules": {"organization_id", "next_at"},
        "ledger_proofs": {"organization_id", "alarm"},
    }


def test_every_column_says_how_private_it_is() -> None:
    for table in load_models().tables.values():
        for column in table.columns:
            assert column.info.get("sensitivity"), f"{table.name}.{column.name}"
