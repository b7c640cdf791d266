"""SQL of an import's position, totals and rows. A row's id is made of the import's and its number, so it can only be
written once, and rows are found by ranges of ids."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import text

from crm_api.kit.db import ReadSession, Row, WriteSession, prepare
from crm_api.kit.statements import plain
from crm_api.transfers.imports.kinds import CellError, Journal, ParsedRow, RowResult

_ROW_BITS = 32
_COUNTED = ("created", "updated", "skipped", "queued", "failed")
_ADVANCE = prepare(
    text(
        f"""
        UPDATE imports SET position = :position, rows = :position, progress = :progress,
            {", ".join(f"{name} = {name} + :{name}" for name in _COUNTED)}, version = version + 1, updated_at = :now
        WHERE organization_id = :organization_id AND id = :id AND generation = :generation AND position = :before
            AND state IN ('validating', 'running') AND phase IN ('validate', 'import')
        """
    )
)
_GO_BACK = prepare(
    text(
        """
        UPDATE imports SET back_to = :back_to, progress = :progress, removed = removed + :removed,
            restored = restored + :restored, kept = kept + :kept, version = version + 1, updated_at = :now
        WHERE organization_id = :organization_id AND id = :id AND generation = :generation AND back_to = :before
            AND state = 'running' AND phase = 'undo'
        """
    )
)
_CLEAR = prepare(
    text("DELETE FROM import_rows WHERE organization_id = :organization_id AND id >= :low AND id <= :high")
)
_INSERT = prepare(
    text(
        """
        INSERT INTO import_rows (organization_id, id, import_id, outcome, reason, matched_by, record_id, record_version,
            own, changes, errors, cells)
        SELECT :organization_id, r.id, :import_id, r.outcome, r.reason, r.matched_by, r.record_id, r.record_version,
            r.own, r.changes, r.errors, r.cells
        FROM json_to_recordset(CAST(CAST(:rows AS text) AS json)) AS r(id uuid, outcome text, reason text,
            matched_by text, record_id uuid, record_version integer, own boolean, changes jsonb, errors jsonb,
            cells jsonb)
        """
    )
)
# Nearly all rows of a file make a record and nothing else.
_INSERT_CREATED = prepare(
    text(
        """
        INSERT INTO import_rows (organization_id, id, import_id, outcome, record_id, record_version, own)
        SELECT :organization_id, r.id, :import_id, 'created', r.record_id, r.record_version, false
        FROM unnest(CAST(:ids AS uuid[]), CAST(:record_ids AS uuid[]), CAST(:versions AS integer[]))
            AS r(id, record_id, record_version)
        """
    )
)
_JOURNAL = prepare(
    text(
        """
        SELECT id, outcome, record_id, own, changes FROM import_rows
        WHERE organization_id = :organization_id AND id >= :low AND id <= :high
            AND outcome IN ('created', 'updated', 'queued') AND record_id IS NOT NULL
        ORDER BY id
        """
    )
)
_UNDONE = prepare(
    text(
        """
        UPDATE import_rows SET undone = u.undone
        FROM unnest(CAST(:ids AS uuid[]), CAST(:outcomes AS text[])) AS u(id, undone)
        WHERE import_rows.organization_id = :organization_id AND import_rows.id = u.id
        """
    )
)
_FAILED = prepare(
    text(
        """
        SELECT id, errors, cells FROM import_rows WHERE organization_id = :organization_id AND import_id = :import_id
            AND outcome = 'failed' AND id > :after AND id <= :high ORDER BY id LIMIT :most
        """
    )
)


def row_id(import_id: UUID, number: int) -> UUID:
    """The id of an import's row."""
    return UUID(int=(import_id.int >> _ROW_BITS << _ROW_BITS) | number)


def number_of(row_id_: UUID) -> int:
    """The number of the row with this id."""
    return row_id_.int & ((1 << _ROW_BITS) - 1)


