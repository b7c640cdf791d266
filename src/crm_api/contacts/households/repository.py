"""SQL of households."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, Uuid, bindparam, delete, func, select, text

from crm_api.contacts.households.models import household_members, households
from crm_api.kit.db import ReadSession, Row, WriteSession, prepare

_ORG: Any = bindparam("organization_id")
_ANY_HOUSEHOLD = func.any(bindparam("ids", type_=ARRAY(Uuid)))
MEMBER = tuple(str(column.name) for column in household_members.c if column.name != "organization_id")
_OF_HOUSEHOLDS = prepare(
    select(*(household_members.c[name] for name in MEMBER))
    .where(
        household_members.c.organization_id == _ORG,
        household_members.c.household_id == _ANY_HOUSEHOLD,
        household_members.c.until.is_(None),
    )
    .order_by(household_members.c.is_primary.desc(), household_members.c.id)
)
_MEMBERSHIP = prepare(
    select(*(household_members.c[name] for name in MEMBER)).where(
        household_members.c.organization_id == _ORG,
        household_members.c.household_id == bindparam("household_id"),
        household_members.c.contact_id == bindparam("contact_id"),
        household_members.c.until.is_(None),
    )
)
_CURRENT = prepare(
    text(
        """
        SELECT c.id, c.kind, m.id AS membership_id, m.household_id FROM contacts c
        LEFT JOIN household_members m ON m.organization_id = :organization_id AND m.contact_id = c.id
            AND m.until IS NULL
        WHERE c.organization_id = :organization_id AND c.merged_into IS NULL AND c.erased_at IS NULL
            AND c.id = ANY(CAST(:ids AS uuid[]))
        ORDER BY c.id FOR NO KEY UPDATE OF c
        """
    )
)
_NAMED = prepare(
    text(
        """
        SELECT m.id, m.household_id, m.role, m.is_primary, m.in_name, m.in_greetings, c.given_name, c.middle_name,
            c.family_name, c.salutation, c.formal_greeting, c.informal_greeting, c.display_name, c.language, c.deceased
        FROM household_members m JOIN contacts c ON c.organization_id = :organization_id AND c.id = m.contact_id
        WHERE m.organization_id = :organization_id AND m.until IS NULL AND m.household_id = ANY(CAST(:ids AS uuid[]))
        ORDER BY m.household_id, m.is_primary DESC, m.id
        """
    )
)
_LOCK = prepare(
    select(households)
    .where(households.c.organization_id == _ORG, households.c.id == _ANY_HOUSEHOLD)
    .order_by(households.c.id)
    .with_for_update(key_share=True)
)
_WRITE = prepare(
    text(
        """
        UPDATE households h SET name = r.name, formal_greeting = r.formal_greeting,
            informal_greeting = r.informal_greeting, all_deceased = r.all_deceased, stale = false,
            version = h.version + :bump, updated_at = :now
        FROM jsonb_to_recordset(CAST(:rows AS jsonb))
            AS r(id uuid, name text, formal_greeting text, informal_greeting text, all_deceased boolean)
        WHERE h.organization_id = :organization_id AND h.id = r.id
        """
    )
)
_PROMOTE = prepare(
    text(
        "UPDATE household_members SET is_primary = true, version = version + 1, updated_at = :now "
        "WHERE organization_id = :organization_id AND id = ANY(CAST(:ids AS uuid[]))"
    )
)
_DEMOTE = prepare(
    text(
        "UPDATE household_members SET is_primary = false, version = version + 1, updated_at = :now "
        "WHERE organization_id = :organization_id AND household_id = :household_id AND until IS NULL AND is_primary "
        "AND contact_id <> :contact_id"
    )
)
_END = prepare(
    text(
        "UPDATE household_members SET until = greatest(since, CAST(:day AS date)), is_primary = false, "
        "version = version + 1, updated_at = :now "
        "WHERE organization_id = :organization_id AND id = ANY(CAST(:ids AS uuid[])) AND until IS NULL"
    )
)
_END_ALL = prepare(
    text(
        "UPDATE household_members SET until = greatest(since, CAST(:day AS date)), is_primary = false, "
        "version = version + 1, updated_at = :now "
        "WHERE organization_id = :organization_id AND household_id = :household_id AND until IS NULL"
    )
)
_HOUSEHOLDS_OF = prepare(
    text(
        "SELECT DISTINCT household_id FROM household_members WHERE organization_id = :organization_id "
        "AND contact_id = ANY(CAST(:ids AS uuid[])) AND until IS NULL"
    )
)
_LOST_BY_MERGE = prepare(
    text(
        """
        SELECT DISTINCT h.id FROM merge_changes j
        JOIN household_members m ON m.organization_id = :organization_id
            AND m.id = CAST(coalesce(j.row_key ->> 'id', j.before ->> 'id') AS uuid)
        JOIN households h ON h.organization_id = :organization_id AND h.id = m.household_id
        WHERE j.organization_id = :organization_id AND j.merge_id = :merge_id AND j.table_name = 'household_members'
        UNION
        SELECT DISTINCT h.id FROM merge_changes j
        JOIN households h ON h.organization_id = :organization_id AND h.id = CAST(j.before ->> 'household_id' AS uuid)
        WHERE j.organization_id = :organization_id AND j.merge_id = :merge_id AND j.table_name = 'household_members'
        """
    )
)
_STALE = prepare(text("SELECT id FROM households WHERE organization_id = :organization_id AND stale LIMIT 1000"))
_NEXT = prepare(
    text(
        "SELECT id FROM households WHERE organization_id = :organization_id AND id > :after AND status = 'active' "
        "ORDER BY id LIMIT :most"
    )
)
_PATTERNS = prepare(text("SELECT * FROM household_patterns WHERE organization_id = :organization_id ORDER BY language"))
_PUT_PATTERN = prepare(
    text(
        """
        INSERT INTO household_patterns (organization_id, id, language, name, formal_greeting, informal_greeting,
            conjunction, updated_at)
        VALUES (:organization_id, :id, :language, :name, :formal_greeting, :informal_greeting, :conjunction, :now)
        ON CONFLICT (organization_id, language) DO UPDATE SET name = excluded.name,
            formal_greeting = excluded.formal_greeting, informal_greeting = excluded.informal_greeting,
            conjunction = excluded.conjunction, updated_at = excluded.updated_at
        """
    )
)
_DROP_PATTERN = prepare(
    text("DELETE FROM household_patterns WHERE organization_id = :organization_id AND language = :language")
)
_REMOVE = prepare(delete(households).where(households.c.organization_id == _ORG, households.c.id == bindparam("id")))


async def members_of(session: ReadSession, household_ids: Sequence[UUID]) -> list[Row]:
    """Those who belong to the households now, primary members first."""
    return await session.fetch(_OF_HOUSEHOLDS, ids=list(household_ids))


async def membership(session: ReadSession, household_id: UUID, contact_id: UUID) -> Row | None:
    """The lasting membership of a contact in a household."""
    return await session.fetch_row(_MEMBERSHIP, household_id=household_id, contact_id=contact_id)


async def current_of(session: WriteSession, contact_ids: Sequence[UUID]) -> dict[UUID, Row]:
    """By contact: its kind and where it belongs now. Locked, so that a contact joins one household at a time."""
    return {row["id"]: row for row in await session.fetch(_CURRENT, ids=list(contact_ids))}


async def named(session: ReadSession, household_ids: Sequence[UUID]) -> list[Row]:
    """Members of households with the names their households are made of."""
    return await session.fetch(_NAMED, ids=list(household_ids))


async def lock(session: WriteSession, household_ids: Sequence[UUID]) -> list[Row]:
    """The households, locked in one order."""
    return await session.fetch(_LOCK, ids=list(household_ids))


async def write_names(session: WriteSession, rows: Sequence[dict[str, Any]], *, bump: int) -> None:
    """Write name and greetings of households."""
    await session.execute(_WRITE, rows=list(rows), bump=bump, now=session.now)


async def promote(session: WriteSession, membership_ids: Sequence[UUID]) -> None:
    """Make members the primary ones of their households, which have none."""
    await session.execute(_PROMOTE, ids=list(membership_ids), now=session.now)


async def demote_others(session: WriteSession, household_id: UUID, contact_id: UUID) -> None:
    """Nobody but this contact is the household's primary member, whoever sees the others."""
    async with session.beyond_limit():
        await session.execute(_DEMOTE, household_id=household_id, contact_id=contact_id, now=session.now)


