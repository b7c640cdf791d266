"""Taking contacts of an import back: those it created go if nobody touched them since, those it changed get back what
they had, as far as nobody has changed it again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKeyConstraint, text
from sqlalchemy import types as sql_types

from crm_api.contacts import bulk
from crm_api.contacts.models import contacts
from crm_api.kit.db import Statement, WriteSession, prepare
from crm_api.kit.tables import metadata
from crm_api.transfers.imports.kinds import Journal

_FOLLOWS = frozenset({"contact_keys", "contact_external_ids", "contact_teams", "duplicates"})
"""Tables that follow from the contact itself: their rows go with it and say nothing of somebody's interest in it."""
_VERSIONS = prepare(
    text(
        """
        SELECT record_id, max(record_version) AS version FROM import_rows
        WHERE organization_id = :organization_id AND import_id = :import_id
            AND record_id = ANY(CAST(:ids AS uuid[])) AND outcome IN ('created', 'queued', 'updated')
        GROUP BY record_id
        """
    )
)


@lru_cache(maxsize=8)
def naming(target: str, follows: frozenset[str]) -> Statement:
    """Which of some rows of a table any record names, but for records of the tables that follow it. The foreign keys
    of the schema say where that can be."""
    parts = []
    for table in sorted(metadata.tables.values(), key=lambda one: one.name):
        for constraint in table.constraints:
            if not isinstance(constraint, ForeignKeyConstraint) or table.name in follows:
                continue
            for element in constraint.elements:
                if element.target_fullname == f"{target}.id":
                    column = element.parent.name
                    parts.append(
                        f"SELECT {column} AS id FROM {table.name} WHERE organization_id = :organization_id "
                        f"AND {column} = ANY(CAST(:ids AS uuid[]))"
                    )
    return prepare(text(" UNION ".join(parts)))


async def undo(session: WriteSession, import_id: UUID, rows: Sequence[Journal]) -> dict[int, str]:
    """Take rows back, the last one first: number → ``removed``, ``restored`` or ``kept``."""
    found = await bulk.lock_many(session, {row.record_id for row in rows})
    made = {row.record_id for row in rows if row.outcome in {"created", "queued"}}
    versions = await _versions(session, import_id, made)
    async with session.beyond_limit():  # who is named by a record that the caller does not see is named too
        named = (
            {row["id"] for row in await session.fetch(naming("contacts", _FOLLOWS), ids=list(made))} if made else set()
        )
        unseen = (await bulk.by_ids(session, made - found.keys())).keys()
    outcomes: dict[int, str] = {}
    states: dict[UUID, Mapping[str, Any]] = {**found}
    gone: list[UUID] = []
    for row in sorted(rows, key=lambda one: one.number, reverse=True):
        state = states.get(row.record_id)
        if row.outcome in {"created", "queued"}:
            untouched = state is not None and state["version"] == versions.get(row.record_id)
            if untouched and row.record_id not in named:
                gone.append(row.record_id)
                outcomes[row.number] = "removed"
            else:
                outcomes[row.number] = "kept" if state is not None or row.record_id in unseen else "removed"
        elif row.own:  # it goes with its contact, or stays with it
            continue
        elif state is None or state["merged_into"] is not None or state["erased_at"] is not None:
            outcomes[row.number] = "kept"
        else:
            states[row.record_id], outcomes[row.number] = _restored(session, state, row.changes)
    changes = [
        bulk.Change(found[contact_id], state)
        for contact_id, state in states.items()
        if contact_id in found and state is not found[contact_id]
    ]
    await bulk.update_many(session, changes)
    await session.flush()
    await bulk.delete_many(session, gone)
    return outcomes


async def _versions(session: WriteSession, import_id: UUID, ids: set[UUID]) -> dict[UUID, int]:
    """The version the import left each contact at."""
    if not ids:
        return {}
    rows = await session.fetch(_VERSIONS, import_id=import_id, ids=list(ids))
    return {row["record_id"]: row["version"] for row in rows}


def _restored(
    session: WriteSession, state: Mapping[str, Any], changes: Mapping[str, Sequence[Any]]
) -> tuple[Mapping[str, Any], str]:
    """The contact with what a row had changed as it was before; ``kept`` where somebody has changed a part since."""
    back: dict[str, Any] = {}
    whole = True
    for name, (before, after) in changes.items():
        if state[name] == _typed(name, after):
            back[name] = _typed(name, before)
        else:
            whole = False
    if not back:
        return state, "kept"
    restored = bulk.changed(state, back, session.now)
    return restored, "restored" if whole else "kept"


def _typed(name: str, value: Any) -> Any:
    """A value of the journal as the column holds it."""
    if isinstance(value, str) and isinstance(contacts.c[name].type, sql_types.Date):
        return contacts.c[name].type.python_type.fromisoformat(value)
    return value
