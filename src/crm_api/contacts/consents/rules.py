"""May this person be contacted, for this purpose, in this way? Pure.

Every event speaks for a scope: a purpose, a channel and a list, each of which may be "all". The newest event of each
scope is its state, by the time it was said and then by its id, so the order of arrival changes nothing. A refusal holds
for everything inside its scope, until a newer grant of the same or a narrower scope: whoever unsubscribes from all and
later asks for one newsletter gets that newsletter, and a general grant does not bring back a list that was left.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

TRANSACTIONAL = "transactional"
"""Letters about what somebody has done: receipts, thanks, failed payments. They rest on the contract; a general
unsubscribe does not stop them, an objection to everything does."""


@dataclass(frozen=True, slots=True)
class Event:
    """What somebody said, as far as a verdict needs it. `None` in purpose, channel or list means all."""

    id: UUID
    purpose: str | None
    channel: str | None
    list: str | None
    status: str
    legal_basis: str | None
    at: datetime

    @property
    def scope(self) -> tuple[str | None, str | None, str | None]:
        """What the event speaks of."""
        return (self.purpose, self.channel, self.list)

    def covers(self, purpose: str, channel: str, list_: str | None) -> bool:
        """Whether the event says anything about such a message."""
        return self.purpose in (None, purpose) and self.channel in (None, channel) and self.list in (None, list_)

    def within(self, other: Event) -> bool:
        """Whether this scope is the other's or a part of it."""
        return all(theirs is None or mine == theirs for mine, theirs in zip(self.scope, other.scope, strict=True))

    def newer(self, other: Event) -> bool:
        """Which was said later; of one moment, the one that was recorded later."""
        return (self.at, self.id) > (other.at, other.id)


@dataclass(frozen=True, slots=True)
class Person:
    """What is known of the contact itself."""

    do_not_contact: bool = False
    deceased: bool = False
    erased: bool = False
    reach: Mapping[str, str] | None = None
    """Channel → status of its primary address; a channel that is absent has none. `None`: not looked at."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer, why, and the event that decided it where one did."""

    allowed: bool
    reason: str
    event_id: UUID | None = None
    legal_basis: str | None = None


_PHONES = ("phone", "sms")
_NETWORKS = ("telegram", "viber", "whatsapp", "signal", "facebook", "instagram")
_USABLE = {"valid", "unverified", "verified"}


def person_of(row: Mapping[str, Any] | Any) -> Person:
    """The facts of a contact's row: flags, and the status of the primary address of each channel."""
    reach: dict[str, str] = {}
    for channels, column in ((("email",), "emails"), (_PHONES, "phones"), (("post",), "addresses")):
        primary = next((item for item in row[column] if item["is_primary"]), None)
        if primary is not None:
            reach |= dict.fromkeys(channels, primary.get("status", "valid"))
    for item in row["handles"]:
        if item["network"] in _NETWORKS and reach.get(item["network"]) not in _USABLE:
            reach[item["network"]] = item.get("status", "valid")
    return Person(row["do_not_contact"], row["deceased"], row["erased_at"] is not None, reach)


def current(events: Iterable[Event]) -> list[Event]:
    """The newest event of each scope, oldest first."""
    newest: dict[tuple[str | None, str | None, str | None], Event] = {}
    for event in events:
        known = newest.get(event.scope)
        if known is None or event.newer(known):
            newest[event.scope] = event
    return sorted(newest.values(), key=lambda event: (event.at, event.id))


def can_contact(
    person: Person,
    events: Iterable[Event],
    channel: str,
    purpose: str,
    now: datetime,
    *,
    list_: str | None = None,
    default_basis: str | None = None,
) -> Verdict:
    """The verdict. `default_basis` is what the organization relies on for this purpose where the person has said
    nothing: ``consent`` means that without a grant there is none. Events after `now` do not count yet."""
    if (obstacle := _obstacle(person, channel)) is not None:
        return Verdict(False, obstacle)
    said = [event for event in current(e for e in events if e.at <= now) if event.covers(purpose, channel, list_)]
    if purpose == TRANSACTIONAL:
        said = [event for event in said if _stops_letters_of_record(event)]
    grants = [event for event in said if event.status == "granted"]
    refusals = [event for event in said if event.status != "granted"]
    standing = [refusal for refusal in refusals if not _lifted(refusal, grants)]
    if standing:
        last = standing[-1]
        return Verdict(False, last.status, last.id)
    if grants:
        return Verdict(True, "granted", grants[-1].id, grants[-1].legal_basis)
    basis = default_basis or ("contract" if purpose == TRANSACTIONAL else "consent")
    if basis == "consent":
        return Verdict(False, "no_consent")
    return Verdict(True, "legal_basis", None, basis)


def _obstacle(person: Person, channel: str) -> str | None:
    if person.erased:
        return "erased"
    if person.deceased:
        return "deceased"
    if person.do_not_contact:
        return "do_not_contact"
    if person.reach is None:
        return None
    status = person.reach.get(channel)
    if status is None:
        return "no_address"
    return None if status in _USABLE else f"address_{status}"


def _stops_letters_of_record(event: Event) -> bool:
    """Letters of record heed what is said about themselves, and an objection to everything."""
    return event.purpose == TRANSACTIONAL or (event.purpose is None and event.status != "withdrawn")


def _lifted(refusal: Event, grants: Sequence[Event]) -> bool:
    return any(grant.newer(refusal) and grant.within(refusal) for grant in grants)


def event_of(row: Mapping[str, Any]) -> Event:
    """An event from a row, or from the JSON that a statement makes of one."""
    at = row["at"]
    event_id = row["id"]
    return Event(
        id=event_id if isinstance(event_id, UUID) else UUID(event_id),
        purpose=row["purpose"],
        channel=row["channel"],
        list=row["list"],
        status=row["status"],
        legal_basis=row["legal_basis"],
        at=at if isinstance(at, datetime) else datetime.fromisoformat(at),
    )
