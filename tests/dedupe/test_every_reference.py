"""Every table that names a contact can be merged: what a new table has to fulfil."""

from __future__ import annotations

import asyncpg
import pytest
from sqlalchemy import ForeignKeyConstraint

from crm_api.contacts.dedupe.repointing import DERIVED, KEEP, KEYS, MOVE, Reference, references
from crm_api.registry import load_models

load_models()
ALL = references()
MOVED = [reference for reference in ALL if reference.way == MOVE]


def _name(reference: Reference) -> str:
    return f"{reference.table.name}.{reference.column}"


def test_they_are_found() -> None:
    assert {"gifts.contact_id", "deals.contact_id", "contacts.merged_into"} <= {_name(reference) for reference in ALL}
    assert {reference.way for reference in ALL} == {MOVE, KEEP, KEYS, DERIVED}


@pytest.mark.parametrize("reference", MOVED, ids=_name)
async def test_the_service_may_move_it(reference: Reference, service_role: asyncpg.Connection) -> None:
    """Append-only tables grant UPDATE of the one column (`repointable`)."""
    may = "SELECT has_column_privilege($1, $2, 'UPDATE')"
    assert await service_role.fetchval(may, reference.table.name, reference.column)
    if reference.unique or reference.never_itself:
        said = f"{_name(reference)}: rows that have no place beside the survivor's must be removable"
        assert await service_role.fetchval("SELECT has_table_privilege($1, 'DELETE')", reference.table.name), said


@pytest.mark.parametrize("reference", MOVED, ids=_name)
def test_nothing_hangs_on_it(reference: Reference) -> None:
    """No further key leads to the column, which would be broken by the move, nor to a row that may have to go."""
    for table in reference.table.metadata.tables.values():
        for key in table.constraints:
            if not isinstance(key, ForeignKeyConstraint):
                continue
            mine = table is reference.table and len(key.elements) > 2
            assert not (mine and reference.column in key.column_keys), f"{table.name} {key.column_keys}"
            if (reference.unique or reference.never_itself) and key.referred_table is reference.table:
                raise AssertionError(f"{table.name} refers to {reference.table.name}, whose rows a merge may drop")
