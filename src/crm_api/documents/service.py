"""Verbs of documents. The file is in the store before a row names it, and leaves it after the row is gone."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, delete, select, text

from crm_api.audit.service import record
from crm_api.documents.facts import DocumentAdded, DocumentDeleted, DocumentExpiring, RemindersDue
from crm_api.documents.fields import DOCUMENTS
from crm_api.documents.models import NEVER, documents
from crm_api.documents.schemas import DocumentPatch, DocumentUpload
from crm_api.documents.storage import FileStore, Stored
from crm_api.kit import clock, simple
from crm_api.kit.db import Database, ReadSession, Row, RowLike, Tenant, WriteSession, prepare
from crm_api.kit.listing import Filter, ListQuery
from crm_api.kit.problems import Conflict, Forbidden, NotFound
from crm_api.kit.updates import check_version, update_row
from crm_api.outbox.service import emit

AREA = "documents"
SEES_ALL = "contacts:read_sensitive"
_HIDDEN = "beneficiary_sensitive"
_NEVER = date.fromisoformat(NEVER)
_ORPHAN_AGE = timedelta(days=1)
_AT_ONCE = 500
_MOST_MERGES = 20
_READ = (
    "id", "contact_id", "owner_member_id", "title", "kind", "sensitivity", "filename", "media_type", "size", "sha256",
    "expires_on", "remind_days", "version", "created_at", "updated_at",
)  # fmt: skip
_ORG: Any = bindparam("organization_id")
_CONTACT = prepare(
    text(
        "SELECT merged_into, erased_at FROM contacts WHERE organization_id = :organization_id AND id = :id "
        "FOR KEY SHARE"
    )
)
_GET = prepare(select(documents).where(documents.c.organization_id == _ORG, documents.c.id == bindparam("id")))
_LOCK = prepare(
    select(documents)
    .where(documents.c.organization_id == _ORG, documents.c.id == bindparam("id"))
    .with_for_update(key_share=True)
)
_DELETE = prepare(delete(documents).where(documents.c.organization_id == _ORG, documents.c.id == bindparam("id")))
_OF_CONTACT = prepare(
    select(documents)
    .where(documents.c.organization_id == _ORG, documents.c.contact_id == bindparam("contact_id"))
    .order_by(documents.c.id)
)
_DELETE_OF_CONTACT = prepare(
    delete(documents)
    .where(documents.c.organization_id == _ORG, documents.c.contact_id == bindparam("contact_id"))
    .returning(documents.c.id, documents.c.contact_id, documents.c.file)
)
_NAMED = prepare(
    text("SELECT file FROM documents WHERE organization_id = :organization_id AND file = ANY(CAST(:files AS text[]))")
)
_REMIND = prepare(
    text(
        """
        UPDATE documents SET remind_on = NULL, reminded_at = :now
        WHERE organization_id = :organization_id AND id IN (
            SELECT id FROM documents WHERE organization_id = :organization_id AND remind_on <= :today
            ORDER BY remind_on, id LIMIT :most FOR UPDATE)
        RETURNING id, contact_id, expires_on, coalesce(owner_member_id, (
            SELECT c.owner_member_id FROM contacts c
            WHERE c.organization_id = :organization_id AND c.id = documents.contact_id)) AS owner_member_id
        """
    )
)


def to_read(row: RowLike) -> dict[str, Any]:
    """A document as the API shows it: never the name its file is stored under."""
    return {name: row[name] for name in _READ}


def visible(session: ReadSession, query: ListQuery) -> ListQuery:
    """The list narrowed to what the caller may know of; a condition on `expires_on` leaves out what never expires."""
    extra: list[Filter] = []
    if SEES_ALL not in session.actor.scopes:
        extra.append(Filter(DOCUMENTS.by_name["sensitivity"], "ne", _HIDDEN))
    if any(item.field.name == "expires_on" for item in query.filters):
        extra.append(Filter(DOCUMENTS.by_name["expires_on"], "lt", _NEVER))
    return replace(query, filters=(*query.filters, *extra)) if extra else query


async def add_document(session: WriteSession, body: DocumentUpload, stored: Stored) -> dict[str, Any]:
    """Attach a stored file to a contact; of a merged contact, to the one it became."""
    _may_hold(session, body.sensitivity)
    contact_id = await _living_contact(session, body.contact_id)
    owner = body.owner_member_id
    if owner is None and session.actor.kind == "member":
        owner = UUID(session.actor.id)
    row = simple.add(
        session,
        documents,
        {
            "contact_id": contact_id,
            "owner_member_id": owner,
            "title": body.title or stored.filename,
            "kind": body.kind,
            "sensitivity": body.sensitivity,
            "file": stored.name,
            "filename": stored.filename,
            "media_type": stored.media_type,
            "size": stored.size,
            "sha256": stored.sha256,
            **_expiry(session, body.expires_on, body.remind_days),
        },
    )
    record(session, "document.created", "document", row["id"])
    emit(session, DocumentAdded(document_id=row["id"], contact_id=contact_id))
    return to_read(row)


def _expiry(session: ReadSession, expires_on: date | None, remind_days: int) -> dict[str, Any]:
    """Columns that follow from the expiry. What has ended already is history: nobody is reminded of it."""
    remind_on = None
    if expires_on is not None and expires_on >= clock.local_date(session.now, session.tenant.timezone):
        remind_on = expires_on - timedelta(days=remind_days)
    return {
        "expires_on": expires_on,
        "expires_sort": expires_on or _NEVER,
        "remind_days": remind_days,
        "remind_on": remind_on,
    }


def _may_hold(session: ReadSession, sensitivity: str) -> None:
    if sensitivity == _HIDDEN and SEES_ALL not in session.actor.scopes:
        raise Forbidden(
            f"A beneficiary_sensitive document needs the scope {SEES_ALL}. Use a key that has it.",
            code="missing_scope",
            scope=SEES_ALL,
        )


async def _living_contact(session: WriteSession, contact_id: UUID) -> UUID:
    """The contact, or the survivor of its merges, kept from being removed until the commit."""
    for _ in range(_MOST_MERGES):
        row = await session.fetch_row(_CONTACT, id=contact_id)
        if row is None:
            break
        if row["erased_at"] is not None:
            raise Conflict("This contact was erased; nothing can be attached to it.", code="contact_erased")
        if row["merged_into"] is None:
            return contact_id
        contact_id = row["merged_into"]
    raise NotFound.reference("contact_id")


def _seen(session: ReadSession, row: Row | None) -> Row:
    """The row, or the 404 of one that does not exist, for those too who may not know of it."""
    if row is None or (row["sensitivity"] == _HIDDEN and SEES_ALL not in session.actor.scopes):
        raise NotFound("There is no such document.")
    return row


async def get_document(session: ReadSession, document_id: UUID) -> Row:
    """One document with the name of its file, or 404."""
    return _seen(session, await session.fetch_row(_GET, id=document_id))


async def patch_document(
    session: WriteSession, document_id: UUID, body: DocumentPatch, *, expected: int | None
) -> dict[str, Any]:
    """Change what is said of a document. A new date of expiry brings a new reminder."""
    row = _seen(session, await session.fetch_row(_LOCK, id=document_id))
    check_version(row["version"], expected)
    changes = {name: getattr(body, name) for name in body.model_fields_set}
    changes = {name: value for name, value in changes.items() if value != row[name]}
    if not changes:
        return to_read(row)
    _may_hold(session, changes.get("sensitivity", row["sensitivity"]))
    told = set(changes)
    if told & {"expires_on", "remind_days"}:
        after = {**dict(row), **changes}
        changes |= _expiry(session, after["expires_on"], after["remind_days"])
        if row["reminded_at"] is not None and "expires_on" not in told:
            changes.pop("remind_on")  # for this date the reminder was given
    after_row = await update_row(session, documents, document_id, changes, expected=None)
    record(session, "document.updated", "document", document_id, fields=told)
    return to_read(after_row)


async def delete_document(session: WriteSession, document_id: UUID, *, expected: int | None) -> None:
    """Delete a document; its file follows after the commit."""
    row = _seen(session, await session.fetch_row(_LOCK, id=document_id))
    check_version(row["version"], expected)
    await session.execute(_DELETE, id=document_id)
    _forget(session, row)


def _forget(session: WriteSession, row: RowLike) -> None:
    record(session, "document.deleted", "document", row["id"])
    emit(session, DocumentDeleted(document_id=row["id"], contact_id=row["contact_id"], file=row["file"]))


async def files_of_contact(session: ReadSession, contact_id: UUID) -> list[Row]:
    """Every document of a contact with the name of its file, whatever its sensitivity: for subject exports."""
    return await session.fetch(_OF_CONTACT, contact_id=contact_id)


async def delete_documents_of(session: WriteSession, contact_id: UUID) -> int:
    """Delete all documents of a contact (erasure); how many there were. Their files follow after the commit."""
    rows = await session.fetch(_DELETE_OF_CONTACT, contact_id=contact_id)
    for row in rows:
        _forget(session, row)
    return len(rows)


async def remind(session: WriteSession) -> int:
    """Say of every document whose reminder is due that it expires, to its owner or else the contact's; how many. Once
    for each date of expiry, since the fact commits with the mark."""
    today = clock.local_date(session.now, session.tenant.timezone)
    rows = await session.fetch(_REMIND, today=today, now=session.now, most=_AT_ONCE)
    for row in rows:
        emit(
            session,
            DocumentExpiring(
                document_id=row["id"],
                contact_id=row["contact_id"],
                owner_member_id=row["owner_member_id"],
                expires_on=row["expires_on"],
            ),
        )
    if len(rows) == _AT_ONCE:
        emit(session, RemindersDue(occurrence=session.now))
    return len(rows)


async def sweep(database: Database, tenant: Tenant, files: FileStore) -> int:
    """Remove files that no document names and that are older than a day (a request in flight is younger); how many.
    They are left when a process ends between storing a file and its row."""
    removed = 0
    before = clock.utc_now() - _ORPHAN_AGE
    session = database.read(tenant)
    async for batch in files.listing(tenant.id, AREA):
        old = [one.name for one in batch if one.modified < before]
        if not old:
            continue
        named = {row["file"] for row in await session.fetch(_NAMED, files=old)}
        for name in old:
            if name not in named:
                await files.delete(name)
                removed += 1
    return removed
