"""A worker as a process of its own, for one organization, with handlers that misbehave.

`python -m tests.outbox.worker_process <database url> <folder> <lease seconds> <organization>`

What a handler does is said by the job's `number`: 0 leaves an effect, 1 ends the process at once, 2 is an outside call
that takes a second, 3 leaves an effect and sleeps inside its transaction, 4 never yields.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from crm_api.kit import log
from crm_api.kit.db import Tenant, WriteSession
from crm_api.outbox.facts import Job, Registry, Subscriber
from crm_api.outbox.runner import Runner
from crm_api.worker import Worker, run_worker
from tests.outbox.desk import Ping, effect
from tests.support.settings import make_settings

FOLDER = Path(sys.argv[2]) if len(sys.argv) > 2 else Path()


def note(words: str) -> None:
    """Tell the test."""
    (FOLDER / f"{words}-{os.getpid()}").touch()


async def handle(session: WriteSession, job: Job) -> None:
    """Inside the transaction."""
    number = job.payload["number"]
    if number == 1:
        note("died")
        os._exit(9)
    await effect(session, job)
    await session.flush()
    if number == 3:
        note("inside")
        await asyncio.sleep(1)
    if number == 4:
        note("stuck")
        time.sleep(60)


async def outside(runner: Runner, tenant: Tenant, job: Job) -> None:
    """Without a transaction."""
    note("outside")
    await asyncio.sleep(1)
    async with runner.write(tenant) as session:
        await runner.finish(session, job)
        await effect(session, job)


def registry() -> Registry:
    """Its subscribers."""
    made, limit = Registry(), timedelta(seconds=2)
    kinds: dict[str, dict[str, Any]] = {"inside": {"handle": handle}, "outside": {"outside": outside}}
    for name, options in kinds.items():
        wants = lambda fact, is_outside=name == "outside": (fact.number == 2) == is_outside  # noqa: E731
        made.subscribe(Subscriber(f"tests.{name}", (Ping,), wants=wants, max_attempts=3, timeout=limit, **options))
    return made


class OneOrganization(Worker):
    """A worker that looks after one organization: the others are other tests'."""

    async def _due(self) -> dict[UUID, bool]:
        only = UUID(sys.argv[4])
        return {only: False} if only in await super()._due() else {}


async def _main() -> None:
    settings = make_settings(
        sys.argv[1], FOLDER, job_lease_seconds=float(sys.argv[3]), sweep_seconds=0.1, job_retry_base_seconds=0.05
    )
    await run_worker(settings, registry=registry(), kind=OneOrganization, ready=lambda: note("ready"))


if __name__ == "__main__":
    log.configure(level="WARNING")
    asyncio.run(_main())
