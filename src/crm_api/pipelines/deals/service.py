"""Verbs of deals."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, select

from crm_api.audit.service import record
from crm_api.contacts.service import contact_to_name
from crm_api.kit import simple
from crm_api.kit.db import ReadSession, Row, WriteSession, prepare
from crm_api.kit.ids import new_id
from crm_api.kit.problems import Conflict, Invalid, NotFound
from crm_api.kit.schemas import money_or_none
from crm_api.kit.updates import check_version, update_row
from crm_api.outbox.service import emit
from crm_api.pipelines.deals.models import deal_moves, deals
from crm_api.pipelines.deals.schemas import DealCreate, DealPatch
from crm_api.pipelines.facts import DealMoved
from crm_api.pipelines.models import pipeline_stages, pipelines

_ORG: Any = bindparam("organization_id")
_READ = (
    "id", "pipeline_id", "stage_id", "contact_id", "title", "expected_on", "owner_member_id", "status",
    "entered_stage_at", "closed_at", "version", "created_at", "updated_at",
)  # fmt: skip
_MOVE = ("id", "deal_id", "from_stage_id", "to_stage_id", "moved_at", "actor_kind", "actor_id")
_PIPELINE = prepare(
    select(pipelines.c.status).where(pipelines.c.organization_id == _ORG, pipelines.c.id == bindparam("id"))
)
_STAGE = prepare(
    select(pipeline_stages).where(pipeline_stages.c.organization_id == _ORG, pipeline_stages.c.id == bindparam("id"))
)
_FIRST_STAGE = prepare(
    select(pipeline_stages)
    .where(
        pipeline_stages.c.organization_id == _ORG,
        pipeline_stages.c.pipeline_id == bindparam("pipeline_id"),
        pipeline_stages.c.outcome == "open",
    )
    .order_by(pipeline_stages.c.position, pipeline_stages.c.id)
    .limit(1)
)
_LOCK = prepare(
    select(deals).where(deals.c.organization_id == _ORG, deals.c.id == bindparam("id")).with_for_update(key_share=True)
)


def to_read(row: Row | Mapping[str, Any]) -> dict[str, Any]:
    """A deal as the API shows it."""
    deal = {name: row[name] for name in _READ}
    deal["amount"] = money_or_none(row["amount"], row["currency"])
    return deal


def to_move(row: Row | Mapping[str, Any]) -> dict[str, Any]:
    """A move as the API shows it."""
    return {name: row[name] for name in _MOVE}


async def create_deal(session: WriteSession, body: DealCreate) -> dict[str, Any]:
    """Add a deal to a pipeline, in the stage given or the first open one."""
    stage = await _first_stage(session, body)
    row = simple.add(
        session,
        deals,
        {
            **await _named(session, body.stored()),
            "stage_id": stage["id"],
            "status": stage["outcome"],
            "entered_stage_at": session.now,
            "closed_at": None if stage["outcome"] == "open" else session.now,
        },
    )
    record(session, "deal.created", "deal", row["id"])
    _note_move(session, row["id"], None, stage["id"])
    return to_read(row)


async def _named(session: WriteSession, values: dict[str, Any]) -> dict[str, Any]:
    """The values with the contact that is meant today: nobody else would follow a merge for the deal."""
    if values.get("contact_id") is None:
        return values
    return {**values, "contact_id": await contact_to_name(session, values["contact_id"])}


async def _first_stage(session: WriteSession, body: DealCreate) -> Row:
    status = await session.fetch_val(_PIPELINE, id=body.pipeline_id)
    if status is None:
        raise NotFound.reference("pipeline_id")
    if status != "active":
        raise Conflict("The pipeline is archived; make it active again to add deals.", code="pipeline_archived")
    if body.stage_id is not None:
        return await _stage(session, body.pipeline_id, body.stage_id)
    row = await session.fetch_row(_FIRST_STAGE, pipeline_id=body.pipeline_id)
    if row is None:
        raise Conflict("The pipeline has no open stage; add one.", code="no_open_stage")
    return row


async def _stage(session: ReadSession, pipeline_id: UUID, stage_id: UUID) -> Row:
    row = await session.fetch_row(_STAGE, id=stage_id)
    if row is None:
        raise NotFound.reference("stage_id")
    if row["pipeline_id"] != pipeline_id:
        raise Invalid.at("/stage_id", "stage_not_in_pipeline", "stage_id must name a stage of the deal's pipeline.")
    return row


def _note_move(session: WriteSession, deal_id: UUID, from_stage_id: UUID | None, to_stage_id: UUID) -> None:
    session.later(
        deal_moves,
        id=new_id(),
        deal_id=deal_id,
        from_stage_id=from_stage_id,
        to_stage_id=to_stage_id,
        moved_at=session.now,
        actor_kind=session.actor.kind,
        actor_id=session.actor.id,
    )
    emit(session, DealMoved(deal_id=deal_id, from_stage_id=from_stage_id, to_stage_id=to_stage_id))


async def get_deal(session: ReadSession, deal_id: UUID) -> dict[str, Any]:
    """One deal, or 404."""
    return to_read(await simple.get(session, deals, deal_id, "deal"))


async def patch_deal(session: WriteSession, deal_id: UUID, body: DealPatch, *, expected: int | None) -> dict[str, Any]:
    """Change what a deal says; its stage only changes by moving it."""
    changes = body.stored()
    if not changes:
        row = await simple.get(session, deals, deal_id, "deal")
        check_version(row["version"], expected)
        return to_read(row)
    changes = await _named(session, changes)
    row = await update_row(session, deals, deal_id, changes, expected=expected)
    record(session, "deal.updated", "deal", deal_id, fields=body.model_fields_set)
    return to_read(row)


async def move_deal(session: WriteSession, deal_id: UUID, stage_id: UUID, *, expected: int | None) -> dict[str, Any]:
    """Move a deal to a stage of its own pipeline; to where it is already, nothing happens."""
    row = await session.fetch_row(_LOCK, id=deal_id)
    if row is None:
        raise NotFound("There is no such deal.")
    check_version(row["version"], expected)
    if row["stage_id"] == stage_id:
        return to_read(row)
    stage = await _stage(session, row["pipeline_id"], stage_id)
    closed_at = None
    if stage["outcome"] != "open":
        closed_at = row["closed_at"] if row["status"] == stage["outcome"] else session.now
    changes = {
        "stage_id": stage_id,
        "status": stage["outcome"],
        "entered_stage_at": session.now,
        "closed_at": closed_at,
    }
    after = await update_row(session, deals, deal_id, changes, expected=None)
    record(session, "deal.moved", "deal", deal_id, fields=["stage_id"])
    _note_move(session, deal_id, row["stage_id"], stage_id)
    return to_read(after)
