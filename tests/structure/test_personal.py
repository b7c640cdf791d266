"""Every table says whose data it holds and what an erasure does with it: asked of the live database and the metadata."""

from __future__ import annotations

from collections.abc import Iterator

import asyncpg
import pytest
from sqlalchemy import Table

from crm_api.contacts.privacy import declared
from crm_api.kit.db import Statement
from crm_api.kit.ids import new_id
from crm_api.kit.personal import Personal
from crm_api.registry import load_models
from tests.structure.catalogue import LiveTable

Tables = dict[str, LiveTable]
SENSITIVE = {"donor_sensitive", "beneficiary_sensitive"}


def declarations() -> Iterator[tuple[Table, Personal]]:
    """Every declaration with its table."""
    for table in load_models().tables.values():
        for one in table.info.get("personal", ()):
            yield table, one


def _lead_to_contacts(tables: Tables) -> set[str]:
    """Tables from which foreign keys lead to contacts, by whatever way."""
    found = {"contacts"}
    while True:
        more = {
            table.name
            for table in tables.values()
            if any(key["target"] in found for key in table.foreign_keys)
        } | found  # fmt: skip
        if more == found:
            return found
        found = more


def test_no_table_with_personal_data_is_silent(tables: Tables) -> None:
    """A key that leads to contacts, or a sensitive column, calls for a declaration next to the table."""
    models = load_models().tables
    silent = []
    for name in sorted(_lead_to_contacts(tables)):
        if not models[name].info.get("personal"):
            silent.append(f"{name}: a key leads to contacts")
    for table in models.values():
        tags = {column.info["sensitivity"] for column in table.columns} & SENSITIVE
        if tags and not table.info.get("personal"):
            silent.append(f"{table.name}: has columns that are {', '.join(sorted(tags))}")
    assert silent == [], "say in tenant_table(..., personal=...) what an erasure does with it (kit.personal)"


def test_what_stays_has_a_ground_and_what_goes_has_none() -> None:
    for table, one in declarations():
        said = f"{table.name}: {one.action}"
        assert bool(one.ground) == (one.action != "erase"), said
        if not one.via and not one.where:
            assert one.action in {"none", "retain"}, said
        assert bool(one.columns or one.rewrite) == (one.action == "anonymise"), said
        for name in (*one.columns, *one.rewrite, *one.hidden, *filter(None, (one.until, one.files))):
            assert name in table.c, f"{said}: there is no column {name}"
        for chain in one.via:
            assert _end(table, chain) == "contacts", f"{said}: {chain} does not lead to contacts"


def _end(table: Table, chain: str) -> str:
    """The table that a chain of columns ends at."""
    for column in chain.split("."):
        if table.name == "contacts" and column == "id":
            return "contacts"
        found = declared.leads_to(table, column)
        assert found is not None, f"{table.name}.{column} is no foreign key"
        table = found[0]
    return str(table.name)


OF_OTHERS_TOO = {"households.address"}
"""What an anonymised row keeps because it is just as much somebody else's who stays."""


def test_every_sensitive_column_of_what_stays_is_emptied() -> None:
    """What an anonymised row keeps is not sensitive, but for amounts of money and what the declaration explains."""
    kept = []
    for table in load_models().tables.values():
        said = [one for one in table.info.get("personal", ()) if one.action == "anonymise"]
        changed = {name for one in said for name in (*one.columns, *one.rewrite)}
        for column in table.columns if said else ():
            words = str(column.type).startswith(("TEXT", "JSONB", "BYTEA", "BLOB", "DATE"))
            if column.info["sensitivity"] in SENSITIVE and words and column.name not in changed:
                kept.append(f"{table.name}.{column.name}")
    assert set(kept) == OF_OTHERS_TOO


def test_nothing_that_goes_is_held_by_what_stays() -> None:
    """Postgres would refuse to delete it: a key to an erased row may be empty, goes with it, or its row goes too."""
    gone = {table.name for table, one in declarations() if one.action == "erase"}
    held = []
    for table in load_models().tables.values():
        for key in table.foreign_key_constraints:
            target = key.referred_table.name
            if target not in gone or key.ondelete or table.name in gone:
                continue
            own = key.elements[-1].parent
            if not own.nullable:
                held.append(f"{table.name}.{own.name} holds rows of {target}")
    assert held == []


async def test_every_statement_of_erasures_is_understood(tables: Tables, service_role: asyncpg.Connection) -> None:
    """Postgres parses and plans each for the service's role, of tables that have no rows in other tests too."""
    nobody = new_id()
    values = {"ids": [nobody], "names": [str(nobody)], "traces": ["nobody at all"], "organization_id": nobody}
    statements: list[Statement] = [declared.traces(), declared.census()]
    for rule in declared.rules():
        statements += [declared.find(rule), declared.read(rule, rule.shown)]
        statements += [one for one in (declared.change(rule),) if one is not None]
        statements += [declared.rewrite(rule, column) for column in rule.personal.rewrite]
        statements += declared.loosen(rule.table) if rule.personal.action == "erase" else ()
    assert len(statements) > 60
    for statement in statements:
        try:
            await service_role.prepare(statement.sql)
        except asyncpg.PostgresError as error:
            pytest.fail(f"{error}: {statement.sql}")
        assert set(statement.names) <= {*values, "keys", "now"}


async def test_no_row_of_a_person_is_looked_for_without_an_index(service_role: asyncpg.Connection) -> None:
    """Keys that lead to the contact are indexed; only what no key leads to may scan, and it must say so here."""
    scans = {"idempotency_keys", "provider_events"}
    nobody = new_id()
    await service_role.execute("SET enable_seqscan = off")
    for rule in declared.rules():
        if rule.table.name in scans or rule.standing:
            continue
        statement = declared.find(rule)
        values = {"ids": [nobody], "names": [str(nobody)], "traces": ["nobody"], "organization_id": nobody}
        arguments = [values[name] for name in statement.names]
        plan = await service_role.fetch(f"EXPLAIN {statement.sql}", *arguments)
        text = "\n".join(row[0] for row in plan)
        assert "Seq Scan" not in text, f"{rule.table.name}:\n{text}"
