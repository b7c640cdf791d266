"""Facts: frozen, past-tense statements that something happened, and who wants to hear of them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from crm_api.kit.db import Tenant, WriteSession


class Fact(BaseModel):
    """Base of facts. Payloads are thin: ids and codes, no personal data."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def in_bulk(self, what: str) -> Fact:
        """What a bulk session that loads `what` records instead: the fact that stands for many of these. It is
        recorded once per transaction, and its handlers are set-based. Itself, where there is none."""
        return self


class HousekeepingDue(Fact):
    """Old finished work is to be removed."""

    occurrence: datetime


class AuditSealDue(Fact):
    """Settled events of the audit are to be sealed."""

    occurrence: datetime


@dataclass(frozen=True, slots=True)
class Job:
    """A claimed row of work."""

    id: UUID
    subscriber: str
    payload: dict[str, Any]
    attempts: int
    lease: UUID
    expired_wait: bool = False
    """The row was waiting for something that did not come by its deadline."""


class Wait(Exception):
    """Raised by a handler: what it wrote stays, and it is called again when `key` is woken, or at the deadline.

    A handler looks whether what it needs is there, and whoever brings it wakes the key. So that neither misses the
    other, both do so under one lock, such as an advisory lock of the key, held to the end of their transactions.
    """

    def __init__(self, key: str, seconds: float) -> None:
        super().__init__(key)
        self.key = key
        self.seconds = seconds


class GiveUp(Exception):
    """Raised by a handler: no retry can help; `reason` says why and what a person can do."""


class Context(Protocol):
    """What the worker lends to handlers beside the session: database and outside services."""

    def write(self, tenant: Tenant) -> Any: ...


Handler = Callable[[WriteSession, Job], Awaitable[None]]
OutsideHandler = Callable[[Any, Tenant, Job], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Subscriber:
    """One reaction to facts.

    `handle` runs inside the transaction that also marks the row done: exactly once in effect. `outside` is for calls to
    other systems: it runs without a transaction and finishes the row itself through the runner's context, as the
    first thing in the transaction that records the outcome.
    """

    name: str
    facts: tuple[type[Fact], ...]
    handle: Handler | None = None
    outside: OutsideHandler | None = None
    wants: Callable[[Any], bool] = lambda _: True
    on_dead: Handler | None = None
    """What to record, in the same transaction, when the row is given up."""
    max_attempts: int = 12
    timeout: timedelta = timedelta(seconds=30)
    """How long one run may take. The lease is shorter and renewed meanwhile."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """Recurring work of every organization, at local times of its own zone.

    Each occurrence is a row, so it cannot run twice; missed ones are caught up, the newest `catch_up` of them.
    """

    name: str
    fact: type[Fact]
    every: timedelta
    """Whole days, or less than a day."""
    at_hour: int = 3
    """Local hour, for schedules of whole days."""
    catch_up: int = 1
    alarm: bool = False
    """It may be brought forward to any moment (`outbox.schedules.bring_forward`), and may come again after a test clock
    was moved back: its handler finds out what is to be done, and does nothing twice."""

    def __post_init__(self) -> None:
        if self.catch_up < 1 or self.every <= timedelta(0) or (self.every.days and self.every % timedelta(days=1)):
            raise ValueError(f"schedule {self.name}: every whole days or less than one, catch_up at least 1")


@dataclass(slots=True)
class Registry:
    """Who reacts to what; filled once by `crm_api.registry`."""

    subscribers: dict[str, Subscriber] = field(default_factory=dict)
    by_fact: dict[type[Fact], list[Subscriber]] = field(default_factory=dict)
    schedules: dict[str, Schedule] = field(default_factory=dict)

    def subscribe(self, subscriber: Subscriber) -> None:
        """Add a reaction; names are unique for ever, since rows carry them."""
        if subscriber.name in self.subscribers:
            raise ValueError(f"two subscribers named {subscriber.name}")
        self.subscribers[subscriber.name] = subscriber
        for fact in subscriber.facts:
            self.by_fact.setdefault(fact, []).append(subscriber)

    def schedule(self, schedule: Schedule) -> None:
        """Add recurring work."""
        self.schedules[schedule.name] = schedule


REGISTRY = Registry()
