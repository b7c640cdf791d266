"""The stage of a run: Postgres and Valkey of its own, a live organization, its key, a connection, the data."""

from __future__ import annotations

import asyncio
import json
import shutil
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote, urlsplit, urlunsplit
from uuid import UUID

import asyncpg
import psutil

from benchmarks import dataset
from benchmarks.plan import Plan
from crm_api.bootstrap import COMMAND_LINE, make_organization
from crm_api.embedded import Embedded, start_blocking
from crm_api.kit.crypto import Vault, new_master_key
from crm_api.kit.db import SYSTEM, Database
from crm_api.migrate import migrate
from crm_api.organizations.service import load_tenant
from crm_api.payments.connections.schemas import ConnectionCreate
from crm_api.payments.connections.service import create_connection
from crm_api.scoring.service import rebuild

SERVICE_PASSWORD = "service-password-of-the-benchmarks"
WEBHOOK_SECRET = "whsec_of_the_benchmarks"


@dataclass(frozen=True, slots=True)
class Facts:
    """What is remembered of a loaded database."""

    contacts: int
    gifts: int
    secret_key: str
    organization_id: str
    api_key: str
    connection_id: str
    plain: bool = True
    """With the tables of the reference applications."""
    lean: bool = False
    """With what scoring reads, and no more."""


class Stage:
    """Everything a run stands on; a context manager that leaves nothing behind unless the folder was given. `plain`:
    with the tables of the reference applications too; `lean`: with what scoring reads, and no more."""

    def __init__(
        self, plan: Plan, data_dir: Path | None, say: dataset.Progress, *, plain: bool = True, lean: bool = False
    ) -> None:
        self.plan, self.say, self.plain, self.lean = plan, say, plain, lean
        self._kept = data_dir is not None
        self.folder = (data_dir or Path(tempfile.mkdtemp(prefix="crm-bench-"))).resolve()
        self.folder.mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o755)
        self.mail = self.folder / "mail"
        self.mail.mkdir(exist_ok=True)
        self.embedded: Embedded
        self.facts: Facts

    @property
    def owner_url(self) -> str:
        """The owner's connection; the reference applications use it too."""
        return self.embedded.runtime.owner_url

    @property
    def service_url(self) -> str:
        """The service role's connection."""
        parts = urlsplit(self.owner_url)
        host = parts.netloc.rpartition("@")[2]
        return urlunsplit(parts._replace(netloc=f"crm_app:{SERVICE_PASSWORD}@{host}"))

    @property
    def superuser_url(self) -> str:
        """The superuser's connection to the service's database."""
        database = self.owner_url.rpartition("/")[2]
        return f"{self.embedded.runtime.superuser_url.rpartition('/')[0]}/{database}"

    @property
    def redis_url(self) -> str:
        """Valkey."""
        return self.embedded.runtime.redis_url or ""

    @property
    def organization_id(self) -> UUID:
        """The live organization that holds the data."""
        return UUID(self.facts.organization_id)

    def __enter__(self) -> Self:
        self.say("Postgres and Valkey")
        self.embedded = start_blocking(self.folder / "services")
        try:
            self._prepare()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def _end(self) -> None:
        self.embedded.stop_blocking()
        if not self._kept:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _prepare(self) -> None:
        marker = self.folder / "loaded.json"
        if marker.exists():
            self.facts = Facts(**json.loads(marker.read_text()))
            size = (self.facts.contacts, self.facts.gifts) == (self.plan.contacts, self.plan.gifts)
            if size and (self.facts.plain or not self.plain) and self.facts.lean == self.lean:
                return
            raise SystemExit(f"{self.folder} holds other data; choose another folder or delete it.")
        self._tune()
        migrate(self.owner_url, self.service_url)
        self.facts = asyncio.run(self._organization())
        asyncio.run(self._load())
        marker.write_text(json.dumps(asdict(self.facts)))

    def _tune(self) -> None:
        """What any production installation sets: memory for the cache. Commits stay durable."""
        megabytes = min(1024, psutil.virtual_memory().total // 2**20 // 8)

        async def alter() -> None:
            connection = await asyncpg.connect(self.embedded.runtime.superuser_url)
            try:
                await connection.execute(f"ALTER SYSTEM SET shared_buffers = '{megabytes}MB'")
                await connection.execute("ALTER SYSTEM SET max_wal_size = '4GB'")
            finally:
                await connection.close()

        asyncio.run(alter())
        self.embedded.stop_blocking()
        self.embedded = start_blocking(self.folder / "services")

    async def _organization(self) -> Facts:
        secret_key = new_master_key()
        database = await Database.open(self.service_url, size=2)
        try:
            made = await make_organization(database, name="Benchmark Fund", mode="live")
            credentials: Any = {"webhook_secret": WEBHOOK_SECRET}
            async with database.write(made.tenant, COMMAND_LINE) as session:
                body = ConnectionCreate(provider="stripe", name="Benchmark", credentials=credentials)
                row = create_connection(session, Vault([secret_key]), body)
        finally:
            await database.close()
        return Facts(
            self.plan.contacts,
            self.plan.gifts,
            secret_key,
            str(made.id),
            made.api_key,
            str(row["id"]),
            self.plain,
            self.lean,
        )

    async def _load(self) -> None:
        await dataset.load(self.service_url, self.owner_url, self.organization_id, self.plan, self.say, lean=self.lean)
        self.say("scores of every donor")
        database = await Database.open(self.service_url, size=2)
        try:
            tenant = await load_tenant(database.read(_bare(self.organization_id)))
            assert tenant is not None
            async with database.write(tenant, SYSTEM) as session:
                await rebuild(session)
        finally:
            await database.close()
        if self.plain:
            await dataset.load_plain(self.owner_url, self.organization_id, self.say)
        self.say("checkpoint")  # else the disk is still busy with the loading when the clock starts
        admin = await asyncpg.connect(self.embedded.runtime.superuser_url)
        try:
            await admin.execute("CHECKPOINT")
        finally:
            await admin.close()

    def environment(self, port: int) -> dict[str, str]:
        """The environment of the service's processes: production, with a rate limit out of the way."""
        return {
            "CRM_ENVIRONMENT": "production",
            "CRM_PROCESSES": "2",
            "CRM_HOST": "127.0.0.1",
            "CRM_PORT": str(port),
            "CRM_PUBLIC_URL": "https://crm.example.org",
            "DATABASE_URL": self.service_url,
            "REDIS_URL": self.redis_url,
            "CRM_SECRET_KEYS": self.facts.secret_key,
            "CRM_MAIL_URL": f"file://{quote(str(self.mail))}",
            "CRM_RATE_LIMIT_PER_SECOND": "1000000",
            "CRM_RATE_LIMIT_BURST": "1000000",
        }


def _bare(organization_id: UUID) -> Any:
    from crm_api.kit.db import Tenant

    return Tenant(organization_id, "live", "USD", "UTC", "en")
