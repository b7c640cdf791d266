"""A folder for real processes, and the seed of a run."""

from __future__ import annotations

import os
import random
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.support.cluster import Cluster, running_cluster


@pytest.fixture(scope="session")
def seed() -> int:
    """The seed of all randomness; give CRM_FAULT_SEED to repeat a run."""
    return int(os.environ.get("CRM_FAULT_SEED") or random.SystemRandom().randrange(10**6))


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder any user may walk into, so that the data stays in it also when this runs as root."""
    path = Path(tempfile.mkdtemp(prefix="crm-faults-")).resolve()
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@pytest.fixture(scope="module")
async def cluster() -> AsyncIterator[Cluster]:
    """Postgres, Valkey, one API and one worker of this file's own."""
    path = Path(tempfile.mkdtemp(prefix="crm-faults-")).resolve()
    path.chmod(0o755)
    async with running_cluster(path, durable=False) as running:
        yield running
    shutil.rmtree(path)
