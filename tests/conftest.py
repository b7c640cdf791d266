"""The suite's world: one embedded Postgres and Valkey for the run, one database per test process, one organization per
test. Tenancy is the isolation between tests: what one organization does, no other sees (and `test_tenancy` proves it)."""

from __future__ import annotations

import gc
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from hypothesis import settings

from tests.support.effort import examples
from tests.support.fake_stripe import FakeStripe, fake_stripe
from tests.support.services import Services, prepare_services, process_database
from tests.support.world import World, close_pools, open_world

_STARTED: dict[str, Any] = {}
settings.register_profile("suite", max_examples=examples(100), deadline=None)
settings.load_profile("suite")


def _is_xdist_worker(config: pytest.Config) -> bool:
    return hasattr(config, "workerinput")


def pytest_configure(config: pytest.Config) -> None:
    """Start the services once, in the process that steers the run."""
    gc.set_threshold(50_000, 20, 100)  # a test process grows large: looking through it often took an eighth of the run
    if _is_xdist_worker(config) or config.option.collectonly:
        return
    folder = Path(tempfile.mkdtemp(prefix="crm-tests-"))
    folder.chmod(0o755)
    _STARTED["folder"] = folder
    _STARTED["services"] = prepare_services(folder)
    os.environ["CRM_TEST_SERVICES"] = _STARTED["services"].as_json()


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop what was started."""
    services = _STARTED.pop("services", None)
    if services is not None:
        services.stop()
        shutil.rmtree(_STARTED.pop("folder"), ignore_errors=True)


@pytest.fixture(scope="session")
def services() -> Services:
    """The run's Postgres and Valkey."""
    return Services.from_json(os.environ["CRM_TEST_SERVICES"])


@pytest.fixture(scope="session")
def database_url(services: Services, worker_id: str) -> Iterator[str]:
    """The service role's URL of this test process's own database, a copy of the migrated template."""
    with process_database(services, worker_id) as url:
        yield url


@pytest.fixture(scope="session")
def owner_url(services: Services, database_url: str) -> str:
    """The owner's URL of this test process's database."""
    return services.owner_url_of(database_url)


@pytest.fixture
async def owner(owner_url: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection of the schema's owner (row-level security holds it too)."""
    connection = await asyncpg.connect(owner_url)
    yield connection
    await connection.close()


@pytest.fixture
async def service_role(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    """A bare connection of the service role, no organization set."""
    connection = await asyncpg.connect(database_url)
    yield connection
    await connection.close()


MakeWorld = Callable[..., Awaitable[World]]


@pytest.fixture(scope="session")
async def pools() -> AsyncIterator[None]:
    """Closes at the end what the worlds of this process shared."""
    yield
    await close_pools()


@pytest.fixture
async def make_world(database_url: str, services: Services, tmp_path: Path, pools: None) -> AsyncIterator[MakeWorld]:
    """Makes organizations with an API client, a worker and a mailbox each."""
    made: list[World] = []

    async def make(**options: Any) -> World:
        world = await open_world(database_url, services, tmp_path / f"mail{len(made)}", **options)
        made.append(world)
        return world

    yield make
    for world in made:
        await world.close()


@pytest.fixture
async def stripe() -> AsyncIterator[FakeStripe]:
    """Stripe's API, speaking its documented protocol."""
    async with fake_stripe() as found:
        yield found


@pytest.fixture
async def world(make_world: MakeWorld) -> World:
    """A test organization in dollars, UTC, English, with everything switched on."""
    return await make_world()
