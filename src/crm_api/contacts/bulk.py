"""Many contacts at once: found, locked, inserted, changed and removed in a few statements for all of them.

The rules are those of `service`: rows are made by its `new_row`, keys by the one function that derives them. What is
missing here on purpose is a fact per contact: whoever loads many records the one fact that stands for them all
(`ContactsLoaded`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import text

from crm_api.audit.service import record
from crm_api.contacts import repository
from crm_api.contacts.custom_fields.service import definitions
from crm_api.contacts.custom_fields.values import Definitions, custom_keys
from crm_api.contacts.facts import ContactsLoaded
from crm_api.contacts.keys import Key, key_rows, vocabulary
from crm_api.contacts.models import contact_keys, contacts
from crm_api.contacts.service import display_name, latin, new_row
from crm_api.contacts.words import add_words
from crm_api.kit import clock
from crm_api.kit.db import ReadSession, Statement, WriteSession, prepare
from crm_api.kit.statements import column_type, plain
from crm_api.outbox.service import emit

_MOST_ALIKE = 20
"""How many contacts one e-mail or phone is followed to: an office's number may stand with hundreds."""
_BY_ID = prepare(
    text("SELECT * FROM contacts WHERE organization_id = :organization_id AND id = ANY(CAST(:ids AS uuid[]))")
)
_LOCK = prepare(
    text(
        "SELECT * FROM contacts WHERE organization_id = :organization_id AND id = ANY(CAST(:ids AS uuid[])) "
        "ORDER BY id FOR NO KEY UPDATE"
    )
)
_HOLDERS = prepare(
    text(
        f"""
        SELECT 'external' AS kind, w.system || chr(10) || w.id AS value, e.contact_id
        FROM unnest(CAST(:systems AS text[]), CAST(:ids AS text[])) AS w(system, id)
        JOIN contact_external_ids e ON e.organization_id = :organization_id
            AND e.system = w.system COLLATE "C" AND e.external_id = w.id COLLATE "C"
        UNION ALL
        SELECT w.kind, w.value, k.contact_id
        FROM unnest(CAST(:kinds AS text[]), CAST(:values AS text[])) AS w(kind, value),
        LATERAL (
            SELECT c.contact_id FROM contact_keys c
            WHERE c.organization_id = :organization_id AND c.kind = w.kind COLLATE "C" AND c.value = w.value COLLATE "C"
            ORDER BY c.contact_id LIMIT {_MOST_ALIKE}
        ) k
        """
    )
)
_DROP_KEYS = prepare(
    text(
        """
        DELETE FROM contact_keys k
        USING unnest(CAST(:owners AS uuid[]), CAST(:kinds AS text[]), CAST(:values AS text[])) AS d(owner, kind, value)
        WHERE k.organization_id = :organization_id AND k.contact_id = d.owner
            AND k.kind = d.kind COLLATE "C" AND k.value = d.value COLLATE "C"
        """
    )
)
_DROP_EXTERNAL_IDS = prepare(
    text(
        """
        DELETE FROM contact_external_ids e
        USING unnest(CAST(:owners AS uuid[]), CAST(:systems AS text[]), CAST(:ids AS text[])) AS d(owner, system, id)
        WHERE e.organization_id = :organization_id AND e.contact_id = d.owner
            AND e.system = d.system COLLATE "C" AND e.external_id = d.id COLLATE "C"
        """
    )
)
_DELETE = prepare(
    text("DELETE FROM contacts WHERE organization_id = :organization_id AND id = ANY(CAST(:ids AS uuid[]))")
)
_FIXED = frozenset({"organization_id", "id", "created_at"})
_SAID = frozenset({"id", "kind", "display_name", "source", "version", "created_at", "updated_at"})
_DEFAULTS = {
    name: value
    for name, value in new_row({"kind": "person"}, now=clock.from_unix(0), source="").items()
    if name not in _SAID
}
"""What a new row holds where nothing was said, which is what the database would put there."""
_CHANGEABLE = tuple(str(column.name) for column in contacts.c if column.name not in _FIXED)


@dataclass(frozen=True, slots=True)
class Holder:
    """A contact that has a key: ``external`` (system, line break, id), ``email`` or ``phone``."""

    kind: str
    value: str
    contact_id: UUID


@dataclass(frozen=True, slots=True)
class Change:
    """A contact before and after."""

    before: Mapping[str, Any]
    after: Mapping[str, Any]

    @property
    def fields(self) -> list[str]:
        """Names of the columns that differ, but for those that always do."""
        always = {"version", "updated_at"}
        return [name for name in _CHANGEABLE if name not in always and self.before[name] != self.after[name]]


async def holders(
    session: ReadSession, *, external_ids: Iterable[tuple[str, str]], keys: Iterable[tuple[str, str]]
) -> list[Holder]:
    """Who has any of these external ids (system, id) and keys (kind, value); one trip. For a limited caller those are
    among them who have the external id and are not seen: they cannot be read or locked."""
    systems, ids = _columns(external_ids, 2)
    kinds, values = _columns(keys, 2)
    rows = await session.fetch(_HOLDERS, systems=systems, ids=ids, kinds=kinds, values=values)
    if session.limit is not None and ids:  # an external id is taken, whoever sees the contact that has it
        taken = {(row["kind"], row["value"]) for row in rows}
        whole = await session.whole().fetch(_HOLDERS, systems=systems, ids=ids, kinds=[], values=[])
        rows += [row for row in whole if (row["kind"], row["value"]) not in taken]
    return [Holder(row["kind"], row["value"], row["contact_id"]) for row in rows]


