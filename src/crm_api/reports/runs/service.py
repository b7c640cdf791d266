"""Verbs of kept runs: keep a report with its numbers, and say what the same question answers now.

A run holds sums, never donors' names: of reports that list donors it keeps how many there are and what they gave. So
nobody has to be taken out of it later.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import bindparam, select

from crm_api.audit.service import record
from crm_api.auth.rights import need
from crm_api.kit import body as bodies
from crm_api.kit.db import ReadSession, Row, RowLike, WriteSession, prepare
from crm_api.kit.ids import new_id
from crm_api.kit.limits import Limit
from crm_api.kit.problems import Invalid, NotFound
from crm_api.kit.reply import dumps
from crm_api.reports.runs.difference import differences
from crm_api.reports.runs.kinds import KINDS, Kind
from crm_api.reports.runs.models import report_runs
from crm_api.reports.runs.schemas import ReportRunCreate

MOST_CHANGES = 1_000
_GET = prepare(
    select(report_runs).where(
        report_runs.c.organization_id == bindparam("organization_id"), report_runs.c.id == bindparam("id")
    )
)
_ITEM = ("id", "report", "label", "parameters", "as_of", "created_at")
ITEM_COLUMNS = tuple(report_runs.c[name] for name in _ITEM)
_NO_NAMES = {"data": [], "has_more": False, "next_cursor": None}


def to_item(row: RowLike) -> dict[str, Any]:
    """A kept run in a list."""
    return {**{name: row[name] for name in _ITEM}, "state": "succeeded"}


def to_read(row: RowLike) -> dict[str, Any]:
    """A kept run with its numbers."""
    return {**to_item(row), "result": row["result"]}


def kind_of(name: str) -> Kind:
    """The report of that name, or 404."""
    if name not in KINDS:
        raise NotFound(f"There is no such report. There are: {', '.join(sorted(KINDS))}.")
    return KINDS[name]


async def keep(session: WriteSession, name: str, body: ReportRunCreate) -> dict[str, Any]:
    """Make a report now and keep it. Its defaults are kept as what they came to, so that the same is asked later."""
    kind = kind_of(name)
    if kind.also:
        need(session, kind.also)
    asked = _parse(kind, body.parameters)
    result = await _make(session, kind, asked)
    parameters = asked.model_dump(mode="json", by_alias=True)
    for parameter, member in kind.settled.items():
        parameters[parameter] = result[member]
    row = {
        "id": new_id(),
        "report": name,
        "label": body.label,
        "parameters": parameters,
        "as_of": date.fromisoformat(result.get("as_of") or result["to_date"]),
        "result": result,
        "actor_kind": session.actor.kind,
        "actor_id": session.actor.id,
        "created_at": session.now,
    }
    session.later(report_runs, **row)
    record(session, "report_run.kept", "report_run", row["id"])
    return to_read(row)


def _parse(kind: Kind, parameters: dict[str, Any]) -> Any:
    try:
        return bodies.parse_model(kind.parameters, orjson.dumps(parameters))
    except Invalid as error:
        errors = [one._replace(pointer=f"/parameters{one.pointer}") for one in error.errors]
        raise Invalid("The parameters cannot be read; see errors.", errors=errors) from None


async def _make(session: ReadSession, kind: Kind, asked: Any) -> dict[str, Any]:
    """The report's answer as JSON holds it, without names."""
    try:
        found = await kind.make(session, asked)
    except Invalid as error:
        errors = [
            one._replace(pointer=f"/parameters/{one.pointer[1:]}") if one.pointer.startswith("?") else one
            for one in error.errors
        ]
        raise Invalid(error.detail, errors=errors) from None
    if "data" in found:
        found = {**found, **{name: value for name, value in _NO_NAMES.items() if name in found}}
    content: dict[str, Any] = orjson.loads(dumps(found))
    return content


async def get_run(session: ReadSession, run_id: UUID) -> Row:
    """One kept run, or 404."""
    row = await session.fetch_row(_GET, id=run_id)
    if row is None:
        raise NotFound("There is no such kept run.")
    if KINDS[row["report"]].also:
        need(session, KINDS[row["report"]].also)
    return row


async def difference(session: ReadSession, run_id: UUID) -> dict[str, Any]:
    """What the same question answers now, against what was kept. Who sees a part when it was kept is asked again with
    that part, whoever looks."""
    row = await get_run(session, run_id)
    kind = KINDS[row["report"]]
    limit = Limit.stored(row["made_under"])
    same_eyes = ReadSession(session.database, session.tenant, replace(session.actor, limit=limit))
    now = await _make(same_eyes, kind, _parse(kind, row["parameters"]))
    found = differences(row["result"], now)
    return {
        "id": row["id"],
        "report": row["report"],
        "as_of": row["as_of"],
        "kept_at": row["created_at"],
        "compared_at": session.now,
        "same": not found,
        "changes": [
            {"path": list(one.path), "then": one.then, "now": one.now, "change": one.by} for one in found[:MOST_CHANGES]
        ],
        "omitted": max(0, len(found) - MOST_CHANGES),
    }
