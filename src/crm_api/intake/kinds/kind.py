"""What a kind of source can do, and our words for what it says.

A kind is stateless: `verify` looks at raw bytes, `envelope` reads the delivery key, `interpret` says what a stored
delivery means. Effects happen elsewhere (`apply`), on these words alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, Protocol

from pydantic import BaseModel


class Refused(Exception):
    """The delivery is not the source's, or not fresh. `code` is our word for the reason: ``header_missing``,
    ``header_malformed``, ``timestamp_expired``, ``signature_mismatch``, ``secret_mismatch``, ``body_malformed``."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True, slots=True)
class Received:
    """A request as it came. `headers` has lower-case names; `secret` is the last segment of the address and `token`
    the query parameter, where they are there."""

    body: bytes
    headers: Mapping[str, str]
    secret: str | None = None
    token: str | None = None

    @property
    def media_type(self) -> str:
        """Without its parameters, in lower case."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()


@dataclass(frozen=True, slots=True)
class Envelope:
    """What is known of a delivery before anything is interpreted."""

    key: str
    """Unique per source: the same delivery again has the same key."""
    event_type: str
    occurred_at: datetime | None = None
    """By the source's own clock."""


@dataclass(frozen=True, slots=True)
class Body:
    """A stored delivery, as it is interpreted."""

    content: bytes
    media_type: str
    key: str
    event_type: str
    received_at: datetime


@dataclass(frozen=True, slots=True)
class Settings:
    """What the organization chose for the source, as far as a kind needs it."""

    source_id: str
    name: str
    mapping: Mapping[str, str] = field(default_factory=dict)
    country: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Who it was, as far as the delivery says; texts as they came, without control characters. Never logged."""

    name: str | None = None
    given_name: str | None = None
    middle_name: str | None = None
    family_name: str | None = None
    organization_name: str | None = None
    email: str | None = None
    phone: str | None = None
    city: str | None = None
    country: str | None = None
    language: str | None = None
    handle: tuple[str, str] | None = None
    """Network and handle: where the person can be written to."""
    username: str | None = None
    """Another name in the same network."""
    external_id: tuple[str, str] | None = None
    custom: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Touch:
    """What took place."""

    kind: Literal["call", "message"]
    direction: Literal["inbound", "outbound"]
    channel: str
    external_id: str
    """What the source calls it, unique within the source."""
    subject: str | None = None
    body: str | None = None
    outcome: str | None = None
    at: datetime | None = None
    duration_seconds: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """A delivery in our words. `ignored` gives the reason when it changes nothing."""

    person: Person | None = None
    touch: Touch | None = None
    reach: Literal["valid", "opted_out"] | None = None
    """What the delivery says about writing to the person's handle."""
    start: str | None = None
    """The payload of a deep link that the person came by."""
    consent: str | None = None
    """The affirmative answer to the question of consent, where one was given."""
    origin: Mapping[str, str] = field(default_factory=dict)
    """``referrer`` and ``utm_…`` of the first touch."""
    page_url: str | None = None
    leads: tuple[Mapping[str, Any], ...] = ()
    """Leads that are only named: their answers have to be asked for."""
    ignored: str | None = None


class Kind(Protocol):
    """One kind of source."""

    name: str
    channel: str
    """The first-touch channel of contacts that come this way."""

    @property
    def credentials(self) -> type[BaseModel]:
        """Shape of the source's credentials."""
        ...

    @property
    def issued(self) -> Mapping[str, Callable[[], str]]:
        """Credentials that are ours to choose: made up where the client sends none, and shown once."""
        ...

    def verify(self, received: Received, credentials: Mapping[str, str], now: datetime) -> None:
        """Check that the delivery is the source's, over the raw bytes. Raises `Refused`."""
        ...

    def envelope(self, received: Received, now: datetime) -> Envelope:
        """Read the delivery key. Never raises: a body without an id gets a digest of its bytes as key."""
        ...

    def interpret(self, body: Body, settings: Settings) -> Reading:
        """Say what it means. Never raises on strange bodies: what is not understood is ``ignored``."""
        ...
