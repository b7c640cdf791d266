"""What was said and what is to be done: interactions, tasks and consent of the last years, by numbers of contacts."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

from crm_api.demo.circle import Circle, Other
from crm_api.demo.people import Donor, choose, known
from crm_api.demo.profiles import OWNERS

OFFICE, DIRECTOR = "office@example.org", "director@example.org"
_YEAR = 365
_WITHDRAWN = 0.12
_WORDING = (("2023-05", 900), ("2024-11", 0))
"""Versions of the newsletter's wording, and up to how many days ago each was shown."""


@dataclass(frozen=True, slots=True)
class Touch:
    """An interaction of contacts with a member of the staff. `mention`: e-mail of the member a note calls in."""

    moment: datetime
    kind: str
    contacts: tuple[int, ...]
    member: str
    direction: str = "none"
    channel: str | None = None
    subject: str | None = None
    body: str | None = None
    outcome: str | None = None
    seconds: int | None = None
    mention: str | None = None
    sensitive: bool = False


@dataclass(frozen=True, slots=True)
class Todo:
    """A task; `done` is when it was completed, `canceled` when it was given up."""

    moment: datetime
    title: str
    contact: int | None
    assignee: str
    due_on: date | None
    priority: str = "normal"
    remind_at: datetime | None = None
    done: datetime | None = None
    canceled: datetime | None = None


@dataclass(frozen=True, slots=True)
class Said:
    """What a contact said about being contacted, as `ConsentCreate` takes it."""

    moment: datetime
    contact: int
    body: Mapping[str, Any]


@dataclass(slots=True)
class Touches:
    """All of them, each kind oldest first."""

    interactions: list[Touch] = field(default_factory=list)
    todos: list[Todo] = field(default_factory=list)
    consents: list[Said] = field(default_factory=list)


def make_touches(rng: random.Random, ends: datetime, circle: Circle) -> Touches:
    """The life of a circle up to the end of the demo."""
    making = _Making(rng, ends, circle)
    for since, donor in circle.donors:
        if not donor.body.get("deceased"):
            _consents(making, since, donor)
            if not donor.body.get("do_not_contact"):
                _donor(making, since, donor)
    for other in circle.others:
        if other.why == "beneficiary":
            _beneficiary(making, other)
    for number, (title, priority) in enumerate(known()["touches"]["tasks"]["office"]):
        making.todo(making.ago(3, 25), title, None, OFFICE, due=number * 9 - 4, priority=priority)
    made = making.made
    made.interactions.sort(key=lambda one: (one.moment, one.contacts))
    made.todos.sort(key=lambda one: (one.moment, one.title))
    made.consents.sort(key=lambda one: (one.moment, one.contact))
    return made


@dataclass(slots=True)
class _Making:
    rng: random.Random
    ends: datetime
    circle: Circle
    made: Touches = field(default_factory=Touches)

    def ago(self, least: int, most: int) -> datetime:
        """A working hour some days before the end."""
        day = self.ends - timedelta(days=self.rng.randint(least, max(most, least)))
        return day.replace(hour=self.rng.randint(7, 16), minute=self.rng.randrange(60), second=0, microsecond=0)

    def since(self, moment: datetime, most: int = _YEAR) -> datetime:
        """A working hour since a moment, in the last so many days."""
        return max(self.ago(1, max(min((self.ends - moment).days, most), 1)), moment + timedelta(minutes=1))

    def todo(
        self, moment: datetime, title: str, contact: int | None, assignee: str, *, due: int, priority: str = "normal"
    ) -> None:
        """An open task, due so many days after the end (before it, where negative), or one that is over."""
        day = self.ends.date() + timedelta(days=due)
        remind = self.ends + timedelta(days=due - 1, hours=9) if due > 2 and self.rng.random() < 0.4 else None
        self.made.todos.append(Todo(moment, title, contact, assignee, day, priority, remind))

    def over(self, moment: datetime, title: str, contact: int | None, assignee: str) -> None:
        """A task that was done, or given up."""
        then = min(moment + timedelta(days=self.rng.randint(1, 20), hours=2), self.ends)
        due = (moment + timedelta(days=14)).date()
        if self.rng.random() < 0.88:
            self.made.todos.append(Todo(moment, title, contact, assignee, due, done=then))
        else:
            self.made.todos.append(Todo(moment, title, contact, assignee, due, canceled=then))


# Donors


def _donor(making: _Making, since: datetime, donor: Donor) -> None:
    """Calls, meetings and messages with those whom somebody looks after; a few with others."""
    rng, number = making.rng, donor.number
    owner = making.circle.owners.get(number)
    roles = {item["role"] for item in donor.body.get("role_details", ()) if item["stage"] == "active"}
    if donor.habit in {"great", "grants"}:
        _talk(making, since, donor, owner or OWNERS["major"], rng.randint(4, 9))
        _work(making, since, donor, owner or OWNERS["major"], "major", rng.random() < 0.6)
    elif "volunteer" in roles:
        _talk(making, since, donor, OWNERS["volunteers"], rng.randint(2, 5))
        _work(making, since, donor, OWNERS["volunteers"], "volunteer", rng.random() < 0.4)
    elif "partner" in roles:
        _talk(making, since, donor, OWNERS["appeals"], rng.randint(1, 4))
        _work(making, since, donor, OWNERS["appeals"], "company", rng.random() < 0.4)
    elif rng.random() < 0.1:
        _talk(making, since, donor, OWNERS["appeals"], 1)


