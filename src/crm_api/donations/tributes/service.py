"""Verbs of tributes: gifts in honour or in memory of somebody, and telling those who are to know."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, select, text

from crm_api.audit.service import record
from crm_api.donations.gifts import evidence
from crm_api.donations.gifts.people import People, look_up
from crm_api.donations.gifts.service import get_gift
from crm_api.donations.tributes.facts import TributeNoticeDue
from crm_api.donations.tributes.models import tribute_notices, tributes
from crm_api.donations.tributes.schemas import TributeCreate, TributeNoticeCreate, TributeNoticePatch, TributePatch
from crm_api.kit import simple
from crm_api.kit.db import ReadSession, RowLike, WriteSession, prepare
from crm_api.kit.problems import Conflict, Invalid
from crm_api.kit.updates import check_version, lock_row, update_row
from crm_api.outbox.service import emit

ARRIVED = frozenset({"succeeded", "partially_refunded"})
"""Statuses of a gift that others may be told of."""
_MOST = 20
_ORG: Any = bindparam("organization_id")
_READ = (
    "id", "type", "honoree_contact_id", "honoree_name", "message", "version", "created_at", "updated_at",
)  # fmt: skip
_NOTICE = (
    "id", "tribute_id", "contact_id", "name", "email", "status", "notified_at", "version", "created_at", "updated_at",
)  # fmt: skip
_OF_GIFT = prepare(
    select(tributes)
    .where(tributes.c.organization_id == _ORG, tributes.c.gift_id == bindparam("gift_id"))
    .order_by(tributes.c.id)
)
_NOTICES = prepare(
    text(
        "SELECT * FROM tribute_notices WHERE organization_id = :organization_id "
        "AND tribute_id = ANY(CAST(:ids AS uuid[])) ORDER BY tribute_id, id"
    )
)
_PENDING = prepare(
    text(
        """
        SELECT n.id, n.tribute_id, n.contact_id, t.gift_id FROM tributes t
        JOIN tribute_notices n ON n.organization_id = :organization_id AND n.tribute_id = t.id
        WHERE t.organization_id = :organization_id AND t.gift_id = :gift_id AND n.status = 'pending' ORDER BY n.id
        """
    )
)
_DELETE = prepare(text("DELETE FROM tributes WHERE organization_id = :organization_id AND id = :id"))


def notice_to_read(row: RowLike) -> dict[str, Any]:
    """A notice as the API shows it."""
    return {**{name: row[name] for name in _NOTICE}, "postal_address": row["address"]}


def to_read(row: RowLike, notices: Sequence[RowLike]) -> dict[str, Any]:
    """A tribute as the API shows it."""
    told = [notice_to_read(one) for one in notices if one["tribute_id"] == row["id"]]
    return {**{name: row[name] for name in _READ}, "donation_id": row["gift_id"], "notices": told}


async def add_tribute(session: WriteSession, gift_id: UUID, body: TributeCreate) -> dict[str, Any]:
    """Give a gift in honour or memory of somebody; those who are to know become due once the gift has arrived."""
    gift = await evidence.lock_gift(session, gift_id)
    if len(await session.fetch(_OF_GIFT, gift_id=gift_id)) >= _MOST:
        raise Conflict(f"A gift has at most {_MOST} tributes.", code="too_many_tributes")
    people = await look_up(session, [body.honoree_contact_id, *(one.contact_id for one in body.notify)])
    values = {
        "gift_id": gift_id,
        "type": body.type,
        "honoree_contact_id": people.name(body.honoree_contact_id, "honoree_contact_id"),
        "honoree_name": body.honoree_name,
        "message": body.message,
    }
    row = simple.add(session, tributes, values)
    notices = [_add_notice(session, row["id"], people, place, one) for place, one in enumerate(body.notify)]
    record(session, "tribute.created", "tribute", row["id"])
    if gift["status"] in ARRIVED:
        for one in notices:
            _due(session, {**one, "gift_id": gift_id})
    return to_read(row, notices)


def _add_notice(
    session: WriteSession, tribute_id: UUID, people: People, place: int, one: TributeNoticeCreate
) -> dict[str, Any]:
    address = one.postal_address.model_dump(exclude_none=True) if one.postal_address is not None else None
    values = {
        "tribute_id": tribute_id,
        "contact_id": people.name(one.contact_id, f"notify/{place}/contact_id"),
        "name": one.name,
        "email": one.email,
        "address": address,
        "status": "pending",
        "notified_at": None,
    }
    return simple.add(session, tribute_notices, values)


def _due(session: WriteSession, notice: RowLike) -> None:
    fact = TributeNoticeDue(
        notice_id=notice["id"],
        tribute_id=notice["tribute_id"],
        gift_id=notice["gift_id"],
        contact_id=notice["contact_id"],
    )
    emit(session, fact)


async def announce(session: WriteSession, gift_id: UUID) -> None:
    """A gift has arrived: whoever is to know of its tributes and was not told yet becomes due."""
    for row in await session.fetch(_PENDING, gift_id=gift_id):
        _due(session, row)


async def tributes_of(session: ReadSession, gift_id: UUID) -> list[dict[str, Any]]:
    """The tributes of a gift as the API shows them, oldest first; 404 for no such gift."""
    await get_gift(session, gift_id)
    rows = await session.fetch(_OF_GIFT, gift_id=gift_id)
    return await _shown(session, rows)


async def _shown(session: ReadSession, rows: Sequence[RowLike]) -> list[dict[str, Any]]:
    notices = await session.fetch(_NOTICES, ids=[row["id"] for row in rows]) if rows else []
    return [to_read(row, notices) for row in rows]


async def get_tribute(session: ReadSession, tribute_id: UUID) -> dict[str, Any]:
    """One tribute, or 404."""
    row = await simple.get(session, tributes, tribute_id, "tribute")
    return (await _shown(session, [row]))[0]


async def patch_tribute(
    session: WriteSession, tribute_id: UUID, body: TributePatch, *, expected: int | None
) -> dict[str, Any]:
    """Change a tribute. A name takes the place of the contact it was for."""
    changes: dict[str, Any] = {name: getattr(body, name) for name in body.model_fields_set}
    if not changes:
        tribute = await get_tribute(session, tribute_id)
        check_version(tribute["version"], expected)
        return tribute
    if "honoree_name" in changes:
        changes["honoree_contact_id"] = None
    row = await update_row(session, tributes, tribute_id, changes, expected=expected)
    record(session, "tribute.updated", "tribute", tribute_id, fields=body.model_fields_set)
    return (await _shown(session, [row]))[0]


async def remove_tribute(session: WriteSession, tribute_id: UUID, *, expected: int | None) -> None:
    """Remove a tribute with its notices."""
    await lock_row(session, tributes, tribute_id, expected=expected, what="tribute")
    await session.execute(_DELETE, id=tribute_id)
    record(session, "tribute.deleted", "tribute", tribute_id)


async def get_notice(session: ReadSession, notice_id: UUID) -> dict[str, Any]:
    """One notice, or 404."""
    return notice_to_read(await simple.get(session, tribute_notices, notice_id, "tribute notice"))


async def patch_notice(
    session: WriteSession, notice_id: UUID, body: TributeNoticePatch, *, expected: int | None
) -> dict[str, Any]:
    """Note what became of a notice."""
    before = await get_notice(session, notice_id)
    check_version(before["version"], expected)
    if not body.model_fields_set:
        return before
    status = body.status or before["status"]
    if status != "sent" and body.notified_at is not None:
        raise Invalid.at("/notified_at", "not_sent", "Only a notice that was sent has a time of sending.")
    return await note_notice(session, notice_id, status, body.notified_at, expected=expected)


async def note_notice(
    session: WriteSession,
    notice_id: UUID,
    status: str,
    at: datetime | None = None,
    *,
    expected: int | None = None,
) -> dict[str, Any]:
    """Record what became of a notice (``sent``, ``failed``, ``not_needed``, ``pending``); for whoever tells people,
    too. `at`: when it was sent, now when not given."""
    changes = {"status": status, "notified_at": (at or session.now) if status == "sent" else None}
    row = await update_row(session, tribute_notices, notice_id, changes, expected=expected)
    record(session, "tribute_notice.updated", "tribute_notice", notice_id, fields=changes)
    return notice_to_read(row)
