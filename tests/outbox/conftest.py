"""A desk per test: an organization with a registry of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from crm_api.bootstrap import make_organization
from crm_api.kit.db import Database
from crm_api.outbox import service
from tests.outbox.desk import Desk

MakeDesk = Callable[[], Awaitable[Desk]]


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """The service role's pool; nothing may be left open in it."""
    service.set_doorbell(None)
    opened = await Database.open(database_url, size=8, name="outbox tests")
    yield opened
    await opened.close()


@pytest.fixture
async def make_desk(database: Database) -> MakeDesk:
    """Makes organizations."""

    async def make() -> Desk:
        made = await make_organization(database, name="Outbox", mode="test")
        return Desk(database, made.tenant)

    return make


@pytest.fixture
async def desk(make_desk: MakeDesk) -> Desk:
    """One organization."""
    return await make_desk()
