"""Everything as real processes: Postgres, Valkey, API and workers, to be killed, stopped and started by a test.

A supervisor starts again what ends, as systemd or Kubernetes would.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import httpx

import crm_api
from crm_api.bootstrap import make_organization
from crm_api.embedded import Embedded, start
from crm_api.embedded.process import free_port
from crm_api.kit import clock
from crm_api.kit.db import Database
from crm_api.migrate import migrate
from tests.support.children import Forked
from tests.support.services import as_service
from tests.support.settings import SECRET_KEY
from tests.support.world import STRIPE_SECRET

SOURCE = Path(crm_api.__file__).parents[1]


@dataclass
class Child:
    """A process of ours that is kept running."""

    name: str
    environment: dict[str, str]
    log: Path
    process: Forked | None = None
    wanted: bool = True
    starts: int = 0

    def start(self) -> None:
        """Start it."""
        self.process = Forked("crm_api.cli", self.name, environment=self.environment, log=self.log)
        self.starts += 1

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self.process is not None
        return self.process.pid

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self.process is not None and self.process.poll() is None

    def signal(self, number: signal.Signals) -> None:
        """Send a signal, if it runs."""
        if self.alive and self.process is not None:
            self.process.send_signal(number)

    async def ended(self, seconds: float = 20) -> int:
        """Wait for its end; the exit status."""
        assert self.process is not None
        deadline = clock.monotonic() + seconds
        while self.process.poll() is None:
            assert clock.monotonic() < deadline, f"{self.name} did not end within {seconds} s; see {self.log}"
            await asyncio.sleep(0.02)
        return int(self.process.returncode or 0)


@dataclass
class Cluster:
    """Running services and processes with one organization."""

    folder: Path
    embedded: Embedded
    database_url: str
    base_url: str
    organization_id: UUID
    api_key: str
    api: Child
    workers: list[Child]
    client: httpx.AsyncClient
    superuser_url: str
    supervised: bool = True
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)

    @property
    def mail(self) -> Path:
        """Where letters are written."""
        return self.folder / "mail"

    @property
    def children(self) -> list[Child]:
        """Every process of ours."""
        return [self.api, *self.workers]

    async def supervise(self) -> None:
        """Start again what has ended."""
        while True:
            for child in self.children:
                if self.supervised and child.wanted and not child.alive:
                    child.start()
            await asyncio.sleep(0.05)

    async def ready(self, seconds: float = 60) -> None:
        """Return when the API answers."""
        deadline = clock.monotonic() + seconds
        while True:
            with contextlib.suppress(httpx.HTTPError):
                if (await self.client.get("/health/live")).status_code == 200:
                    return
            assert clock.monotonic() < deadline, f"the API does not answer: {self.log_tail(self.api)}"
            await asyncio.sleep(0.05)

    def log_tail(self, child: Child, size: int = 3000) -> str:
        """The last of what a process said."""
        return child.log.read_bytes()[-size:].decode(errors="replace") if child.log.exists() else ""

    async def sql(self, query: str, *values: Any) -> list[asyncpg.Record]:
        """Ask the cluster's database as its superuser, whom row-level security does not hold."""
        connection = await asyncpg.connect(self.superuser_url)
        try:
            found: list[asyncpg.Record] = await connection.fetch(query, *values)
        finally:
            await connection.close()
        return found

    async def stop(self) -> None:
        """End everything."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for child in self.children:
            child.wanted = False
            child.signal(signal.SIGCONT)
            child.signal(signal.SIGTERM)
        for child in self.children:
            if child.process is not None:
                with contextlib.suppress(AssertionError):
                    await child.ended(15)
                if child.alive:
                    child.process.kill()
                child.process.wait()
        await self.client.aclose()
        await self.embedded.stop()


def environment(database_url: str, redis_url: str, mail: Path, port: int, **changes: str) -> dict[str, str]:
    """What a process of the service needs to know, and nothing of the person's own settings."""
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith(("CRM_", "DATABASE_", "REDIS_"))
    }
    return {
        **inherited,
        "PYTHONPATH": str(SOURCE),
        "CRM_ENVIRONMENT": "test",
        "DATABASE_URL": database_url,
        "REDIS_URL": redis_url,
        "CRM_SECRET_KEYS": SECRET_KEY,
        "CRM_HOST": "127.0.0.1",
        "CRM_PORT": str(port),
        "CRM_PUBLIC_URL": f"http://127.0.0.1:{port}",
        "CRM_MAIL_URL": f"file://{mail}",
        "CRM_JOB_LEASE_SECONDS": "2",
        "CRM_JOB_RETRY_BASE_SECONDS": "0.2",
        "CRM_RATE_LIMIT_PER_SECOND": "100000",
        "CRM_RATE_LIMIT_BURST": "100000",
        "CRM_LOG_LEVEL": "WARNING",
        "CRM_ACCESS_LOG": "false",
        **changes,
    }


@asynccontextmanager
async def running_cluster(
    folder: Path, *, workers: int = 1, durable: bool = True, **changes: str
) -> AsyncIterator[Cluster]:
    """Start everything with one test organization; end everything."""
    embedded = await start(folder / "services", durable=durable)
    runtime = embedded.runtime
    database_url = as_service(runtime.owner_url)
    mail = folder / "mail"
    mail.mkdir()
    port = free_port()
    shared = environment(database_url, runtime.redis_url or "", mail, port, **changes)
    try:
        await asyncio.to_thread(migrate, runtime.owner_url, database_url)
        database = await Database.open(database_url, size=2)
        made = await make_organization(database, name="Storm Fund", mode="test")
        await database.close()
        superuser = runtime.superuser_url.rpartition("/")[0] + "/" + runtime.owner_url.rpartition("/")[2]
        cluster = Cluster(
            folder=folder,
            embedded=embedded,
            database_url=database_url,
            base_url=f"http://127.0.0.1:{port}",
            organization_id=made.id,
            api_key=made.api_key,
            api=Child("serve", shared, folder / "api.log"),
            workers=[Child("worker", shared, folder / f"worker{number}.log") for number in range(workers)],
            client=httpx.AsyncClient(
                base_url=f"http://127.0.0.1:{port}",
                headers={"Authorization": f"Bearer {made.api_key}"},
                trust_env=False,
                timeout=20,
            ),
            superuser_url=superuser,
        )
    except BaseException:
        await embedded.stop()
        raise
    try:
        for child in cluster.children:
            child.start()
        cluster._tasks.append(asyncio.create_task(cluster.supervise()))
        await cluster.ready()
        yield cluster
    finally:
        await cluster.stop()


async def stripe_connection(cluster: Cluster) -> str:
    """The id of a Stripe connection in the cluster's organization."""
    body = {"provider": "stripe", "name": "Main", "credentials": {"webhook_secret": STRIPE_SECRET}}
    answer = await cluster.client.post("/v1/payment-connections", json=body)
    assert answer.status_code == 201, answer.text
    found: str = answer.json()["id"]
    return found
