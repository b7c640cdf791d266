"""Whom gifts and what belongs to them should name: many contacts looked up at once, those merged as their survivors."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from uuid import UUID

from sqlalchemy import text

from crm_api.contacts.service import ERASED
from crm_api.kit.db import RowLike, WriteSession, prepare
from crm_api.kit.problems import Conflict, NotFound

_NAMED = prepare(
    text(
        "SELECT id, coalesce(merged_into, id) AS survivor, erased_at FROM contacts "
        "WHERE organization_id = :organization_id AND id = ANY(CAST(:ids AS uuid[])) ORDER BY id FOR KEY SHARE"
    )
)


@dataclass(slots=True)
class People:
    """Contacts that were looked up."""

    rows: dict[UUID, RowLike] = field(default_factory=dict)

    def name(self, contact_id: UUID | None, member: str = "contact_id") -> UUID | None:
        """The contact, or who it was merged into. 404 at `member` for none, 409 for somebody who was erased."""
        if contact_id is None:
            return None
        row = self.rows.get(contact_id)
        if row is None:
            raise NotFound.reference(member)
        if row["erased_at"] is not None:
            raise Conflict(ERASED, code="contact_erased")
        survivor: UUID = row["survivor"]
        return survivor


async def look_up(session: WriteSession, contact_ids: Iterable[UUID | None]) -> People:
    """Contacts by their ids, in one statement; a merge of any of them waits for this transaction."""
    ids = sorted({one for one in contact_ids if one is not None})
    return People({row["id"]: row for row in await session.fetch(_NAMED, ids=ids)} if ids else {})
