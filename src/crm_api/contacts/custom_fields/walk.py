"""The walk of a definition over every contact: values go where the definition wants them, and key rows with them.

A definition says where its values live: in ``custom``, in ``custom_sensitive``, in the archive, or nowhere; and whether
they have key rows. Whenever that changes, one walk brings every contact into that state, whatever state it was in, in
chunks of a transaction each. It may be cut short, repeated or overtaken by the next change: the end is the same.

Requests that began before the change may still write by the old definition. The walk therefore waits until every
transaction that was under way when it began has ended; later ones know the new definition and write by it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, select, text

from crm_api.contacts.custom_fields import defining, service
from crm_api.contacts.custom_fields.facts import CustomFieldChanged
from crm_api.contacts.custom_fields.models import custom_fields
from crm_api.contacts.custom_fields.values import Definition, key_values
from crm_api.kit.db import Row, WriteSession, prepare
from crm_api.outbox.service import emit

CHUNK = 5_000
"""Contacts of one transaction."""
_FIRST = UUID(int=0)
_ORG: Any = bindparam("organization_id")
_LOCK = prepare(
    select(custom_fields)
    .where(custom_fields.c.organization_id == _ORG, custom_fields.c.id == bindparam("id"))
    .with_for_update(key_share=True)
)
_OTHERS = prepare(
    text(
        """
        SELECT CAST(CAST(pg_snapshot_xmax(pg_current_snapshot()) AS text) AS bigint) AS horizon,
            EXISTS (SELECT 1 FROM pg_snapshot_xip(pg_current_snapshot()) AS x WHERE x <> pg_current_xact_id()) AS busy,
            (SELECT count(*) FROM contacts WHERE organization_id = :organization_id) AS total
        """
    )
)
_OLDEST = prepare(
    text(
        "SELECT CAST(CAST(pg_snapshot_xmin(pg_current_snapshot()) AS text) AS bigint) "
        "WHERE CAST(:organization_id AS uuid) IS NOT NULL"
    )
)
_NOTE = prepare(
    text(
        "UPDATE custom_fields SET run_state = :state, run_horizon = :horizon, run_total = :total, "
        "version = version + 1 "
        "WHERE organization_id = :organization_id AND id = :id"
    )
)
_STEP = prepare(
    text(
        "UPDATE custom_fields SET run_state = 'running', run_after = :after, run_done = run_done + :done, "
        "version = version + 1 "
        "WHERE organization_id = :organization_id AND id = :id"
    )
)
_END = prepare(
    text(
        "UPDATE custom_fields SET run_state = 'succeeded', run_done = run_total, run_after = NULL, run_horizon = NULL, "
        "indexed = filterable AND status = 'active', version = version + 1, updated_at = :now "
        "WHERE organization_id = :organization_id AND id = :id"
    )
)
_FAIL = prepare(
    text(
        "UPDATE custom_fields SET run_state = 'failed', run_reason = :reason, version = version + 1 "
        "WHERE organization_id = :organization_id AND id = :id AND run_id = :run_id"
    )
)
_UPTO = prepare(
    text(
        """
        SELECT count(*) AS found, (array_agg(c.id ORDER BY c.id DESC))[1] AS last
        FROM (SELECT id FROM contacts WHERE organization_id = :organization_id AND id > :after
            ORDER BY id LIMIT :most) c
        """
    )
)
# Only contacts that hold a value are locked: one who gives a value to another contact meanwhile writes its keys too.
_VALUES = prepare(
    text(
        """
        SELECT c.id, c.custom -> CAST(:key AS text) AS plain, c.custom_sensitive -> CAST(:key AS text) AS guarded,
            a.content AS archived
        FROM contacts c LEFT JOIN custom_field_archive a ON a.organization_id = c.organization_id
            AND a.organization_id = :organization_id AND a.contact_id = c.id AND a.custom_field_id = :field_id
        WHERE c.organization_id = :organization_id AND c.id > :after AND c.id <= :last
            AND (jsonb_exists(c.custom, :key) OR jsonb_exists(c.custom_sensitive, :key) OR a.contact_id IS NOT NULL)
        ORDER BY c.id FOR NO KEY UPDATE OF c
        """
    )
)
_MOVE = prepare(
    text(
        """
        UPDATE contacts c SET version = c.version + 1, updated_at = :now,
            custom = (c.custom - CAST(:key AS text))
                || CASE WHEN :place = 'plain' THEN jsonb_build_object(CAST(:key AS text), r.value) ELSE '{}' END,
            custom_sensitive = (c.custom_sensitive - CAST(:key AS text))
                || CASE WHEN :place = 'guarded' THEN jsonb_build_object(CAST(:key AS text), r.value) ELSE '{}' END
        FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r(id uuid, value jsonb)
        WHERE c.organization_id = :organization_id AND c.id = r.id
        """
    )
)
_KEEP = prepare(
    text(
        """
        INSERT INTO custom_field_archive (organization_id, custom_field_id, contact_id, content)
        SELECT :organization_id, :field_id, r.id, r.value
        FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r(id uuid, value jsonb)
        ON CONFLICT (organization_id, custom_field_id, contact_id) DO UPDATE SET content = excluded.content
        """
    )
)
_UNKEEP = prepare(
    text(
        "DELETE FROM custom_field_archive WHERE organization_id = :organization_id AND custom_field_id = :field_id "
        "AND contact_id > :after AND contact_id <= :last"
    )
)
_DROP_KEYS = prepare(
    text(
        """
        DELETE FROM contact_keys k WHERE k.organization_id = :organization_id AND k.kind = :kind
            AND k.contact_id > :after AND k.contact_id <= :last
            AND NOT EXISTS (SELECT 1 FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r(id uuid, value text)
                WHERE r.id = k.contact_id AND r.value = k.value)
        """
    )
)
_ADD_KEYS = prepare(
    text(
        """
        INSERT INTO contact_keys (organization_id, kind, value, contact_id)
        SELECT :organization_id, CAST(:kind AS text), r.value, r.id
        FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r(id uuid, value text)
        ON CONFLICT DO NOTHING
        """
    )
)


async def step(session: WriteSession, field_id: UUID, run_id: UUID) -> None:
    """Do the next chunk of a walk, and see to the one after it. Nothing where another walk has begun since."""
    row = await session.fetch_row(_LOCK, id=field_id)
    if row is None or row["run_id"] != run_id or row["run_state"] == "succeeded":
        return
    again = CustomFieldChanged(custom_field_id=field_id, run_id=run_id)
    if row["run_state"] in {"queued", "failed"} and not await _all_know(session, row):
        emit(session, again, delay=timedelta(seconds=0.2))
        return
    after = row["run_after"] or _FIRST
    found = await session.fetch_row(_UPTO, after=after, most=CHUNK)
    if found is not None and found["found"]:
        await _chunk(session, service.definition_of(row), after, found["last"])
        await session.execute(_STEP, id=field_id, after=found["last"], done=found["found"])
    if found is not None and found["found"] == CHUNK:
        emit(session, again)
    elif row["status"] == "erasing":
        await defining.forget_field(session, field_id)
    else:
        await session.execute(_END, id=field_id, now=session.now)


async def _all_know(session: WriteSession, row: Row) -> bool:
    """Whether every transaction that may have read the definition as it was has ended."""
    if row["run_horizon"] is None:
        seen = await session.fetch_row(_OTHERS)
        assert seen is not None
        state = "queued" if seen["busy"] else "running"
        await session.execute(_NOTE, id=row["id"], state=state, horizon=seen["horizon"], total=seen["total"])
        return not bool(seen["busy"])
    oldest: int = await session.fetch_val(_OLDEST)
    return oldest >= int(row["run_horizon"])


async def fail(session: WriteSession, field_id: UUID, run_id: UUID) -> None:
    """Note that a walk was given up."""
    reason = "The walk over the contacts was given up; GET /v1/jobs?state=dead says why. Retry that job to go on."
    await session.execute(_FAIL, id=field_id, run_id=run_id, reason=reason)


def _place(definition: Definition) -> str:
    if definition.active:
        return "guarded" if definition.sensitive else "plain"
    return "archived" if definition.status == "archived" else "nowhere"


async def _chunk(session: WriteSession, definition: Definition, after: UUID, last: UUID) -> None:
    """Bring the contacts between two ids to where the definition wants them."""
    place = _place(definition)
    span = {"after": after, "last": last}
    rows = await session.fetch(_VALUES, key=definition.key, field_id=definition.id, **span)
    held = [(row, _newest(row)) for row in rows]
    await _move(session, definition, place, held)
    if place != "archived":
        await session.execute(_UNKEEP, field_id=definition.id, **span)
    keys = (
        [{"id": str(row["id"]), "value": key} for row, value in held for key in key_values(definition, value)]
        if definition.active and definition.filterable
        else []
    )
    await session.execute(_DROP_KEYS, kind=definition.key_kind, rows=keys, **span)
    if keys:
        await session.execute(_ADD_KEYS, kind=definition.key_kind, rows=keys)


def _newest(row: Row) -> Any:
    """A value that was written since the field was archived or moved stands before the one that was there."""
    return next((row[name] for name in ("plain", "guarded", "archived") if row[name] is not None), None)


async def _move(session: WriteSession, definition: Definition, place: str, held: Sequence[tuple[Row, Any]]) -> None:
    if place == "archived":
        kept = [{"id": str(row["id"]), "value": value} for row, value in held if row["archived"] is None]
        if kept:
            await session.execute(_KEEP, field_id=definition.id, rows=kept)
    misplaced = [
        {"id": str(row["id"]), "value": value}
        for row, value in held
        if any((row[name] is not None) != (name == place) for name in ("plain", "guarded"))
    ]
    if misplaced:
        await session.execute(_MOVE, key=definition.key, place=place, rows=misplaced, now=session.now)