def _talk(making: _Making, since: datetime, donor: Donor, member: str, count: int) -> None:
    shares = {"call": 30, "meeting": 16, "message": 34, "note": 20}
    for _ in range(count):
        making.made.interactions.append(_touch(making, choose(making.rng, shares), making.since(since), donor, member))


def _touch(making: _Making, kind: str, moment: datetime, donor: Donor, member: str) -> Touch:
    rng, who = making.rng, (donor.number,)
    touches = known()["touches"]
    words = touches.get(donor.body.get("language") or "en") or touches["en"]
    if kind == "message":
        inbound = rng.random() < 0.45
        networks = [item["network"] for item in donor.body.get("handles", ()) if item["network"] != "instagram"]
        return Touch(moment, kind, who, member, "inbound" if inbound else "outbound", rng.choice(networks or ["email"]),
                     body=rng.choice(words["in" if inbound else "out"]))  # fmt: skip
    subject, body = rng.choice(words[kind])
    if kind == "note":
        mention = rng.choice((DIRECTOR, OFFICE)) if "{mention}" in body else None
        return Touch(moment, kind, who, member, subject=subject, body=body, mention=mention)
    if kind == "meeting":
        spouses = [home.members for home in making.circle.homes if home.members[0][0] == donor.number
                   and home.since < moment]  # fmt: skip
        both = (*who, spouses[0][1][0]) if spouses else who
        return Touch(moment, kind, both, member, "none", "in_person", subject, body, "held", 60 * rng.randint(25, 90))
    reached = body is not None
    direction = rng.choice(("inbound", "outbound", "outbound")) if reached else "outbound"
    outcome, seconds = ("answered", rng.randint(70, 1500)) if reached else ("no_answer", 0)
    return Touch(moment, kind, who, member, direction, "phone", subject, body, outcome, seconds)


def _work(making: _Making, since: datetime, donor: Donor, member: str, kind: str, is_open: bool) -> None:
    rng = making.rng
    titles: Sequence[str] = known()["touches"]["tasks"][kind]
    if is_open:
        priority = rng.choice(("normal", "normal", "high", "urgent" if kind == "major" else "low"))
        making.todo(making.since(since, 30), rng.choice(titles), donor.number, member, due=rng.randint(-8, 40),
                    priority=priority)  # fmt: skip
    if rng.random() < 0.5:
        making.over(making.since(since, 300), rng.choice(titles), donor.number, member)


# Those who are helped: what is said of them is for few


def _beneficiary(making: _Making, other: Other) -> None:
    rng = making.rng
    for _ in range(rng.randint(1, 3)):
        subject, body = rng.choice(known()["touches"]["visits"])
        making.made.interactions.append(
            Touch(making.since(other.moment), "visit", (other.number,), OWNERS["volunteers"], channel="in_person",
                  subject=subject, body=body, outcome="held", sensitive=True)
        )  # fmt: skip


# Consent


def _consents(making: _Making, since: datetime, donor: Donor) -> None:
    rng, body = making.rng, donor.body
    if body.get("do_not_contact"):
        said = {"status": "objected", "channel": "phone", "source": "phone", "evidence": {"note": "Asked on the phone"}}
        making.made.consents.append(Said(since + timedelta(minutes=2), donor.number, said))
        return
    opted_out = any(item.get("status") == "opted_out" for item in body["emails"])
    if "newsletter" in body["tags"] or opted_out:
        granted = since + timedelta(minutes=3)
        making.made.consents.append(Said(granted, donor.number, _granted(making, donor, granted)))
        if opted_out or rng.random() < _WITHDRAWN:
            scope = {"purpose": "newsletter", "channel": "email", "list": "monthly"}
            withdrawn = {**scope, "status": "withdrawn", "source": rng.choice(("unsubscribe_link", "email"))}
            moment = min(granted + timedelta(days=rng.randint(20, 500)), making.ends)
            making.made.consents.append(Said(moment, donor.number, withdrawn))
    if "volunteer" in body["tags"]:
        volunteering = {"purpose": "volunteering", "channel": "phone", "list": "saturdays", "status": "granted",
                        "legal_basis": "consent", "source": "event"}  # fmt: skip
        making.made.consents.append(Said(since + timedelta(minutes=4), donor.number, volunteering))


def _granted(making: _Making, donor: Donor, moment: datetime) -> dict[str, Any]:
    """How somebody joined the newsletter: which words they were shown, where, and what shows it."""
    words: Mapping[str, str] = known()["touches"]["consents"]
    language = donor.body.get("language") if donor.body.get("language") in words else "en"
    ago = (making.ends - moment).days
    version = next(name for name, until in _WORDING if ago >= until)
    on_paper = donor.source == "event"
    evidence: dict[str, Any] = {"note": "Signed sheet, folder 3"}
    if not on_paper:
        evidence = {"form_url": "https://example.org/join", "ip": f"192.0.2.{making.rng.randint(1, 254)}"}
    return {
        "purpose": "newsletter",
        "channel": "email",
        "list": "monthly",
        "status": "granted",
        "legal_basis": "consent",
        "wording": words[language or "en"],
        "wording_version": version,
        "language": language,
        "source": "event" if on_paper else "import" if donor.source == "import" else "website",
        "evidence": evidence,
    }
