"""One organization with the demo in it, for every test that only looks; and one that answers over HTTP."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from crm_api.demo import load_demo
from crm_api.kit.edge import Edge
from crm_api.simulate import run_simulation
from tests.conftest import MakeWorld
from tests.support.services import Services
from tests.support.world import World, open_world

NOW = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)


async def demo_world(database_url: str, services: Services, mail: Path, seed: int = 1) -> World:
    """A fresh organization with the demo of a seed, as of `NOW`."""
    world = await open_world(database_url, services, mail)
    await world.set_clock(NOW)
    await load_demo(world.database, world.settings, world.id, seed=seed)
    return world


@pytest.fixture(scope="session")
async def demo(database_url: str, services: Services, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    """The demo of seed 1. Nobody changes it."""
    world = await demo_world(database_url, services, tmp_path_factory.mktemp("demo-mail"))
    yield world
    await world.close()


class Served:
    """A world behind a real port. Its worker looks after this organization only: the database is shared."""

    def __init__(self, world: World, base_url: str, data_dir: Path) -> None:
        self.world = world
        self.base_url = base_url
        self.data_dir = data_dir

    async def simulate(self, event: str, **options: Any) -> None:
        """`crm-api simulate stripe`, in a thread of its own as it waits by sleeping."""
        chosen = {"base_url": "", "api_key": "", "connection": "", "secret": "", "seed": "s1", **options}
        await asyncio.to_thread(run_simulation, "stripe", event, data_dir=self.data_dir, **chosen)


async def serve(world: World, folder: Path, *, work: bool = True) -> AsyncIterator[Served]:
    """Serve a world until the generator is closed."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    app = Edge(world.app, max_body_bytes=world.settings.max_body_bytes, access_log=False)
    over = asyncio.Event()

    async def work_on() -> None:
        while not over.is_set():
            await world.drain()
            await asyncio.sleep(0.005)

    server = uvicorn.Server(uvicorn.Config(app, port=port, lifespan="off", log_config=None, access_log=False))
    serving = asyncio.create_task(server.serve())
    working = asyncio.create_task(work_on()) if work else None
    while not server.started:
        await asyncio.sleep(0.01)
    base_url = f"http://127.0.0.1:{port}"
    facts = {"base_url": base_url, "api_key": world.api_key, "mail_dir": str(world.settings.mail_directory)}
    (folder / "dev.json").write_text(json.dumps(facts))
    yield Served(world, base_url, folder)
    over.set()
    server.should_exit = True
    await serving
    if working is not None:
        await working


@pytest.fixture
async def served(make_world: MakeWorld, tmp_path: Path) -> AsyncIterator[Served]:
    """A test organization behind a real port, with a worker."""
    async for one in serve(await make_world(), tmp_path):
        yield one


@pytest.fixture
async def idle(make_world: MakeWorld, tmp_path: Path) -> AsyncIterator[Served]:
    """The same without a worker."""
    async for one in serve(await make_world(), tmp_path, work=False):
        yield one
