"""Members of a segment as a condition on lists of contacts, for whoever goes through all of them."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, literal_column, select, text
from sqlalchemy.sql.elements import ColumnElement

from crm_api.kit.db import ReadSession, prepare
from crm_api.segmentation.models import segment_changes, segment_memberships

_ENTERED = prepare(
    text(
        "SELECT contact_id, entered_at FROM segment_memberships WHERE organization_id = :organization_id "
        "AND segment_id = :segment_id AND contact_id = ANY(CAST(:ids AS uuid[]))"
    )
)
_HAD_ENTERED = prepare(
    text(
        "SELECT DISTINCT ON (contact_id) contact_id, changed_at AS entered_at FROM segment_changes "
        "WHERE organization_id = :organization_id AND segment_id = :segment_id "
        "AND contact_id = ANY(CAST(:ids AS uuid[])) AND changed_at <= CAST(:as_of AS timestamptz) "
        "ORDER BY contact_id, changed_at DESC, id DESC"
    )
)


@dataclass(frozen=True, slots=True)
class Members:
    """Whoever is in a segment, or was at a moment (`kit.fields.Words`)."""

    segment_id: UUID
    as_of: datetime | None = None

    @property
    def shape(self) -> Hashable:
        """What the SQL depends on."""
        return self.as_of is None

    def condition(self, row_id: Any, name: str) -> ColumnElement[bool]:
        """Whether a contact is a member. Of the past, by the last word on it up to the moment: a look-up in an index
        for each contact, so that pages of a list stay cheap."""
        segment: Any = bindparam(name, type_=segment_memberships.c.segment_id.type)
        if self.as_of is None:
            member = segment_memberships.c
            rows = select(member.contact_id).where(
                member.organization_id == bindparam("organization_id"), member.segment_id == segment
            )
            found: ColumnElement[bool] = row_id.in_(rows)
            return found
        change = segment_changes.c
        moment: Any = bindparam(f"{name}_as_of", type_=change.changed_at.type)
        last = (
            select(change.change)
            .where(
                change.organization_id == bindparam("organization_id"),
                change.segment_id == segment,
                change.contact_id == row_id,
                change.changed_at <= moment,
            )
            .order_by(change.changed_at.desc(), change.id.desc())
            .limit(literal_column("1"))
            .scalar_subquery()
        )
        entered: ColumnElement[bool] = last == literal_column("'entered'")
        return entered

    def values(self, name: str) -> dict[str, Any]:
        """Values of the parameters of the condition."""
        return {name: self.segment_id, f"{name}_as_of": self.as_of}

    async def entered(self, session: ReadSession, contacts: Sequence[UUID]) -> dict[UUID, datetime]:
        """Since when each of these members is in it, or was at the moment."""
        values: dict[str, Any] = {"segment_id": self.segment_id, "ids": list(contacts)}
        if self.as_of is None:
            rows = await session.fetch(_ENTERED, **values)
        else:
            rows = await session.fetch(_HAD_ENTERED, as_of=self.as_of, **values)
        return {row["contact_id"]: row["entered_at"] for row in rows}
