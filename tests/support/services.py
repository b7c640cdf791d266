"""Starting Postgres and Valkey for a run, and a database for a test process."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from crm_api.embedded import Embedded, start_blocking, stop_blocking
from crm_api.migrate import migrate

TEMPLATE = "crm_template"
PASSWORD = "service-password-of-the-tests"


def _with_database(url: str, name: str) -> str:
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))


def as_service(url: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=f"crm_app:{PASSWORD}@{parts.netloc.rpartition('@')[2]}"))


@dataclass(frozen=True)
class Services:
    """Where the run's services are."""

    owner_url: str
    """The owner, connected to the cluster's first database."""
    redis_url: str
    embedded: Embedded | None = field(default=None, compare=False)

    def as_json(self) -> str:
        """For the environment of test processes."""
        return json.dumps({"owner_url": self.owner_url, "redis_url": self.redis_url})

    @staticmethod
    def from_json(text: str) -> Services:
        """The other way."""
        return Services(**json.loads(text))

    def owner_url_of(self, database_url: str) -> str:
        """The owner's URL of the database another URL names."""
        return _with_database(self.owner_url, urlsplit(database_url).path.strip("/"))

    def stop(self) -> None:
        """Stop both."""
        if self.embedded is not None:
            stop_blocking(self.embedded)


async def _execute(url: str, *statements: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


def prepare_services(folder: Path, **options: Any) -> Services:
    """Start Postgres and Valkey and migrate a template database."""
    embedded = start_blocking(folder / "services", durable=False, **options)
    owner_url = embedded.runtime.owner_url
    asyncio.run(_execute(owner_url, f"CREATE DATABASE {TEMPLATE}"))
    template_url = _with_database(owner_url, TEMPLATE)
    migrate(template_url, as_service(template_url))
    return Services(owner_url, embedded.runtime.redis_url or "", embedded)


@contextlib.contextmanager
def process_database(services: Services, name: str) -> Iterator[str]:
    """A copy of the template for one test process; the service role's URL."""
    database = f"test_{name}"
    asyncio.run(
        _execute(
            services.owner_url,
            f"DROP DATABASE IF EXISTS {database} WITH (FORCE)",
            f"CREATE DATABASE {database} TEMPLATE {TEMPLATE}",
        )
    )
    yield as_service(_with_database(services.owner_url, database))
    # Dropping it is left to the end of the whole cluster: an autovacuum worker in it may not be ended by the owner.
