"""A test organization in Kyiv and hryvnias, with Monobank on a port of this machine."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.conftest import MakeWorld
from tests.support.gateways import FakeGateway, fake_gateway
from tests.support.world import World


@pytest.fixture
async def bank() -> AsyncIterator[FakeGateway]:
    """Monobank's API."""
    async with fake_gateway() as gateway:
        yield gateway


@pytest.fixture
async def fund(make_world: MakeWorld, bank: FakeGateway) -> World:
    """The charity."""
    return await make_world(currency="UAH", timezone="UTC", language="uk", service_urls=bank.urls)
