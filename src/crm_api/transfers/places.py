"""Places for long work in a worker process: some for all, one for each organization.

An import of a million rows holds one of the worker's slots for minutes. The organizations take turns at the slots job
by job, so without a bound a few long jobs, of one organization or of several, would hold up everybody's short ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from uuid import UUID

WAIT = timedelta(seconds=3)
"""When whoever found no place asks again."""


class Places:
    """The places of one kind of work."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._taken: dict[UUID, UUID] = {}

    def free_for(self, organization_id: UUID) -> bool:
        """Whether the organization may begin."""
        return len(self._taken) < self._most and organization_id not in self._taken.values()

    @contextmanager
    def taken(self, work_id: UUID, organization_id: UUID) -> Iterator[None]:
        """Hold a place that is free."""
        self._taken[work_id] = organization_id
        try:
            yield
        finally:
            self._taken.pop(work_id, None)
