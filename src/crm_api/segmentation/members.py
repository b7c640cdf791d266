"""Pages of a segment's members, of who came and went, and its size over time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, datetime, timedelta
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from sqlalchemy import text

from crm_api.kit import clock, simple
from crm_api.kit.cursors import mark, unmark
from crm_api.kit.db import ReadSession, Row, prepare
from crm_api.kit.problems import Invalid
from crm_api.kit.reply import Reply, dumps
from crm_api.segmentation import repository
from crm_api.segmentation.models import segments

_NIL = UUID(int=0)
_PAGE = prepare(
    text(
        "SELECT m.contact_id, c.display_name, m.entered_at FROM segment_memberships m JOIN contacts c "
        "ON c.organization_id = m.organization_id AND c.id = m.contact_id WHERE m.organization_id = :organization_id "
        "AND m.segment_id = :id AND m.contact_id > :after ORDER BY m.contact_id LIMIT :most"
    )
)
# The last word on each contact up to the moment.
_WERE = """
    SELECT DISTINCT ON (h.contact_id) h.contact_id, h.change, h.changed_at AS entered_at FROM segment_changes h
    WHERE h.organization_id = :organization_id AND h.segment_id = :id AND h.changed_at <= CAST(:as_of AS timestamptz)
        AND h.contact_id > :after
    ORDER BY h.contact_id, h.changed_at DESC, h.id DESC"""
_PAST = prepare(
    text(
        f"""
        SELECT w.contact_id, c.display_name, w.entered_at FROM ({_WERE}) w
        JOIN contacts c ON c.organization_id = :organization_id AND c.id = w.contact_id
        WHERE w.change = 'entered' ORDER BY w.contact_id LIMIT :most
        """
    )
)
_PAST_COUNT = prepare(text(f"SELECT count(*) FROM ({_WERE}) w WHERE w.change = 'entered'"))
_CHANGES = prepare(
    text(
        "SELECT id, contact_id, change, changed_at FROM segment_changes WHERE organization_id = :organization_id "
        "AND segment_id = :id AND (changed_at, id) < (CAST(:before_at AS timestamptz), CAST(:before_id AS uuid)) "
        "ORDER BY changed_at DESC, id DESC LIMIT :most"
    )
)
_CHANGES_COUNT = prepare(
    text("SELECT count(*) FROM segment_changes WHERE organization_id = :organization_id AND segment_id = :id")
)
_SIZES = prepare(
    text(
        "SELECT day, size FROM segment_sizes WHERE organization_id = :organization_id AND segment_id = :id "
        "AND day >= CAST(:since AS date) ORDER BY day"
    )
)


def _reply(
    path: str, asked: dict[str, Any], rows: Sequence[Row], limit: int, cursor_of: Callable[[Row], str], **more: Any
) -> Reply:
    """A page of rows, of which one more than asked for says that there are others."""
    has_more = len(rows) > limit
    shown = [{name: value for name, value in dict(row).items() if name != "id"} for row in rows[:limit]]
    cursor = cursor_of(rows[limit - 1]) if has_more else None
    answer = Reply(dumps({"data": shown, "has_more": has_more, "next_cursor": cursor, **more}))
    if cursor is not None:
        wanted = {name: value for name, value in asked.items() if value is not None}
        answer.headers["link"] = f'<{path}?{urlencode({**wanted, "limit": limit, "cursor": cursor})}>; rel="next"'
    return answer


async def page(
    session: ReadSession,
    segment_id: UUID,
    *,
    limit: int,
    cursor: str | None,
    as_of: datetime | None,
    include_total: bool,
) -> Reply:
    """Who is in a segment, or was at a moment."""
    await simple.get(session, segments, segment_id, "segment")
    if as_of is not None and as_of.tzinfo is None:
        raise Invalid.at("?as_of", "not_an_instant", "as_of takes an instant with a zone.")
    bound = f"members:{segment_id}:{as_of}"
    after = UUID(str(unmark(cursor, bound)[0])) if cursor else _NIL
    values: dict[str, Any] = {"id": segment_id, "after": after}
    more: dict[str, Any] = {}
    if as_of is None:
        rows = await session.fetch(_PAGE, most=limit + 1, **values)
        if include_total:
            more["total"] = await repository.count_members(session, segment_id)
    else:
        rows = await session.fetch(_PAST, most=limit + 1, as_of=as_of, **values)
        if include_total:
            more["total"] = await session.fetch_val(_PAST_COUNT, id=segment_id, after=_NIL, as_of=as_of)
    asked = {"as_of": as_of.isoformat() if as_of else None, "include_total": "true" if include_total else None}
    path = f"/v1/segments/{segment_id}/members"
    return _reply(path, asked, rows, limit, lambda row: mark(bound, row["contact_id"]), **more)


async def changes(
    session: ReadSession, segment_id: UUID, *, limit: int, cursor: str | None, include_total: bool
) -> Reply:
    """Who came and went, newest first."""
    await simple.get(session, segments, segment_id, "segment")
    bound = f"changes:{segment_id}"
    at, last = unmark(cursor, bound) if cursor else (None, None)
    before_at = datetime.fromisoformat(at) if at else session.now + timedelta(days=366_000)
    before_id = UUID(str(last)) if last else UUID(int=2**128 - 1)
    rows = await session.fetch(_CHANGES, id=segment_id, before_at=before_at, before_id=before_id, most=limit + 1)
    more = {"total": await session.fetch_val(_CHANGES_COUNT, id=segment_id)} if include_total else {}
    path, asked = f"/v1/segments/{segment_id}/changes", {"include_total": "true" if include_total else None}
    return _reply(path, asked, rows, limit, lambda row: mark(bound, row["changed_at"], row["id"]), **more)


async def sizes(session: ReadSession, segment_id: UUID, since: date | None) -> dict[str, Any]:
    """A segment's size over time."""
    await simple.get(session, segments, segment_id, "segment")
    start = since or clock.local_date(session.now, session.tenant.timezone) - timedelta(days=731)
    return {"data": [dict(row) for row in await session.fetch(_SIZES, id=segment_id, since=start)]}