async def advance(
    session: WriteSession, row: Row, *, before: int, position: int, progress: int, results: Sequence[RowResult]
) -> bool:
    """Move the position on and add to the totals; False where somebody else has, or the import was paused, changed or
    undone meanwhile: then the transaction must not stand."""
    counts = {name: sum(result.outcome == name for result in results) for name in _COUNTED}
    moved = await session.execute(
        _ADVANCE,
        id=row["id"],
        generation=row["generation"],
        before=before,
        position=position,
        progress=progress,
        now=session.now,
        **counts,
    )
    return bool(moved)


async def go_back(
    session: WriteSession, row: Row, *, before: int, back_to: int, progress: int, outcomes: Mapping[int, str]
) -> bool:
    """The same for undo."""
    said = list(outcomes.values())
    counts = {name: said.count(name) for name in ("removed", "restored", "kept")}
    moved = await session.execute(
        _GO_BACK,
        id=row["id"],
        generation=row["generation"],
        before=before,
        back_to=back_to,
        progress=progress,
        now=session.now,
        **counts,
    )
    return bool(moved)


async def write_rows(
    session: WriteSession, import_id: UUID, parsed: Sequence[ParsedRow], results: Sequence[RowResult], *, dry_run: bool
) -> None:
    """Record what became of rows, in place of what a dry run said of them."""
    low, high = (row_id(import_id, results[at].number) for at in (0, -1))
    await session.execute(_CLEAR, low=low, high=high)
    created: list[RowResult] = []
    rows: list[dict[str, Any]] = []
    for row, result in zip(parsed, results, strict=True):
        if not dry_run and _only_created(result):
            created.append(result)
            continue
        kept = result.outcome == "updated" or dry_run  # what was created is undone by removing it
        rows.append(
            {
                "id": row_id(import_id, result.number),
                "outcome": result.outcome,
                "reason": result.reason,
                "matched_by": result.matched_by,
                "record_id": result.record_id,
                "record_version": result.record_version,
                "own": result.own,
                "changes": {**(result.changes or {} if kept else {}), **_made(result)} or None,
                "errors": [CellError(*one)._asdict() for one in result.errors] or None,
                "cells": [cell.replace("\x00", "") for cell in row.cells] if result.outcome == "failed" else None,
            }
        )
    if rows:
        await session.execute(_INSERT, import_id=import_id, rows=orjson.dumps(rows, default=plain).decode())
    if created:
        await session.execute(
            _INSERT_CREATED,
            import_id=import_id,
            ids=[row_id(import_id, one.number) for one in created],
            record_ids=[one.record_id for one in created],
            versions=[one.record_version for one in created],
        )


def _only_created(result: RowResult) -> bool:
    return result.outcome == "created" and not (
        result.reason or result.matched_by or result.own or result.errors or result.made
    )


def _made(result: RowResult) -> dict[str, list[Any]]:
    return {f"{what}_created": [None, one] for what, one in result.made.items()}


async def clear_from(session: WriteSession, import_id: UUID, number: int, most: int) -> None:
    """Forget what is known of rows from a number on (an earlier, longer reading of the file)."""
    await session.execute(_CLEAR, low=row_id(import_id, number), high=row_id(import_id, number + most))


async def journal(session: WriteSession, import_id: UUID, low: int, high: int) -> list[Journal]:
    """What the import did in the rows from one number to another."""
    rows = await session.fetch(_JOURNAL, low=row_id(import_id, low), high=row_id(import_id, high))
    return [
        Journal(number_of(row["id"]), row["outcome"], row["record_id"], row["own"], row["changes"] or {})
        for row in rows
    ]


async def mark_undone(session: WriteSession, import_id: UUID, outcomes: Mapping[int, str]) -> None:
    """Record what became of rows when they were taken back."""
    ids = [row_id(import_id, number) for number in outcomes]
    await session.execute(_UNDONE, ids=ids, outcomes=list(outcomes.values()))


async def failed_rows(session: ReadSession, row: Row, after: int, most: int) -> list[Row]:
    """Failed rows after a number, with their cells."""
    first, last = row_id(row["id"], after), row_id(row["id"], row["position"])
    return await session.fetch(_FAILED, import_id=row["id"], after=first, high=last, most=most)
