"""Worlds that the tests of one module share, where a test does not mind what another has done."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.api.surface import Planted, plant
from tests.support.services import Services
from tests.support.world import open_world


@pytest.fixture(scope="module")
async def planted(
    database_url: str, services: Services, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Planted]:
    """An organization with one of everything."""
    world: Any = await open_world(database_url, services, tmp_path_factory.mktemp("mail"))
    yield await plant(world)
    await world.close()


@pytest.fixture(scope="module")
async def other(
    database_url: str, services: Services, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Planted]:
    """Another organization with one of everything."""
    world: Any = await open_world(database_url, services, tmp_path_factory.mktemp("mail"), name="Other Fund")
    yield await plant(world)
    await world.close()
