"""The doorbell: after a commit, tell the workers through arq that an organization has work.

Best effort by design. An organization has one bell: it rings or it does not, so rings of one moment, and those that no
worker is there to hear, are one. When Redis is away they are dropped, and the workers' sweep finds the rows.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any
from uuid import UUID

from crm_api.kit import clock
from crm_api.kit.log import get_logger
from crm_api.kit.metrics import DOORBELL
from crm_api.outbox import service

log = get_logger("crm_api.doorbell")
QUEUE = "crm:doorbell"
JOB = "look"
_PREFIX = "look:"
_GATHER_SECONDS = 0.005
_SEND_SECONDS = 2.0
_PAUSE_AFTER_FAILURE = 1.0


class Doorbell:
    """Rings arq from one process."""

    def __init__(self, redis_url: str) -> None:
        self._redis_url = redis_url
        self._pool: Any = None
        self._waiting: set[UUID] = set()
        self._task: asyncio.Task[None] | None = None
        self._quiet_until = 0.0

    def install(self) -> None:
        """Make `emit` ring this doorbell."""
        service.set_doorbell(self.ring if self._redis_url else None)

    def ring(self, organization_id: UUID) -> None:
        """Ring for an organization; returns at once."""
        self._waiting.add(organization_id)
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._send())

    async def _send(self) -> None:
        while self._waiting:
            waiting, self._waiting = self._waiting, set()
            if clock.monotonic() < self._quiet_until:
                DOORBELL.labels("skipped").inc()
                return
            try:
                async with asyncio.timeout(_SEND_SECONDS):
                    pool = await self._connected()
                    for one in waiting:
                        await pool.enqueue_job(JOB, _job_id=f"{_PREFIX}{one}", _queue_name=QUEUE)
                DOORBELL.labels("rung").inc(len(waiting))
            except Exception as error:
                DOORBELL.labels("lost").inc()
                self._quiet_until = clock.monotonic() + _PAUSE_AFTER_FAILURE
                log.warning("doorbell_lost", error=type(error).__name__)
                return
            await asyncio.sleep(_GATHER_SECONDS)

    async def _connected(self) -> Any:
        if self._pool is None:
            from arq import create_pool

            self._pool = await create_pool(
                redis_settings(self._redis_url, retries=0),
                default_queue_name=QUEUE,
                job_serializer=serialize,
                job_deserializer=deserialize,
            )
        return self._pool

    async def close(self) -> None:
        """Send what waits and disconnect."""
        service.set_doorbell(None)
        with contextlib.suppress(Exception):
            async with asyncio.timeout(1):
                if self._task is not None:
                    await asyncio.wait([self._task])
                if self._pool is not None:
                    await self._pool.aclose(close_connection_pool=True)


def organization_of(job_id: str) -> UUID:
    """Whose bell rang; `ValueError` when it was none of ours."""
    return UUID(job_id.removeprefix(_PREFIX))


def serialize(value: dict[str, Any]) -> bytes:
    """JSON, never pickle: whoever can write to Redis must not be able to run code."""
    import orjson

    return orjson.dumps(value, default=str)


def deserialize(raw: bytes) -> dict[str, Any]:
    """The other way."""
    import orjson

    found: dict[str, Any] = orjson.loads(raw)
    return found


def redis_settings(url: str, *, retries: int) -> Any:
    """arq's settings for a Redis URL, with short waits."""
    from arq.connections import RedisSettings

    settings = RedisSettings.from_dsn(url)
    settings.conn_timeout = 1
    settings.conn_retries = retries
    settings.conn_retry_delay = 1
    return settings
