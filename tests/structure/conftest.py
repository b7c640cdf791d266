"""The live catalogue, read once per test."""

from __future__ import annotations

import asyncpg
import pytest

from tests.structure.catalogue import LiveTable, read_catalogue


@pytest.fixture
async def tables(owner: asyncpg.Connection) -> dict[str, LiveTable]:
    """Every table of ours as it is in the database."""
    return await read_catalogue(owner)
