"""Verbs of custom fields for whoever writes records: look definitions up, check values against them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, func, select, text

from crm_api.contacts.custom_fields import values
from crm_api.contacts.custom_fields.models import RESOURCES, custom_fields
from crm_api.contacts.custom_fields.values import Definition, Definitions
from crm_api.contacts.models import contact_keys
from crm_api.kit import clock
from crm_api.kit.db import ReadSession, RowLike, WriteSession, prepare
from crm_api.kit.problems import FieldError, Invalid

_ORG: Any = bindparam("organization_id")
_DEFINITION = (
    "id", "key", "type", "label", "labels", "choices", "required", "filterable", "sensitivity", "status", "indexed",
    "position",
)  # fmt: skip
_ALL = prepare(
    select(*(custom_fields.c[name] for name in _DEFINITION))
    .where(custom_fields.c.organization_id == _ORG, custom_fields.c.resource == bindparam("resource"))
    .order_by(custom_fields.c.position, custom_fields.c.key)
)
# With a transaction id from here on, a walk that begins later sees that somebody may write by these definitions.
_ALL_TO_WRITE_BY = prepare(
    select(*(custom_fields.c[name] for name in _DEFINITION), func.pg_current_xact_id())
    .where(custom_fields.c.organization_id == _ORG, custom_fields.c.resource == bindparam("resource"))
    .order_by(custom_fields.c.position, custom_fields.c.key)
)
_GUARDED = prepare(
    text(
        "SELECT key FROM custom_fields WHERE organization_id = :organization_id AND resource = :resource "
        "AND sensitivity = 'beneficiary_sensitive'"
    )
)
_GUARDED_SINCE = prepare(
    text(
        "SELECT EXISTS (SELECT 1 FROM custom_fields WHERE organization_id = :organization_id AND resource = :resource "
        "AND sensitivity = 'beneficiary_sensitive' AND created_at <= :since AND updated_at > :since)"
    )
)
_REFERENCES = prepare(
    text(
        "SELECT count(*) FROM contacts WHERE organization_id = :organization_id AND merged_into IS NULL "
        "AND id = ANY(CAST(:ids AS uuid[]))"
    )
)
_ARCHIVED = prepare(
    text(
        "SELECT f.key, a.content FROM custom_field_archive a JOIN custom_fields f ON f.organization_id = "
        "a.organization_id AND f.id = a.custom_field_id WHERE a.organization_id = :organization_id "
        "AND f.organization_id = :organization_id AND a.contact_id = :contact_id ORDER BY f.key"
    )
)
_DROP_KEYS = prepare(
    text(
        "DELETE FROM contact_keys WHERE organization_id = :organization_id AND contact_id = :contact_id "
        "AND kind = ANY(CAST(:kinds AS text[]))"
    )
)


# Looking definitions up


def definition_of(row: RowLike) -> Definition:
    """A stored definition as values are checked against it."""
    found = {name: row[name] for name in _DEFINITION}
    return Definition(**{**found, "id": UUID(str(row["id"])), "choices": tuple(row["choices"])})


async def definitions(session: ReadSession, resource: str = "contacts") -> Definitions:
    """The definitions of a resource by key, in their order, archived ones included. A write session asks once."""
    memo: dict[Any, Any] | None = getattr(session, "memo", None)
    name = ("custom_fields", resource)
    if memo is not None and name in memo:
        known: Definitions = memo[name]
        return known
    rows = await session.fetch(_ALL if memo is None else _ALL_TO_WRITE_BY, resource=resource)
    found = {str(row["key"]): definition_of(row) for row in rows}
    if memo is not None:
        memo[name] = found
    if len(_required) > _MOST_REMEMBERED:
        _required.clear()
    required = any(one.required and one.active for one in found.values())
    _required[session.organization_id, resource] = (clock.monotonic(), required)
    return found


async def guarded_keys(session: ReadSession, resource: str = "contacts") -> frozenset[str]:
    """Keys whose values the session's actor may not see, wherever they stand: a field that was made sensitive a moment
    ago still has its values in ``custom`` until its walk has come by. No trip for those who may see everything."""
    if values.READ_SENSITIVE in session.actor.scopes:
        return frozenset()
    return frozenset(row["key"] for row in await session.fetch(_GUARDED, resource=resource))


async def guarded_since(session: ReadSession, since: datetime, resource: str = "contacts") -> bool:
    """Whether a field that there was at a moment may have been made sensitive after it."""
    return bool(await session.fetch_val(_GUARDED_SINCE, since=since, resource=resource))


_REMEMBERED_SECONDS = 5.0
_MOST_REMEMBERED = 10_000
_required: dict[tuple[UUID, str], tuple[float, bool]] = {}
"""Whether an organization's resource has required fields, for a few seconds: a contact that is created without any
custom value would otherwise cost a look at the definitions each time."""


def forget_known(session: WriteSession) -> None:
    """Definitions have changed in this transaction: nothing remembered of them holds."""
    organization_id = session.organization_id

    def forget() -> None:
        for resource in RESOURCES:
            _required.pop((organization_id, resource), None)

    for resource in RESOURCES:
        session.memo.pop(("custom_fields", resource), None)
    session.after_commit(forget)


async def _any_required(session: ReadSession, resource: str) -> bool:
    found = _required.get((session.organization_id, resource))
    if found is not None and clock.monotonic() - found[0] < _REMEMBERED_SECONDS:
        return found[1]
    known = await definitions(session, resource)
    return any(one.required and one.active for one in known.values())


# Values of a record


@dataclass(frozen=True, slots=True)
class Accepted:
    """Checked values, as the columns of a record hold them, and the definitions its key rows are derived by."""

    custom: dict[str, Any]
    custom_sensitive: dict[str, Any]
    definitions: Definitions

    @property
    def merged(self) -> dict[str, Any]:
        """Every value of the record, sensitive ones included."""
        return self.custom | self.custom_sensitive

    @property
    def keys(self) -> list[tuple[str, str]]:
        """The record's key rows (kind, value) of custom fields."""
        return values.custom_keys(self.definitions, self.merged)


