"""A contact as matching sees it: its names in one search form, its addresses normalised. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from uuid import UUID

from crm_api.contacts.dedupe.mailboxes import mailbox
from crm_api.contacts.keys import name_keys
from crm_api.kit.names import fold
from crm_api.kit.scripts import bones, canonical, forms, name_words

_GENERATIONS = {"jr": 2, "junior": 2, "sr": 1, "senior": 1, "ii": 2, "iii": 3, "iv": 4, "мол": 2, "молодший": 2,
                "младший": 2, "ст": 1, "старший": 1}  # fmt: skip
_STREET_NOISE = {"vul", "vulica", "ul", "ulica", "street", "st", "str", "prosp", "prospekt", "avenue", "ave", "road",
                 "rd", "bud", "kv", "apt", "dom", "d", "no"}  # fmt: skip


@lru_cache(maxsize=65_536)
def word_forms(word: str) -> tuple[str, frozenset[str], str]:
    """Of a folded word: its search form, every reading of it, and its consonants."""
    return canonical(word), frozenset(forms(word)), bones(word)


@dataclass(frozen=True, slots=True)
class Name:
    """One name of a contact, in search forms; the generation (1 for senior, 2 for junior …) apart."""

    given: tuple[str, ...] = ()
    middle: tuple[str, ...] = ()
    family: tuple[str, ...] = ()
    organization: tuple[str, ...] = ()
    generation: int | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """A postal address: city, street with house number, postal code, in search forms."""

    city: str
    street: str
    postal_code: str


@dataclass(frozen=True, slots=True)
class Profile:
    """What is compared."""

    id: UUID | None
    kind: str
    names: tuple[Name, ...]
    emails: frozenset[str]
    mailboxes: frozenset[str]
    phones: frozenset[str]
    frames: frozenset[str]
    handles: frozenset[str]
    external_ids: frozenset[tuple[str, str]]
    places: tuple[Place, ...]
    birth_date: str | None
    gender: str | None


def _words(text: str | None) -> tuple[str, ...]:
    return tuple(name_words(text)) if text else ()


def _name(item: Mapping[str, Any]) -> Name:
    given, family = _words(item.get("given_name")), _words(item.get("family_name"))
    generation = next((_GENERATIONS[word] for word in (*family, *given) if word in _GENERATIONS), None)
    return Name(
        tuple(word for word in given if word not in _GENERATIONS),
        _words(item.get("middle_name")),
        tuple(word for word in family if word not in _GENERATIONS),
        tuple(word_forms(word)[0] for word in _words(item.get("organization_name"))),
        generation,
    )


def _joined(text: str | None) -> str:
    if not text:
        return ""
    found = [canonical(part) if not part.isdecimal() else part for part in re.findall(r"[^\W_]+", fold(text))]
    return " ".join(sorted(part for part in found if part not in _STREET_NOISE))


def _places(items: Iterable[Mapping[str, Any]]) -> tuple[Place, ...]:
    places = [Place(_joined(i.get("city")), _joined(i.get("line1")), fold(i.get("postal_code") or "")) for i in items]
    return tuple(place for place in places if place.city or place.street or place.postal_code)


_GENDERS = {"m": "m", "male": "m", "man": "m", "ч": "m", "f": "f", "female": "f", "woman": "f", "ж": "f"}


def profile_of(values: Mapping[str, Any] | Any) -> Profile:
    """The profile of a contact's row, or of the values of one that is yet to be made."""
    names = [_name(values)] + [_name(item) for item in values["other_names"] or ()]
    emails = [item["address"] for item in values["emails"] or ()]
    gender = values["gender"]
    return Profile(
        id=values["id"] if "id" in values else None,  # noqa: SIM401 (rows of the database have no get of this kind)
        kind=values["kind"],
        names=tuple(dict.fromkeys(name for name in names if name != Name())),
        emails=frozenset(fold(address) for address in emails),
        mailboxes=frozenset(mailbox(address) for address in emails),
        phones=frozenset(item["number"] for item in values["phones"] or ()),
        frames=frozenset(
            value
            for kind, value in name_keys(
                " ".join(part for part in (item.get("given_name"), item.get("family_name")) if part)
                for item in (values, *(values["other_names"] or ()))
            )
            if kind == "frame"
        ),
        handles=frozenset(f"{item['network']}:{item['handle'].casefold()}" for item in values["handles"] or ()),
        external_ids=frozenset((item["system"], item["id"]) for item in values["external_ids"] or ()),
        places=_places(values["addresses"] or ()),
        birth_date=values["birth_date"],
        gender=_GENDERS.get(fold(gender)) if gender else None,
    )
