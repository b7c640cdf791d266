"""Verbs of people's requests about their data."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, select, text

from crm_api.audit.service import record
from crm_api.contacts.consents.policy import EXPORT_DAYS, load
from crm_api.contacts.keys import vocabulary
from crm_api.contacts.privacy import erasing
from crm_api.contacts.privacy.facts import ContactErased, ErasureRequested, SubjectExportRequested
from crm_api.contacts.privacy.models import privacy_requests
from crm_api.contacts.service import get_contact
from crm_api.contacts.words import forget_words
from crm_api.kit.db import ReadSession, Row, RowLike, WriteSession, prepare
from crm_api.kit.ids import new_id
from crm_api.kit.problems import Conflict, NotFound
from crm_api.outbox.service import emit

KEPT = timedelta(days=EXPORT_DAYS)
_T = privacy_requests
_GET = prepare(
    select(_T).where(
        _T.c.organization_id == bindparam("organization_id"), _T.c.id == bindparam("id"), _T.c.kind == bindparam("kind")
    )
)
_LOCK = prepare(
    select(_T)
    .where(_T.c.organization_id == bindparam("organization_id"), _T.c.id == bindparam("id"))
    .with_for_update(key_share=True)
)
_MARK = prepare(
    text(
        """
        UPDATE privacy_requests SET state = :state, permille = :permille, reason = :reason, files = :files,
            finished_at = :finished_at, updated_at = :now
        WHERE organization_id = :organization_id AND id = :id
        """
    )
)
_ARCHIVED = prepare(
    text(
        """
        UPDATE privacy_requests SET state = 'succeeded', permille = 1000, reason = NULL, file_name = :file_name,
            file_bytes = :file_bytes, expires_at = :expires_at, finished_at = :now, updated_at = :now
        WHERE organization_id = :organization_id AND id = :id
        """
    )
)
_EXPIRED = prepare(
    text(
        "SELECT id, file_name FROM privacy_requests WHERE organization_id = :organization_id "
        "AND file_name IS NOT NULL AND expires_at < :now LIMIT 500"
    )
)
_FORGET = prepare(
    text(
        "UPDATE privacy_requests SET file_name = NULL, updated_at = :now "
        "WHERE organization_id = :organization_id AND id = ANY(CAST(:ids AS uuid[]))"
    )
)

_ARCHIVES = prepare(
    text(
        "SELECT file_name FROM privacy_requests WHERE organization_id = :organization_id "
        "AND file_name = ANY(CAST(:names AS text[]))"
    )
)
_KEYS = prepare(
    text(
        "SELECT kind, value FROM contact_keys WHERE organization_id = :organization_id "
        "AND contact_id = ANY(CAST(:ids AS uuid[])) AND kind = 'word'"
    )
)
_VOCABULARY = prepare(
    text(
        "SELECT variant, word FROM contact_words WHERE organization_id = :organization_id AND variant > :after "
        "ORDER BY variant LIMIT :most"
    )
)
_ERASED_LATELY = prepare(
    text(
        "SELECT EXISTS (SELECT 1 FROM privacy_requests WHERE organization_id = :organization_id AND kind = 'erasure' "
        "AND created_at > :since)"
    )
)
_LATELY = timedelta(days=3)
_WORDS_AT_ONCE = 2_000


def _common(row: RowLike) -> dict[str, Any]:
    names = ("id", "contact_id", "state", "reason", "created_at", "finished_at")
    return {**{name: row[name] for name in names}, "progress": row["permille"] / 1000}


def erasure_to_read(row: RowLike) -> dict[str, Any]:
    """An erasure as the API shows it."""
    return {**_common(row), "plan": row["plan"]}


def export_to_read(row: RowLike, download: dict[str, Any] | None) -> dict[str, Any]:
    """An export as the API shows it."""
    return {**_common(row), "size": row["file_bytes"], "expires_at": row["expires_at"], "download": download}


async def plan_erasure(session: ReadSession, contact_id: UUID) -> dict[str, Any]:
    """What an erasure of the contact would do; 404 for none, `Moved` for one that was merged."""
    await get_contact(session, contact_id)
    whole = session.whole()  # an erasure erases all there is: its plan counts what the caller does not see too
    person = await erasing.person_of(whole, contact_id)
    plan = await erasing.plan(whole, person, (await load(session)).retention_years)
    return {
        "id": None,
        "contact_id": contact_id,
        "state": "planned",
        "progress": 0.0,
        "reason": None,
        "plan": plan,
        "created_at": None,
        "finished_at": None,
    }


def _add(session: WriteSession, kind: str, contact_id: UUID, plan: dict[str, Any]) -> dict[str, Any]:
    row: dict[str, Any] = {
        "id": new_id(),
        "kind": kind,
        "contact_id": contact_id,
        "state": "queued",
        "plan": plan,
        "requested_by_kind": session.actor.kind,
        "requested_by": session.actor.id,
        "created_at": session.now,
        "updated_at": session.now,
        "permille": 0,
    }
    session.later(_T, **row)
    return {**row, "reason": None, "finished_at": None, "file_bytes": None, "expires_at": None}


async def request_erasure(session: WriteSession, contact_id: UUID) -> dict[str, Any]:
    """Have the person erased by the worker; the erasure with its plan."""
    planned = await plan_erasure(session, contact_id)
    row = _add(session, "erasure", contact_id, planned["plan"])
    record(session, "contact.erasure_requested", "contact", contact_id)
    emit(session, ErasureRequested(request_id=row["id"]))
    return erasure_to_read(row)


async def request_export(session: WriteSession, contact_id: UUID) -> dict[str, Any]:
    """Have an archive made of all that is kept of the person."""
    contact = await get_contact(session, contact_id)
    if contact["erased_at"] is not None:
        raise Conflict("This person was erased; there is nothing of theirs to export.", code="contact_erased")
    row = _add(session, "export", contact_id, {})
    record(session, "contact.export_requested", "contact", contact_id)
    emit(session, SubjectExportRequested(request_id=row["id"]))
    return export_to_read(row, None)


async def get_request(session: ReadSession, request_id: UUID, kind: str) -> Row:
    """One request of a kind, or 404."""
    row = await session.fetch_row(_GET, id=request_id, kind=kind)
    if row is None:
        raise NotFound(f"There is no such {kind}.")
    return row


async def begin(session: WriteSession, request_id: UUID) -> Row | None:
    """Take up a request; nothing where it is finished, or gone with the person it was about."""
    row = await session.fetch_row(_LOCK, id=request_id)
    if row is None or row["state"] == "succeeded":
        return None
    if row["state"] != "running":
        await mark(session, request_id, "running", permille=max(row["permille"], 100), files=row["files"])
    return row


async def mark(
    session: WriteSession,
    request_id: UUID,
    state: str,
    *,
    permille: int,
    files: list[str] | None = None,
    reason: str | None = None,
) -> None:
    """Note how far a request is."""
    finished: datetime | None = session.now if state in {"succeeded", "failed"} else None
    await session.execute(
        _MARK,
        id=request_id,
        state=state,
        permille=permille,
        reason=reason,
        files=files or [],
        finished_at=finished,
        now=session.now,
    )


async def erase_now(session: WriteSession, request: Row) -> list[str]:
    """Erase the person of a request in this transaction; names of files to remove. Again, it finds nothing more."""
    person = await erasing.person_to_erase(session, request["contact_id"])
    keys = await session.fetch(_KEYS, ids=person.ids)
    files = await erasing.erase(session, person)
    await forget_words(session, vocabulary((row["kind"], row["value"]) for row in keys))
    record(session, "contact.erased", "contact", request["contact_id"])
    emit(session, ContactErased(contact_ids=tuple(person.ids)))
    return files


async def forget_unused_words(session: WriteSession, after: str) -> str | None:
    """Take out words that no name holds any more, a page of the vocabulary at a time: names that an erased person had
    before the last one leave theirs there. Where to go on, or nothing at the end, or where nobody was erased lately."""
    if not after and not await session.fetch_val(_ERASED_LATELY, since=session.now - _LATELY):
        return None
    rows = await session.fetch(_VOCABULARY, after=after, most=_WORDS_AT_ONCE)
    await forget_words(session, {row["word"] for row in rows})
    return rows[-1]["variant"] if len(rows) == _WORDS_AT_ONCE else None


async def keep_archive(session: WriteSession, request_id: UUID, *, name: str, size: int) -> bool:
    """The archive is written: it can be fetched for some days. False where the request is gone, since the person was
    erased meanwhile: then the archive must go too."""
    kept = await session.execute(
        _ARCHIVED, id=request_id, file_name=name, file_bytes=size, expires_at=session.now + KEPT, now=session.now
    )
    return bool(kept)


async def unnamed(session: ReadSession, names: list[str]) -> list[str]:
    """Of archives in the store those that no request names."""
    named = {row["file_name"] for row in await session.fetch(_ARCHIVES, names=names)} if names else set()
    return [name for name in names if name not in named]


async def expired(session: ReadSession) -> list[Row]:
    """Archives whose days are over."""
    return await session.fetch(_EXPIRED, now=session.now)


async def forget_archives(session: WriteSession, ids: list[UUID]) -> None:
    """The archives are gone."""
    await session.execute(_FORGET, ids=ids, now=session.now)
