"""A worker as a process of its own, for one organization, with chunks so small that it can be killed between them.

`python -m tests.transfers.worker_process <database url> <files url> <organization>`
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any
from uuid import UUID

from crm_api.kit import log
from crm_api.transfers.imports import work
from crm_api.worker import Worker, run_worker
from tests.support.settings import make_settings


class OneOrganization(Worker):
    """A worker that looks after one organization: the others are other tests'."""

    async def _due(self) -> dict[UUID, bool]:
        only = UUID(sys.argv[3])
        return {only: False} if only in await super()._due() else {}


async def _main() -> None:
    original = work._Run._chunk

    async def slowly(self: Any, parsed: Any, progress: int) -> None:
        await original(self, parsed, progress)
        await asyncio.sleep(0.03)

    work.CHUNK = 20
    work._Run._chunk = slowly  # type: ignore[method-assign]
    mail = Path(sys.argv[2].removeprefix("file://"))
    settings = make_settings(
        sys.argv[1], mail, files_url=sys.argv[2], job_lease_seconds=1.0, sweep_seconds=0.1, job_retry_base_seconds=0.05
    )
    await run_worker(settings, kind=OneOrganization)


if __name__ == "__main__":
    log.configure(level="WARNING")
    asyncio.run(_main())