async def end(session: WriteSession, membership_ids: Sequence[UUID], day: Any) -> None:
    """End memberships on a day."""
    await session.execute(_END, ids=list(membership_ids), day=day, now=session.now)


async def end_all(session: WriteSession, household_id: UUID, day: Any) -> None:
    """End every membership of a household on a day, whoever sees it."""
    async with session.beyond_limit():
        await session.execute(_END_ALL, household_id=household_id, day=day, now=session.now)


async def households_of(session: ReadSession, contact_ids: Sequence[UUID]) -> list[UUID]:
    """Households the contacts belong to now."""
    return [row["household_id"] for row in await session.fetch(_HOUSEHOLDS_OF, ids=list(contact_ids))]


async def touched_by_merge(session: ReadSession, merge_id: UUID) -> list[UUID]:
    """Households whose members a merge of contacts has changed."""
    return [row["id"] for row in await session.fetch(_LOST_BY_MERGE, merge_id=merge_id)]


async def stale(session: ReadSession) -> list[UUID]:
    """Households of which a member was erased."""
    return [row["id"] for row in await session.fetch(_STALE)]


async def following(session: ReadSession, after: UUID, most: int) -> list[UUID]:
    """The next active households by id."""
    return [row["id"] for row in await session.fetch(_NEXT, after=after, most=most)]


async def patterns(session: ReadSession) -> list[Row]:
    """The organization's own patterns."""
    return await session.fetch(_PATTERNS)


async def put_pattern(session: WriteSession, values: dict[str, Any]) -> None:
    """Write an own pattern."""
    await session.execute(_PUT_PATTERN, now=session.now, **values)


async def drop_pattern(session: WriteSession, language: str) -> None:
    """Go back to a language's usual pattern."""
    await session.execute(_DROP_PATTERN, language=language)


async def remove(session: WriteSession, household_id: UUID) -> None:
    """Remove a household with its memberships."""
    await session.execute(_REMOVE, id=household_id)
