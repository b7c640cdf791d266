"""Runs of scoring: parts reckoned anew on demand, one part per transaction, so that progress shows."""

from __future__ import annotations

from datetime import date
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, select, text

from crm_api.audit.service import record
from crm_api.kit import simple
from crm_api.kit.db import ReadSession, Row, RowLike, WriteSession, prepare
from crm_api.kit.problems import Invalid
from crm_api.kit.sums import exact
from crm_api.kit.updates import update_row
from crm_api.outbox.service import emit
from crm_api.scoring import modelling, rebuilding, repository, service
from crm_api.scoring.facts import ScoringRunAsked
from crm_api.scoring.models import PARTS, scoring_runs
from crm_api.scoring.schemas import ScoringRunCreate

_LOCK = prepare(
    select(scoring_runs)
    .where(scoring_runs.c.organization_id == bindparam("organization_id"), scoring_runs.c.id == bindparam("id"))
    .with_for_update()
)
_CURRENT = prepare(
    text(
        """
        WITH donors AS (
            SELECT s.donor_status, s.total_given, s.gift_count, s.rfm_recency * 100 + s.rfm_frequency * 10
                + s.rfm_monetary AS cell
            FROM donor_summaries s WHERE s.organization_id = :organization_id)
        SELECT (SELECT count(*) FROM donors d WHERE d.gift_count > 0) AS donors,
            (SELECT sum(d.total_given) FROM donors d) AS total_given,
            (SELECT jsonb_object_agg(c.donor_status, c.n)
                FROM (SELECT donor_status, count(*) AS n FROM donors GROUP BY 1) c) AS statuses,
            (SELECT jsonb_object_agg(c.cell, c.n)
                FROM (SELECT cell, count(*) AS n FROM donors WHERE cell IS NOT NULL GROUP BY 1) c) AS cells
        """
    )
)


def to_read(row: RowLike) -> dict[str, Any]:
    """A run as the API shows it."""
    return {**simple.to_read(scoring_runs, row), "progress": row["progress"] / 1000}


async def start_run(session: WriteSession, body: ScoringRunCreate) -> dict[str, Any]:
    """Queue a run. `Invalid` for a day to come, or before the year 1900."""
    today = service.today(session)
    if body.as_of is not None and not date(1900, 1, 1) <= body.as_of <= today:
        raise Invalid.at("/as_of", "out_of_range", "as_of is a day from 1900 to today; leave it out for today.")
    parts = [part for part in PARTS if part in body.parts]
    row = simple.add(
        session,
        scoring_runs,
        {
            "parts": parts,
            "as_of": body.as_of,
            "state": "queued",
            "progress": 0,
            "reason": None,
            "totals": None,
            "finished_at": None,
        },
    )
    record(session, "scoring_run.started", "scoring_run", row["id"], fields=parts)
    emit(session, ScoringRunAsked(run_id=row["id"]))
    return to_read(row)


async def get_run(session: ReadSession, run_id: UUID) -> dict[str, Any]:
    """One run, or 404."""
    return to_read(await simple.get(session, scoring_runs, run_id, "scoring run"))


async def step(session: WriteSession, run_id: UUID) -> None:
    """Do the next part of a run: figures and scores first, then the fits. The last one says what it came to."""
    row = await session.fetch_row(_LOCK, id=run_id)
    if row is None or row["state"] not in {"queued", "running"}:
        return
    today = service.today(session)
    past = row["as_of"] is not None and row["as_of"] < today
    day = row["as_of"] if past else today
    await rebuilding.patience(session)
    totals = dict(row["totals"] or {"currency": session.tenant.currency, "models": None})
    figures, foreseen = set(row["parts"]) - {"predictions"}, "predictions" in row["parts"]
    if row["state"] == "queued":  # the first step
        counted = await _figures(session, row, day, past) if figures else dict.fromkeys(_COUNTED)
        totals |= counted
        if figures and foreseen:
            await _note(session, row, {"state": "running", "progress": 500, "totals": totals})
            emit(session, ScoringRunAsked(run_id=run_id))
            return
    if foreseen:
        totals["models"] = await modelling.refit(session, day, current=not past)
    ended = {"state": "succeeded", "progress": 1000, "totals": totals, "finished_at": session.now}
    await _note(session, row, ended)


_COUNTED = ("donors", "total_given", "statuses", "rfm_cells")


async def _figures(session: WriteSession, row: Row, day: date, past: bool) -> dict[str, Any]:
    """What donors come to on a day. Today's are rebuilt and stored; those of a day that is over are only counted."""
    if past:
        by = await repository.standing(session, day)
        found = await rebuilding.overview(session, by, day)
        rfm, borders = await service.rfm_on(session, day, by)
        cells = await rebuilding.cells_of_day(session, day, rfm, borders)
    else:
        parts = set(row["parts"])
        await service.rebuild(session, figures=bool(parts & {"summary", "status"}), scores="rfm" in parts)
        stored = await session.fetch_row(_CURRENT)
        assert stored is not None  # counts always give a row
        found, cells = stored, stored["cells"]
    return {
        "donors": found["donors"],
        "total_given": exact(found["total_given"]),
        "statuses": found["statuses"] or {},
        "rfm_cells": cells or {},
    }


async def _note(session: WriteSession, row: Row, changes: dict[str, Any]) -> None:
    await update_row(session, scoring_runs, row["id"], changes, expected=None)


async def fail(session: WriteSession, run_id: UUID) -> None:
    """Say that a run could not be finished."""
    said = "it could not be finished; see the job's last_error, then start another run"
    row = await session.fetch_row(_LOCK, id=run_id)
    if row is not None and row["state"] in {"queued", "running"}:
        await _note(session, row, {"state": "failed", "reason": said, "finished_at": session.now})


def model_to_read(row: RowLike) -> dict[str, Any]:
    """A fit as the API shows it."""
    names = ("id", "kind", "as_of", "is_current", "parameters", "log_likelihood", "sample_size", "reason", "fitted_at")
    shown = {name: row[name] for name in names}
    likelihood = shown["log_likelihood"]
    return {**shown, "log_likelihood": None if likelihood is None else float(likelihood)}
