"""SQL of segments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text

from crm_api.kit.db import ReadSession, Row, WriteSession, prepare
from crm_api.kit.ids import NEW_ID_SQL, id_head, new_id
from crm_api.kit.planner import configured
from crm_api.kit.predicates.compiling import Compiled

_ACTIVE = prepare(
    text(
        "SELECT id, version FROM segments WHERE organization_id = :organization_id AND kind = 'dynamic' "
        "AND status = 'active' AND jsonb_exists_any(reads, CAST(:reads AS text[])) ORDER BY id"
    )
)
_RULES = prepare(
    text("SELECT id, rule FROM segments WHERE organization_id = :organization_id AND id = ANY(CAST(:ids AS uuid[]))")
)
_MOVING = prepare(
    text(
        "SELECT id FROM segments WHERE organization_id = :organization_id AND kind = 'dynamic' AND status = 'active' "
        "AND moves_with_time ORDER BY id"
    )
)
_HELD = prepare(
    text(
        "SELECT segment_id, contact_id FROM segment_memberships WHERE organization_id = :organization_id "
        "AND contact_id = ANY(CAST(:contacts AS uuid[])) AND segment_id = ANY(CAST(:segments AS uuid[]))"
    )
)
_ENTER = prepare(
    text(
        """
        WITH came AS (
            INSERT INTO segment_memberships (organization_id, segment_id, contact_id, entered_at)
            SELECT :organization_id, r.segment_id, r.contact_id, :now
            FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r(segment_id uuid, contact_id uuid, change_id uuid)
            ON CONFLICT DO NOTHING RETURNING segment_id, contact_id
        )
        INSERT INTO segment_changes (organization_id, id, segment_id, contact_id, change, changed_at)
        SELECT :organization_id, r.change_id, r.segment_id, r.contact_id, 'entered', :now
        FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r(segment_id uuid, contact_id uuid, change_id uuid)
        JOIN came USING (segment_id, contact_id)
        """
    )
)
_LEAVE = prepare(
    text(
        """
        WITH asked AS (
            SELECT * FROM jsonb_to_recordset(CAST(:rows AS jsonb))
                AS r(segment_id uuid, contact_id uuid, change_id uuid)
        ), went AS (
            DELETE FROM segment_memberships m USING asked r WHERE m.organization_id = :organization_id
                AND m.segment_id = r.segment_id AND m.contact_id = r.contact_id
            RETURNING m.segment_id, m.contact_id
        )
        INSERT INTO segment_changes (organization_id, id, segment_id, contact_id, change, changed_at)
        SELECT :organization_id, r.change_id, r.segment_id, r.contact_id, 'left', :now
        FROM asked r JOIN went USING (segment_id, contact_id)
        """
    )
)
_LOCK = prepare(text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))"))
_LOCK_SHARED = prepare(text("SELECT pg_advisory_xact_lock_shared(hashtextextended(:name, 0))"))
_LOCK_CONTACTS = prepare(
    text(
        "SELECT pg_advisory_xact_lock(l.key) FROM (SELECT DISTINCT hashtextextended(:scope || c, 0) AS key "
        "FROM unnest(CAST(:contacts AS text[])) c ORDER BY 1) l"
    )
)
_STATE = prepare(
    text(
        "UPDATE segments SET state = :state, reason = :reason, size = coalesce(:size, size), "
        "computed_at = coalesce(:computed_at, computed_at) WHERE organization_id = :organization_id AND id = :id"
    )
)
_SIZE = prepare(
    text(
        "INSERT INTO segment_sizes (organization_id, segment_id, day, size) "
        "VALUES (:organization_id, :id, :day, :size) "
        "ON CONFLICT (organization_id, segment_id, day) DO UPDATE SET size = excluded.size"
    )
)
_COUNT = prepare(
    text("SELECT count(*) FROM segment_memberships WHERE organization_id = :organization_id AND segment_id = :id")
)


async def lock_all(session: WriteSession) -> None:
    """Let one worker look at everybody, and nobody follow single contacts meanwhile: what was read before would be put
    over what is found now."""
    await session.fetch(_LOCK, name=f"{session.organization_id}:segments")


async def lock_contacts(session: WriteSession, contacts: Sequence[UUID]) -> None:
    """Let one worker at a time follow each of these contacts, and nobody look at everybody meanwhile."""
    await session.fetch(_LOCK_SHARED, name=f"{session.organization_id}:segments")
    scope = f"{session.organization_id}:segments:"
    await session.fetch(_LOCK_CONTACTS, scope=scope, contacts=[str(one) for one in contacts])


async def active(session: ReadSession, reads: Sequence[str]) -> list[tuple[UUID, int]]:
    """Id and version of active dynamic segments whose rules read any of these sources."""
    return [(row["id"], row["version"]) for row in await session.fetch(_ACTIVE, reads=list(reads))]


async def rules(session: ReadSession, ids: Sequence[UUID]) -> dict[UUID, Mapping[str, Any]]:
    """Rules of segments as they were sent."""
    return {row["id"]: row["rule"] for row in await session.fetch(_RULES, ids=list(ids))}


async def moving(session: ReadSession) -> list[UUID]:
    """Active segments whose rules have dates that move."""
    return [row["id"] for row in await session.fetch(_MOVING)]


async def held(session: ReadSession, segments: Sequence[UUID], contacts: Sequence[UUID]) -> set[tuple[UUID, UUID]]:
    """Which of the contacts are in which of the segments."""
    rows = await session.fetch(_HELD, contacts=list(contacts), segments=list(segments))
    return {(row["segment_id"], row["contact_id"]) for row in rows}


def _pairs(pairs: Sequence[tuple[UUID, UUID]]) -> list[dict[str, str]]:
    return [{"segment_id": str(s), "contact_id": str(c), "change_id": str(new_id())} for s, c in pairs]


async def enter(session: WriteSession, pairs: Sequence[tuple[UUID, UUID]], at: datetime) -> int:
    """Let contacts enter segments; how many were not in them."""
    return await session.execute(_ENTER, rows=_pairs(pairs), now=at) if pairs else 0


async def leave(session: WriteSession, pairs: Sequence[tuple[UUID, UUID]], at: datetime) -> int:
    """Let contacts leave segments; how many were in them."""
    return await session.execute(_LEAVE, rows=_pairs(pairs), now=at) if pairs else 0


def over_everybody(session: WriteSession, *, seconds: int) -> AbstractAsyncContextManager[None]:
    """For statements that go through all contacts and may take so many seconds. Of whom a rule finds, and of a segment
    that has just got its first members, the planner knows nothing: taking them for a handful, it would compare
    everybody with everybody."""
    return configured(session, statement_timeout=f"{seconds}s", enable_nestloop="off", work_mem="64MB")


async def reckon(session: WriteSession, segment_id: UUID, found: Compiled, at: datetime) -> Row:
    """Make a segment's members those whom its rule finds, in one statement; how many came, went and are there."""
    statement = prepare(
        text(
            f"""
            WITH found (id) AS MATERIALIZED ({found.sql}),
            went AS (
                DELETE FROM segment_memberships m WHERE m.organization_id = :organization_id
                    AND m.segment_id = :segment_id AND NOT EXISTS (SELECT 1 FROM found f WHERE f.id = m.contact_id)
                RETURNING m.contact_id
            ), came AS (
                INSERT INTO segment_memberships (organization_id, segment_id, contact_id, entered_at)
                SELECT :organization_id, :segment_id, f.id, :at FROM found f
                WHERE NOT EXISTS (SELECT 1 FROM segment_memberships m WHERE m.organization_id = :organization_id
                    AND m.segment_id = :segment_id AND m.contact_id = f.id)
                ON CONFLICT DO NOTHING RETURNING contact_id
            ), noted AS (
                INSERT INTO segment_changes (organization_id, id, segment_id, contact_id, change, changed_at)
                SELECT :organization_id, {NEW_ID_SQL}, :segment_id, b.contact_id, b.change, :at
                FROM (SELECT contact_id, 'entered' AS change FROM came
                    UNION ALL SELECT contact_id, 'left' FROM went) b
            )
            SELECT (SELECT count(*) FROM came) AS entered, (SELECT count(*) FROM went) AS left_it,
                (SELECT count(*) FROM found) AS size
            """
        )
    )
    async with over_everybody(session, seconds=900):
        row = await session.fetch_row(statement, segment_id=segment_id, at=at, id_head=id_head(), **found.parameters)
    assert row is not None
    return row


async def set_state(
    session: WriteSession,
    segment_id: UUID,
    state: str,
    *,
    reason: str | None = None,
    size: int | None = None,
    computed_at: datetime | None = None,
) -> None:
    """Note how the reckoning of a segment stands."""
    await session.execute(_STATE, id=segment_id, state=state, reason=reason, size=size, computed_at=computed_at)


async def note_size(session: WriteSession, segment_id: UUID, day: Any, size: int) -> None:
    """Keep the size of a day; the last of it counts."""
    await session.execute(_SIZE, id=segment_id, day=day, size=size)


async def count_members(session: ReadSession, segment_id: UUID) -> int:
    """How many are in a segment."""
    return int(await session.fetch_val(_COUNT, id=segment_id))
