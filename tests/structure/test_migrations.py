"""Migrations bring an empty database to the models' schema, on the newest Postgres and on the oldest we support."""

from __future__ import annotations

import asyncio
import multiprocessing
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest
from alembic import command
from sqlalchemy import Connection, pool, text
from sqlalchemy.ext.asyncio import create_async_engine

from crm_api import migrate
from tests.structure.catalogue import read_catalogue
from tests.support.donors import forget, rebuild, summaries
from tests.support.services import Services, as_service, prepare_services
from tests.support.world import open_world
from tests.test_walk import test_a_first_gift_brings_a_contact_a_status_and_one_welcome as the_walk

MIGRATION_LOCK = 4_201_972_001


_NUMBERS = count()


@asynccontextmanager
async def empty_database(services: Services, name: str) -> AsyncIterator[str]:
    """The owner's URL of a database with nothing in it."""
    owner = await asyncpg.connect(services.owner_url)
    name = f"{name}_{next(_NUMBERS)}"
    await owner.execute(f"CREATE DATABASE {name}")
    try:
        yield urlunsplit(urlsplit(services.owner_url)._replace(path=f"/{name}"))
    finally:
        with suppress(asyncpg.InsufficientPrivilegeError):  # an autovacuum worker is in it: the cluster's end will do
            await owner.execute(f"DROP DATABASE {name} WITH (FORCE)")
        await owner.close()


@pytest.fixture
async def empty(services: Services, worker_id: str) -> AsyncIterator[str]:
    """An empty database of this test."""
    async with empty_database(services, f"empty_{worker_id}") as url:
        yield url


async def test_an_empty_database_becomes_the_models_schema(empty: str) -> None:
    """Twice, since a deployment repeats it; then nothing is left for another revision to do."""
    for _ in range(2):
        await asyncio.to_thread(migrate.migrate, empty, as_service(empty))
    await asyncio.to_thread(migrate.check, empty)


async def test_a_database_that_is_behind_is_noticed(empty: str) -> None:
    await asyncio.to_thread(migrate.upgrade, empty)
    owner = await asyncpg.connect(empty)
    await owner.execute("ALTER TABLE contacts DROP COLUMN source; DROP INDEX ix_gifts__received")
    await owner.close()
    with pytest.raises(Exception, match="source"):
        await asyncio.to_thread(migrate.check, empty)


def _migrate_in_a_process(url: str) -> None:
    migrate.migrate(url, as_service(url))


async def test_several_hosts_migrate_at_once(empty: str) -> None:
    """One does it, the others wait for it, however long it takes: the short lock timeout is not for them."""
    busy = await asyncpg.connect(empty)
    await busy.execute(f"SELECT pg_advisory_lock({MIGRATION_LOCK})")
    hosts = [multiprocessing.get_context("fork").Process(target=_migrate_in_a_process, args=(empty,)) for _ in range(2)]
    for host in hosts:
        host.start()
    await asyncio.sleep(5.5)
    assert all(host.is_alive() for host in hosts)
    await busy.close()
    for host in hosts:
        await asyncio.to_thread(host.join, 60)
    assert [host.exitcode for host in hosts] == [0, 0]
    await asyncio.to_thread(migrate.check, empty)


async def test_migrations_do_not_wait_long_for_a_lock(empty: str) -> None:
    """Or a forgotten transaction would hold up every request behind the waiting migration."""
    engine = create_async_engine(migrate.async_url(empty), poolclass=pool.NullPool)
    seen = []

    def run(connection: Connection) -> None:
        config: Any = migrate._config(empty)
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        seen.append(connection.execute(text("SHOW lock_timeout")).scalar())

    try:
        async with engine.connect() as connection:
            await connection.run_sync(run)
    finally:
        await engine.dispose()
    assert seen == ["5s"]


async def test_urls_that_are_none(empty: str) -> None:
    with pytest.raises(migrate.MigrationTrouble, match="must look like"):
        migrate.upgrade("mysql://x")
    with pytest.raises(migrate.MigrationTrouble, match="names no user"):
        await migrate.ensure_service_login(empty, "postgresql://127.0.0.1/x")


def test_migrations_import_nothing_that_will_change() -> None:
    """A released revision must do tomorrow what it did today: no models, no verbs, only Alembic and its own helpers."""
    for path in sorted((migrate.migrations_folder() / "versions").glob("*.py")):
        assert "crm_api" not in path.read_text(), path.name


# Postgres 16


@pytest.fixture(scope="module")
def oldest(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    """The oldest Postgres we support."""
    folder: Path = tmp_path_factory.mktemp("postgres16")
    folder.chmod(0o755)
    started = prepare_services(folder, postgres_version="16", valkey=False)
    yield started
    started.stop()


@pytest.mark.smoke
async def test_the_walk_on_the_oldest_postgres(
    oldest: Services, services: Services, tmp_path: Path, worker_id: str
) -> None:
    """Upgrade an empty database, compare it with the models, webhook to letter, then every donor's figures anew."""
    async with empty_database(oldest, "smoke") as owner_url:
        await asyncio.to_thread(migrate.migrate, owner_url, as_service(owner_url))
        await asyncio.to_thread(migrate.check, owner_url)
        owner = await asyncpg.connect(owner_url)
        assert (await owner.fetchval("SHOW server_version")).startswith("16.")
        tables = await read_catalogue(owner)
        await owner.close()
        assert all(table.enabled and table.forced for table in tables.values())

        world = await open_world(as_service(owner_url), oldest, tmp_path, database_pool=4)
        await the_walk(world)
        page = await world.get("/v1/contacts", params={"q": "jenny.rosen@ex", "include_total": "true"})
        assert page["total"] == 1
        giver = (await world.contact())["id"]
        for channel in ("mail", "email", "web"):
            await world.donation(giver, received_at="2024-03-01T12:00:00Z", channel=channel)
        await world.drain()
        stepped = await summaries(world)
        assert stepped[giver]["first_channel"] == "mail"
        await forget(world)
        await rebuild(world)
        assert await summaries(world) == stepped
        await world.close()
