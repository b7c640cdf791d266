"""Verbs of pipelines and stages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, select, text

from crm_api.audit.service import record
from crm_api.kit import simple
from crm_api.kit.db import ReadSession, Row, WriteSession, prepare
from crm_api.kit.ids import new_id
from crm_api.kit.problems import Conflict
from crm_api.kit.updates import check_version, update_row
from crm_api.pipelines.models import pipeline_stages, pipelines
from crm_api.pipelines.schemas import MAX_STAGES, PipelineCreate, PipelinePatch, StageCreate, StageNew

_ORG: Any = bindparam("organization_id")
_SUMMARY = ("id", "name", "kind", "status", "version", "created_at", "updated_at")
_STAGE = ("id", "pipeline_id", "name", "position", "outcome", "probability", "created_at")
_STAGES = prepare(
    select(pipeline_stages)
    .where(pipeline_stages.c.organization_id == _ORG, pipeline_stages.c.pipeline_id == bindparam("pipeline_id"))
    .order_by(pipeline_stages.c.position, pipeline_stages.c.id)
)
_SHIFT = prepare(
    text(
        "UPDATE pipeline_stages SET position = position + 1 "
        "WHERE organization_id = :organization_id AND pipeline_id = :pipeline_id AND position >= :position"
    )
)

DEFAULT_STAGES = (
    StageNew(name="Identify", probability=5),
    StageNew(name="Qualify", probability=10),
    StageNew(name="Cultivate", probability=25),
    StageNew(name="Solicit", probability=50),
    StageNew(name="Steward", outcome="won"),
    StageNew(name="Lost", outcome="lost"),
)
"""Moves management: the planned steps toward an ask, and the two ways it ends."""


def to_summary(row: Row | Mapping[str, Any]) -> dict[str, Any]:
    """A pipeline as lists show it."""
    return {name: row[name] for name in _SUMMARY}


def to_stage(row: Row | Mapping[str, Any]) -> dict[str, Any]:
    """A stage as the API shows it."""
    return {name: row[name] for name in _STAGE}


def create_pipeline(session: WriteSession, body: PipelineCreate) -> dict[str, Any]:
    """Add a pipeline with its stages."""
    row = simple.add(session, pipelines, {"name": body.name, "kind": body.kind, "status": "active"})
    stages = [
        _add_stage(session, row["id"], stage, position)
        for position, stage in enumerate(body.stages if body.stages is not None else DEFAULT_STAGES)
    ]
    record(session, "pipeline.created", "pipeline", row["id"])
    return {**to_summary(row), "stages": stages}


def _add_stage(session: WriteSession, pipeline_id: UUID, stage: StageNew, position: int) -> dict[str, Any]:
    row = {
        "id": new_id(),
        "pipeline_id": pipeline_id,
        "name": stage.name,
        "position": position,
        "outcome": stage.outcome,
        "probability": stage.chance(),
        "created_at": session.now,
    }
    session.later(pipeline_stages, **row)
    return to_stage(row)


async def stages_of(session: ReadSession, pipeline_id: UUID) -> list[dict[str, Any]]:
    """The stages of a pipeline, in order."""
    return [to_stage(row) for row in await session.fetch(_STAGES, pipeline_id=pipeline_id)]


async def get_pipeline(session: ReadSession, pipeline_id: UUID) -> dict[str, Any]:
    """One pipeline with its stages, or 404."""
    row = await simple.get(session, pipelines, pipeline_id, "pipeline")
    return {**to_summary(row), "stages": await stages_of(session, pipeline_id)}


async def patch_pipeline(
    session: WriteSession, pipeline_id: UUID, body: PipelinePatch, *, expected: int | None
) -> dict[str, Any]:
    """Change a pipeline."""
    if not body.model_fields_set:
        pipeline = await get_pipeline(session, pipeline_id)
        check_version(pipeline["version"], expected)
        return pipeline
    row = await simple.patch(session, pipelines, pipeline_id, body, expected=expected)
    record(session, "pipeline.updated", "pipeline", pipeline_id, fields=body.model_fields_set)
    return {**to_summary(row), "stages": await stages_of(session, pipeline_id)}


async def add_stage(session: WriteSession, pipeline_id: UUID, body: StageCreate) -> dict[str, Any]:
    """Add a stage to a pipeline; the pipeline gets a new version, and its row is the lock over positions."""
    await update_row(session, pipelines, pipeline_id, {}, expected=None)
    count = len(await stages_of(session, pipeline_id))
    if count >= MAX_STAGES:
        raise Conflict(f"A pipeline has at most {MAX_STAGES} stages.", code="too_many_stages")
    position = count if body.position is None else min(body.position, count)
    if position < count:
        await session.execute(_SHIFT, pipeline_id=pipeline_id, position=position)
    stage = _add_stage(session, pipeline_id, body, position)
    record(session, "pipeline.stage_added", "pipeline", pipeline_id)
    return stage
