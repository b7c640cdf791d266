"""Forms: answers under names of the form's own, brought to our fields by the source's mapping. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from crm_api.intake.kinds.kind import Person
from crm_api.intake.kinds.reading import LONGEST_BODY, MOST_FIELDS, clean, line

ORIGIN = ("referrer", "utm_source", "utm_medium", "utm_campaign", "utm_term", "utm_content")
PERSON = (
    "name", "given_name", "middle_name", "family_name", "organization_name", "email", "phone", "city", "country",
    "language",
)  # fmt: skip
FIELDS = (*PERSON, *ORIGIN, "message", "subject", "consent", "external_id", "page_url", "ignore")
"""What a form's field can be, beside ``custom.<key>``."""
CUSTOM = "custom."
_KNOWN = frozenset(FIELDS)
_CUSTOM = re.compile(r"custom\.[a-z][a-z0-9_]{0,63}")
_NO = frozenset(["0", "no", "false", "off", "none", "ні", "нет", "არა", "nein", "non", "nie", "لا"])


@dataclass(frozen=True, slots=True)
class Answer:
    """One answered question."""

    names: tuple[str, ...]
    """What the mapping may call it: its id, then its title."""
    title: str
    values: tuple[str, ...]

    @property
    def text(self) -> str:
        """All of it."""
        return ", ".join(self.values)


@dataclass(frozen=True, slots=True)
class Filled:
    """A form's answers by our fields, and all of them as they were given."""

    fields: Mapping[str, str]
    answers: tuple[Answer, ...]

    def person(self, external_system: str) -> Person:
        """Who filled it in."""
        said = {name: line(self.fields.get(name)) for name in PERSON}
        own = line(self.fields.get("external_id"))
        custom = {name[len(CUSTOM) :]: text for name, text in self.fields.items() if name.startswith(CUSTOM)}
        return Person(**said, external_id=(external_system, own) if own else None, custom=custom)  # type: ignore[arg-type]

    def origin(self) -> dict[str, str]:
        """Where they came from."""
        said = {name: line(self.fields.get(name), 500) for name in ORIGIN}
        return {name: text for name, text in said.items() if text}

    @property
    def consent(self) -> str | None:
        """The answer to the question of consent, where it is a yes."""
        said = line(self.fields.get("consent"))
        return None if said is None or said.casefold() in _NO else said

    def as_text(self) -> str | None:
        """The answers as a reader of the timeline sees them, one a line."""
        lines = [f"{answer.title}: {answer.text}" for answer in self.answers if answer.values]
        return clean("\n".join(lines), LONGEST_BODY)


def known_field(name: str) -> bool:
    """Whether a mapping may lead to this."""
    return name in _KNOWN or _CUSTOM.fullmatch(name) is not None


def values_of(value: Any) -> tuple[str, ...]:
    """The texts of one answer: a list where several were ticked."""
    items = value if isinstance(value, list) else [value]
    found = ("yes" if item is True else "no" if item is False else clean(item) for item in items[:100])
    return tuple(text for text in found if text)


def from_object(fields: Mapping[str, Any]) -> list[Answer]:
    """Answers by the names of a form's fields."""
    found = []
    for name, value in list(fields.items())[:MOST_FIELDS]:
        title = line(name)
        if title:
            found.append(Answer((title,), title, values_of(value)))
    return found


def from_items(items: Iterable[Any]) -> list[Answer]:
    """Answers as Google Forms has them: an item's id, its title, what was answered."""
    found = []
    for item in list(items)[:MOST_FIELDS]:
        if isinstance(item, dict):
            names = tuple(name for name in (line(item.get("item_id")), line(item.get("title"))) if name)
            if names:
                found.append(Answer(names, names[-1], values_of(item.get("response"))))
    return found


def fill(answers: Iterable[Answer], mapping: Mapping[str, str]) -> Filled:
    """The answers by our fields. What the mapping does not name maps itself where it is called as our field is; the
    first answer to a field counts, and what is mapped to ``ignore`` is left out altogether."""
    fields: dict[str, str] = {}
    kept = []
    for answer in answers:
        target = next((mapping[name] for name in answer.names if name in mapping), None)
        if target is None:
            target = next((name for name in answer.names if known_field(name)), None)
        if target == "ignore":
            continue
        kept.append(answer)
        if target is not None and answer.values:
            fields.setdefault(target, answer.text)
    return Filled(fields, tuple(kept))