async def accept_new(
    session: ReadSession,
    sent: Mapping[str, Any] | None,
    *,
    scopes: frozenset[str] | None = None,
    complete: bool = True,
    resource: str = "contacts",
) -> Accepted:
    """The custom values of a new record. No trip where nothing is sent and nothing is known to be required.

    `scopes` are the session's actor's where they are not given. `complete=False` for records that come from elsewhere
    (payments, webhooks) and cannot know what the organization requires.
    """
    if not sent and not (complete and await _any_required(session, resource)):
        return Accepted({}, {}, {})
    known = await definitions(session, resource)
    may = session.actor.scopes if scopes is None else scopes
    given = {key: value for key, value in (sent or {}).items() if value is not None}
    checked = values.check_values(known, given, complete=complete, scopes=may)
    await check_references(session, known, checked)
    return Accepted(*values.split(known, checked, ({}, {})), known)


async def accept_changes(
    session: ReadSession,
    before: RowLike,
    sent: Mapping[str, Any],
    *,
    scopes: frozenset[str] | None = None,
    resource: str = "contacts",
) -> Accepted:
    """The custom values of a record (its row, locked) after a merge patch. Without members no trip is made, and
    `Accepted.definitions` is empty: the key rows of custom fields are to be left as they are."""
    held = (before["custom"], before["custom_sensitive"])
    if not sent:
        return Accepted(dict(held[0]), dict(held[1]), {})
    known = await definitions(session, resource)
    may = session.actor.scopes if scopes is None else scopes
    merged = {**held[0], **held[1]}
    checked = values.check_values(known, sent, before=merged, scopes=may)
    await check_references(session, known, checked)
    return Accepted(*values.split(known, checked, held), known)


async def for_new(session: WriteSession, values: Mapping[str, Any], *, complete: bool = True) -> dict[str, Any]:
    """Column values of a new contact with its custom values checked; see `accept_new`."""
    accepted = await accept_new(session, values.get("custom"), complete=complete)
    return {**values, "custom": accepted.custom, "custom_sensitive": accepted.custom_sensitive}


async def for_changed(session: WriteSession, row: RowLike, changes: Mapping[str, Any]) -> dict[str, Any]:
    """Changed column values of a locked contact, the merge patch of its custom values applied; see `accept_changes`."""
    if not changes.get("custom"):
        return {name: value for name, value in changes.items() if name != "custom"}
    accepted = await accept_changes(session, row, changes["custom"])
    return {**changes, "custom": accepted.custom, "custom_sensitive": accepted.custom_sensitive}


def add_keys(session: WriteSession, contact: RowLike) -> None:
    """Insert the key rows of a new contact's custom values, by the definitions they were checked against."""
    merged = contact["custom"] | contact["custom_sensitive"]
    if merged:
        for kind, value in values.custom_keys(session.memo["custom_fields", "contacts"], merged):
            session.later(contact_keys, kind=kind, value=value, contact_id=contact["id"])


async def replace_keys(session: WriteSession, before: RowLike, after: RowLike) -> None:
    """Write the key rows of a contact's custom values anew where they have changed."""
    known = await definitions(session)
    old = values.custom_keys(known, before["custom"] | before["custom_sensitive"])
    new = values.custom_keys(known, after["custom"] | after["custom_sensitive"])
    kinds = {kind for kind, _ in set(old) ^ set(new)}
    if not kinds:
        return
    await session.flush()
    await session.execute(_DROP_KEYS, contact_id=after["id"], kinds=sorted(kinds))
    for kind, value in new:
        if kind in kinds:
            session.later(contact_keys, kind=kind, value=value, contact_id=after["id"])


async def check_references(session: ReadSession, known: Definitions, checked: Mapping[str, Any]) -> None:
    """422 where a reference names no contact of this organization; one statement for all of them."""
    named = {key: value for key, value in checked.items() if value is not None and known[key].type == "reference"}
    ids = sorted(set(named.values()))
    if ids and await session.fetch_val(_REFERENCES, ids=ids) != len(ids):
        said = "This reference names no contact of this organization."
        errors = [FieldError(f"/custom/{key}", "reference_not_found", said) for key in named]
        raise Invalid("A custom field refers to a contact that does not exist.", errors=errors)


async def archived_values(session: ReadSession, contact_id: UUID) -> list[tuple[str, Any]]:
    """Values of archived fields that are kept of a contact, for an export to the person: (key, value)."""
    return [(row["key"], row["content"]) for row in await session.fetch(_ARCHIVED, contact_id=contact_id)]
