"""An organization, a registry of its own and a runner: the outbox without the rest of the service."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import text

from crm_api.audit.service import record
from crm_api.kit import clock
from crm_api.kit.db import Database, Row, Tenant, WriteSession, prepare
from crm_api.organizations.service import load_tenant
from crm_api.outbox import service
from crm_api.outbox.facts import Fact, Handler, Job, Registry, Subscriber
from crm_api.outbox.runner import Runner


class Ping(Fact):
    """Something happened, for tests."""

    number: int = 0
    poison: bool = False


class Ticked(Fact):
    """A schedule's time came, for tests."""

    occurrence: datetime


async def effect(session: WriteSession, job: Job) -> None:
    """What a handler does here: leave a row that can be counted."""
    record(session, "test.effect", "job", job.id)


@dataclass
class Desk:
    """One organization's outbox."""

    database: Database
    tenant: Tenant
    registry: Registry = field(default_factory=Registry)

    def subscribe(self, handle: Handler | None = effect, *, name: str = "tests.effect", **options: Any) -> None:
        """Add a subscriber to `Ping`."""
        self.registry.subscribe(Subscriber(name, (Ping,), handle=handle, **options))

    def runner(self, **options: Any) -> Runner:
        """A runner of this registry; one per pretended worker."""
        return Runner(self.database, self.load, self.registry, **{"retry_base_seconds": 100.0, **options})

    async def load(self, organization_id: UUID) -> Tenant | None:
        """The organization as it is now."""
        return await load_tenant(self.database.read(Tenant(organization_id, "live", "USD", "UTC", "en")))

    async def emit(self, *facts: Fact, **options: Any) -> None:
        """Record facts, in one transaction."""
        async with self.database.write(self.tenant) as session:
            for fact in facts or (Ping(),):
                service.emit(session, fact, registry=self.registry, **options)

    async def sql(self, query: str, **values: Any) -> list[Row]:
        """Rows of a statement under the organization."""
        async with self.database.write(self.tenant) as session:
            return await session.fetch(prepare(text(query)), **values)

    async def execute(self, query: str, **values: Any) -> int:
        """Run a statement under the organization."""
        async with self.database.write(self.tenant) as session:
            return await session.execute(prepare(text(query)), **values)

    async def jobs(self) -> list[Row]:
        """Every row of work, oldest first."""
        return await self.sql("SELECT * FROM jobs WHERE organization_id = :organization_id ORDER BY id")

    async def job(self) -> Row:
        """The only row of work."""
        (found,) = await self.jobs()
        return found

    async def states(self) -> list[str]:
        """States of all rows."""
        return [row["state"] for row in await self.jobs()]

    async def effects(self) -> int:
        """How many effects there are."""
        (row,) = await self.sql(
            "SELECT count(*) FROM audit_events WHERE organization_id = :organization_id AND action = 'test.effect'"
        )
        found: int = row[0]
        return found

    async def make_due(self, ago: float = 0.001) -> None:
        """Let the time of every unfinished row have come, as if one had waited."""
        due = clock.utc_now() - timedelta(seconds=ago)
        await self.execute(
            "UPDATE jobs SET due_at = :due WHERE organization_id = :organization_id "
            "AND state IN ('due', 'running', 'waiting')",
            due=due,
        )

    async def run(self, times: int = 1, **options: Any) -> Runner:
        """Run what is due, so many times, without waiting in between."""
        runner = self.runner(**options)
        for _ in range(times):
            await self.make_due()
            await runner.drain(self.tenant.id)
        return runner


async def no_transaction_is_open(database: Database) -> None:
    """Every connection of the pool is idle, outside a transaction, and there are no more than the pool has."""
    async with database.connection() as connection:
        found = await connection.fetch(
            "SELECT state FROM pg_stat_activity WHERE application_name = 'outbox tests' AND datname = current_database() "
            "AND pid <> pg_backend_pid()"
        )
    assert {row["state"] for row in found} <= {"idle"}
    assert len(found) < 8
