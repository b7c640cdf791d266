"""HTTP of background work."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from fastapi import Response

from crm_api.audit.service import record
from crm_api.idempotency.boundary import list_query, reads, router, writes
from crm_api.kit.db import ReadSession, Row, WriteSession
from crm_api.kit.listing import ListQuery, read_page
from crm_api.kit.reply import reply
from crm_api.outbox import service
from crm_api.outbox.fields import JOBS
from crm_api.outbox.schemas import JobPage, JobRead

routes = router("jobs")
_READ = tuple(JobRead.model_fields)


def _read(row: Row) -> dict[str, Any]:
    return {**{name: row[name] for name in _READ}, **service.job_times(row)}


@routes.get("/v1/jobs", operation_id="jobs_list", response_model=JobPage)
async def jobs_list(
    session: Annotated[ReadSession, reads("jobs:read")], query: Annotated[ListQuery, list_query(JOBS)]
) -> Response:
    """List background work, newest first; `state=dead` is what needs a person."""
    return await read_page(session, JOBS, query, _read)


@routes.get("/v1/jobs/{job_id}", operation_id="jobs_get", response_model=JobRead)
async def jobs_get(session: Annotated[ReadSession, reads("jobs:read")], job_id: UUID) -> Response:
    """One job."""
    return reply(_read(await service.get_job(session, job_id)))


@routes.post("/v1/jobs/{job_id}/retry", operation_id="jobs_retry", response_model=JobRead)
async def jobs_retry(session: Annotated[WriteSession, writes("jobs:write")], job_id: UUID) -> Response:
    """Make a dead, waiting or backed-off job due now, with fresh attempts."""
    row = await service.retry_job(session, job_id)
    record(session, "job.retried", "job", job_id)
    return reply(_read(row))
