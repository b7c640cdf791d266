"""The chain that seals the audit: one canonical form of an event, digests of runs of events, and hashes that hold them.

Anybody can recompute it from what the API answers. An event is the JSON array of its members in the order of `MEMBERS`,
without spaces, in UTF-8: ids as lower-case text, the moment in UTC with six digits of a second, `fields` as an array or
null. A run's digest is the SHA-256 of the events' SHA-256 (32 bytes each) in the order of their ids. A seal's hash is
the SHA-256 of the JSON array ``[previous hash, first id, last id, events, digest]``; the first previous hash is
`GENESIS`.
"""

from __future__ import annotations

from datetime import datetime
from hashlib import sha256
from uuid import UUID

import orjson

from crm_api.kit import clock
from crm_api.kit.db import RowLike

GENESIS = "0" * 64
MEMBERS = (
    "organization_id", "id", "at", "actor_kind", "actor_id", "action", "resource", "resource_id", "fields",
    "request_id",
)  # fmt: skip


def canonical(event: RowLike) -> bytes:
    """The bytes of an event that are hashed; a row of `audit_events`, whole."""
    values = [event[name] for name in MEMBERS]
    values[:2] = [str(event["organization_id"]), str(event["id"])]
    values[2] = event["at"].astimezone(clock.UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    return orjson.dumps(values)


def event_hash(event: RowLike) -> str:
    """SHA-256 of an event, in hexadecimal digits."""
    return sha256(canonical(event)).hexdigest()


class Run:
    """Events in the order of their ids, taken in one after the other: their number and their digest."""

    __slots__ = ("_sum", "count", "first", "last")

    def __init__(self) -> None:
        self._sum = sha256()
        self.count = 0
        self.first: UUID | None = None
        self.last: UUID | None = None

    def add(self, event: RowLike) -> None:
        """The next event."""
        self._sum.update(sha256(canonical(event)).digest())
        self.count += 1
        self.last = event["id"]
        if self.first is None:
            self.first = self.last

    @property
    def digest(self) -> str:
        """Of all events so far, in hexadecimal digits."""
        return self._sum.hexdigest()


def seal_hash(previous: str, first: UUID | None, last: UUID | None, events: int, digest: str) -> str:
    """What ties a run of events to all before it."""
    return sha256(orjson.dumps([previous, str(first), str(last), events, digest])).hexdigest()


def first_id_of(moment: datetime) -> UUID:
    """The smallest UUIDv7 of a moment's millisecond: every id made before it is smaller."""
    milliseconds = int(moment.timestamp() * 1000)
    return UUID(int=milliseconds << 80 | 7 << 76 | 2 << 62)