def _columns(rows: Iterable[Sequence[Any]], width: int) -> list[list[Any]]:
    listed = list(rows)
    return [[row[number] for row in listed] for number in range(width)]


async def by_ids(session: ReadSession, ids: Iterable[UUID]) -> dict[UUID, dict[str, Any]]:
    """Contacts by id, merged ones too; those that do not exist are left out."""
    wanted = list(ids)
    return {row["id"]: dict(row) for row in await session.fetch(_BY_ID, ids=wanted)} if wanted else {}


async def lock_many(session: WriteSession, ids: Iterable[UUID]) -> dict[UUID, dict[str, Any]]:
    """Contacts by id, locked for this transaction in one order: two who lock many do not lock each other out."""
    wanted = list(ids)
    return {row["id"]: dict(row) for row in await session.fetch(_LOCK, ids=wanted)} if wanted else {}


def changed(row: Mapping[str, Any], changes: Mapping[str, Any], now: Any) -> dict[str, Any]:
    """The whole row after changes, with what follows from them; the version is raised by one."""
    after = {**dict(row), **changes}
    after["display_name"] = display_name(after)
    after["latin_name"] = latin(after)
    after["version"] = row["version"] + 1
    after["updated_at"] = now
    return after


def _keys(row: Mapping[str, Any], known: Definitions) -> list[Key]:
    """Every key of a contact, those of the organization's own fields included."""
    return [*key_rows(row), *custom_keys(known, {**row["custom"], **row["custom_sensitive"]})]


async def insert_many(session: WriteSession, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert whole rows, as `service.new_row` makes them, with keys and external ids, at the end of the transaction."""
    if not rows:
        return
    known = await definitions(session)
    words: set[str] = set()
    names = [*sorted(_SAID), *(n for n, value in _DEFAULTS.items() if any(row[n] != value for row in rows))]
    for row in rows:
        session.later(contacts, **{name: row[name] for name in names})
        keys = _keys(row, known)
        words |= vocabulary(keys)
        for kind, value in keys:
            session.later(contact_keys, kind=kind, value=value, contact_id=row["id"])
        repository.add_external_ids(session, row, row["external_ids"])
        record(session, "contact.created", "contact", row["id"])
    await add_words(session, words)


@lru_cache(maxsize=64)
def _update(columns: tuple[str, ...]) -> Statement:
    """The update of these columns from JSON rows."""
    kinds = ", ".join(f"{name} {column_type(contacts, name)}" for name in ("id", *columns))
    assigned = ", ".join(f"{name} = r.{name}" for name in columns)
    return prepare(
        text(
            f"UPDATE contacts SET {assigned} FROM jsonb_to_recordset(CAST(CAST(:rows AS text) AS jsonb)) AS r({kinds}) "
            "WHERE contacts.organization_id = :organization_id AND contacts.id = r.id"
        )
    )


async def update_many(session: WriteSession, changes: Sequence[Change]) -> None:
    """Write changed rows, which the caller has locked, with their keys and external ids."""
    if not changes:
        return
    told = {one.after["id"]: one.fields for one in changes}
    columns = tuple(name for name in _CHANGEABLE if any(name in fields for fields in told.values()))
    written = (*columns, "version", "updated_at")
    rows = [{"id": one.after["id"], **{name: one.after[name] for name in written}} for one in changes]
    await session.execute(_update(written), rows=orjson.dumps(rows, default=plain).decode())
    known = await definitions(session)
    words: set[str] = set()
    old_keys: list[tuple[UUID, str, str]] = []
    old_ids: list[tuple[UUID, str, str]] = []
    for one in changes:
        contact_id = one.after["id"]
        before, after = set(_keys(one.before, known)), set(_keys(one.after, known))
        old_keys += [(contact_id, *key) for key in before - after]
        words |= vocabulary(after - before)
        for kind, value in sorted(after - before):
            session.later(contact_keys, kind=kind, value=value, contact_id=contact_id)
        had = {(item["system"], item["id"]) for item in one.before["external_ids"]}
        has = {(item["system"], item["id"]) for item in one.after["external_ids"]}
        old_ids += [(contact_id, *item) for item in had - has]
        fresh = [item for item in one.after["external_ids"] if (item["system"], item["id"]) not in had]
        repository.add_external_ids(session, one.after, fresh)
        record(session, "contact.updated", "contact", contact_id, fields=told[contact_id])
    await add_words(session, words)
    if old_keys:
        owners, kinds, values = _columns(old_keys, 3)
        await session.execute(_DROP_KEYS, owners=owners, kinds=kinds, values=values)
    if old_ids:
        owners, systems, ids = _columns(old_ids, 3)
        await session.execute(_DROP_EXTERNAL_IDS, owners=owners, systems=systems, ids=ids)


async def delete_many(session: WriteSession, ids: Sequence[UUID]) -> None:
    """Remove contacts that nothing else names, with their keys and external ids."""
    if ids:
        await session.execute(_DELETE, ids=list(ids))
        for contact_id in ids:
            record(session, "contact.deleted", "contact", contact_id)


def tell(session: WriteSession, what: str) -> None:
    """Record the fact that stands for all contacts that were loaded as `what` (``import:<id>``, ``batch:<id>``)."""
    emit(session, ContactsLoaded(what=what))
