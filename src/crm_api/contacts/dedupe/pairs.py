"""The pairs of the review queue: kept in step with merges, so that "not a duplicate" is remembered for ever."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy import text

from crm_api.kit.db import Statement, WriteSession, prepare

_JOURNAL = """
    INSERT INTO merge_changes (organization_id, merge_id, step, table_name, column_name, n, change, row_key, before)
    SELECT :organization_id, CAST(:merge_id AS uuid), CAST(:step AS integer), 'duplicates', '',
        row_number() OVER (), 'changed', jsonb_build_object('id', d.id), to_jsonb(d)
    FROM duplicates d WHERE d.organization_id = :organization_id AND d.id IN (
        SELECT p.id FROM duplicates p WHERE p.organization_id = :organization_id
            AND (p.low_id = :retired OR p.high_id = :retired)
        UNION ALL
        SELECT o.id FROM duplicates p JOIN duplicates o ON o.organization_id = p.organization_id
            AND o.low_id = least(:survivor, CASE p.low_id WHEN :retired THEN p.high_id ELSE p.low_id END)
            AND o.high_id = greatest(:survivor,
                CASE p.low_id WHEN :retired THEN p.high_id ELSE p.low_id END)
        WHERE p.organization_id = :organization_id AND (p.low_id = :retired OR p.high_id = :retired)
            AND NOT (p.low_id = :survivor OR p.high_id = :survivor))
"""
_SETTLE = """
    UPDATE duplicates SET state = 'merged', merge_id = CAST(:merge_id AS uuid), decided_at = CAST(:now AS timestamptz),
        decided_by = :decided_by, version = version + 1, updated_at = CAST(:now AS timestamptz)
    WHERE organization_id = :organization_id
        AND low_id = least(:survivor, :retired)
        AND high_id = greatest(:survivor, :retired)
"""
_OTHER = "CASE p.low_id WHEN :retired THEN p.high_id ELSE p.low_id END"
_TWIN = f"""
    o.organization_id = :organization_id AND o.low_id = least(:survivor, {_OTHER})
        AND o.high_id = greatest(:survivor, {_OTHER})
"""
_MINE = """
    p.organization_id = :organization_id AND p.state <> 'merged'
        AND (p.low_id = :retired OR p.high_id = :retired) AND NOT (p.low_id = :survivor OR p.high_id = :survivor)
"""
_INHERIT = f"""
    UPDATE duplicates o SET state = 'dismissed', decided_at = p.decided_at, decided_by = p.decided_by,
        version = o.version + 1, updated_at = CAST(:now AS timestamptz)
    FROM duplicates p WHERE {_TWIN} AND o.state = 'open' AND {_MINE} AND p.state = 'dismissed'
"""
_DROP = f"DELETE FROM duplicates p WHERE {_MINE} AND EXISTS (SELECT 1 FROM duplicates o WHERE {_TWIN})"
_MOVE = f"""
    UPDATE duplicates p SET low_id = least(:survivor, {_OTHER}),
        high_id = greatest(:survivor, {_OTHER}), version = p.version + 1,
        updated_at = CAST(:now AS timestamptz)
    WHERE {_MINE}
"""


def _typed(sql: str) -> Statement:
    for name in ("organization_id", "retired", "survivor"):
        sql = sql.replace(f":{name}", f"CAST(:{name} AS uuid)")
    return prepare(text(sql))


_STEPS = tuple(_typed(sql) for sql in (_JOURNAL, _SETTLE, _INHERIT, _DROP, _MOVE))
_FORGET = prepare(
    text(
        """
        DELETE FROM duplicates WHERE organization_id = :organization_id AND id IN (
            SELECT CAST(j.row_key ->> 'id' AS uuid) FROM merge_changes j WHERE j.organization_id = :organization_id
                AND j.merge_id = :merge_id AND j.step = :step AND j.table_name = 'duplicates')
        """
    )
)
_RESTORE = prepare(
    text(
        """
        INSERT INTO duplicates SELECT b.* FROM merge_changes j,
            LATERAL jsonb_populate_record(NULL::duplicates, j.before) b
        WHERE j.organization_id = :organization_id AND j.merge_id = :merge_id AND j.step = :step
            AND j.table_name = 'duplicates'
        ON CONFLICT DO NOTHING
        """
    )
)


async def follow_merge(session: WriteSession, merge_id: UUID, step: int, *, retired: UUID, survivor: UUID) -> None:
    """The pair itself is settled; pairs of the retired contact with others are the survivor's from now on. Where the
    survivor has such a pair too, a dismissal of either counts."""
    values: dict[str, Any] = {"merge_id": merge_id, "step": step, "retired": retired, "survivor": survivor}
    values |= {"now": session.now, "decided_by": f"{session.actor.kind}:{session.actor.id}"}
    for statement in _STEPS:
        await session.execute(statement, **values)


async def follow_undo(session: WriteSession, merge_id: UUID, step: int) -> None:
    """Every pair as it was before the merge."""
    await session.execute(_FORGET, merge_id=merge_id, step=step)
    await session.execute(_RESTORE, merge_id=merge_id, step=step)
