"""Health and metrics, without authentication and without a word about anybody's data."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from fastapi import FastAPI, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from sqlalchemy import text

from crm_api.idempotency.boundary import services
from crm_api.kit import clock
from crm_api.kit.db import prepare
from crm_api.kit.problems import Unavailable
from crm_api.kit.reply import reply
from crm_api.kit.schemas import Output

_BACKLOG = prepare(text("SELECT count(*) FROM crm_due_organizations(:before, 0, 100)"))
_ALARMS = prepare(text("SELECT crm_ledger_alarms()"))
_STALE = timedelta(minutes=5)
_BOOKS = "the nightly proof found books that disagree with their gifts: see GET /v1/ledger/proofs"


class Health(Output):
    """Whether the service can work, and why not."""

    status: str
    checks: dict[str, str]


def add_health(app: FastAPI) -> None:
    """`/health/live`, `/health/ready`, `/metrics`."""

    @app.get("/health/live", operation_id="health_live", tags=["health"], response_model=Health)
    async def health_live() -> Response:
        """The process answers."""
        return reply({"status": "ok", "checks": {}})

    @app.get(
        "/health/ready",
        operation_id="health_ready",
        tags=["health"],
        response_model=Health,
        responses={503: {"model": Health, "description": "Not ready; `checks` say why"}},
    )
    async def health_ready(request: Request) -> Response:
        """Whether the database answers; `degraded` when background work is late or books do not balance."""
        checks: dict[str, str] = {}
        try:
            async with asyncio.timeout(3), services(request).database.connection() as connection:
                late = await connection.fetchval(_BACKLOG.sql, clock.utc_now() - _STALE)
                alarms = await connection.fetchval(_ALARMS.sql)
            checks["database"] = "ok"
            # Said, but not a reason to take the API out of service: webhooks must still be stored.
            checks["worker"] = "ok" if not late else "work is more than 5 minutes late: is a worker running?"
            checks["books"] = "ok" if not alarms else _BOOKS
        except (Unavailable, TimeoutError):
            checks["database"] = "cannot be reached"
        ready = checks["database"] == "ok"
        status = "unready" if not ready else "ok" if set(checks.values()) == {"ok"} else "degraded"
        return reply({"status": status, "checks": checks}, status=200 if ready else 503)

    @app.get(
        "/metrics",
        operation_id="metrics",
        tags=["health"],
        response_class=Response,
        responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}, "description": "Prometheus text"}},
    )
    async def metrics() -> Response:
        """Prometheus metrics of this process."""
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)
