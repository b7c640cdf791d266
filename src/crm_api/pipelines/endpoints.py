"""HTTP of pipelines and stages."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated
from uuid import UUID

from fastapi import Response

from crm_api.idempotency.boundary import IfMatch, json_body, list_query, reads, router, writes
from crm_api.kit import simple
from crm_api.kit.db import ReadSession, WriteSession
from crm_api.kit.listing import Filter, ListQuery, read_page
from crm_api.kit.reply import created, reply
from crm_api.pipelines import service
from crm_api.pipelines.fields import PIPELINES, STAGES
from crm_api.pipelines.models import pipelines
from crm_api.pipelines.schemas import (
    PipelineCreate,
    PipelinePage,
    PipelinePatch,
    PipelineRead,
    StageCreate,
    StagePage,
    StageRead,
)

routes = router("pipelines")


@routes.post("/v1/pipelines", operation_id="pipelines_create", status_code=201, response_model=PipelineRead)
async def pipelines_create(
    session: Annotated[WriteSession, writes("pipelines:write")],
    body: Annotated[PipelineCreate, json_body(PipelineCreate)],
) -> Response:
    """Add a pipeline, with the stages given or those of moves management."""
    pipeline = service.create_pipeline(session, body)
    return created(pipeline, f"/v1/pipelines/{pipeline['id']}")


@routes.get("/v1/pipelines", operation_id="pipelines_list", response_model=PipelinePage)
async def pipelines_list(
    session: Annotated[ReadSession, reads("pipelines:read")], query: Annotated[ListQuery, list_query(PIPELINES)]
) -> Response:
    """List pipelines, newest first."""
    return await read_page(session, PIPELINES, query, service.to_summary)


@routes.get("/v1/pipelines/{pipeline_id}", operation_id="pipelines_get", response_model=PipelineRead)
async def pipelines_get(session: Annotated[ReadSession, reads("pipelines:read")], pipeline_id: UUID) -> Response:
    """One pipeline with its stages."""
    pipeline = await service.get_pipeline(session, pipeline_id)
    return reply(pipeline, version=pipeline["version"])


@routes.patch("/v1/pipelines/{pipeline_id}", operation_id="pipelines_update", response_model=PipelineRead)
async def pipelines_update(
    session: Annotated[WriteSession, writes("pipelines:write")],
    pipeline_id: UUID,
    body: Annotated[PipelinePatch, json_body(PipelinePatch, media_type="application/merge-patch+json")],
    expected: Annotated[int | None, IfMatch],
) -> Response:
    """Change a pipeline by JSON merge patch."""
    pipeline = await service.patch_pipeline(session, pipeline_id, body, expected=expected)
    return reply(pipeline, version=pipeline["version"])


@routes.post(
    "/v1/pipelines/{pipeline_id}/stages",
    operation_id="pipeline_stages_create",
    status_code=201,
    response_model=StageRead,
)
async def pipeline_stages_create(
    session: Annotated[WriteSession, writes("pipelines:write")],
    pipeline_id: UUID,
    body: Annotated[StageCreate, json_body(StageCreate)],
) -> Response:
    """Add a stage to a pipeline, at its end or at `position`."""
    stage = await service.add_stage(session, pipeline_id, body)
    return reply(stage, status=201)


@routes.get("/v1/pipelines/{pipeline_id}/stages", operation_id="pipeline_stages_list", response_model=StagePage)
async def pipeline_stages_list(
    session: Annotated[ReadSession, reads("pipelines:read")],
    pipeline_id: UUID,
    query: Annotated[ListQuery, list_query(STAGES)],
) -> Response:
    """List the stages of a pipeline in order."""
    await simple.get(session, pipelines, pipeline_id, "pipeline")
    own = Filter(STAGES.by_name["pipeline_id"], "eq", pipeline_id)
    return await read_page(session, STAGES, replace(query, filters=(*query.filters, own)), service.to_stage)
