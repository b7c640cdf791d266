"""How a household is named and greeted, from its members and a pattern per language. Pure.

A pattern holds placeholders in braces, and alternatives separated by ``|``: the first of which every placeholder has
something to say is taken. The name's pattern is filled in once for the household; the greetings' for each person, and
the results are joined by the conjunction. Where neighbours share a family name it is said once, at the end.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from crm_api.contacts.households.words import family_plural, one_of_each, vocative

MOST_NAMED = 10
"""How many people a greeting names."""
OF_HOUSEHOLD = frozenset({"families", "families_genitive", "names"})
OF_PERSON = frozenset({"given", "middle", "family", "salutation", "given_vocative", "middle_vocative", "name"})
_PLACE = re.compile(r"\{([a-z_]+)\}")


@dataclass(frozen=True, slots=True)
class Member:
    """A member, as far as names go."""

    given: str = ""
    middle: str = ""
    family: str = ""
    salutation: str = ""
    formal_greeting: str = ""
    informal_greeting: str = ""
    display_name: str = ""
    deceased: bool = False
    is_primary: bool = False
    in_name: bool = True
    in_greetings: bool = True


@dataclass(frozen=True, slots=True)
class Pattern:
    """How households of one language are named and greeted."""

    name: str
    formal_greeting: str
    informal_greeting: str
    conjunction: str


@dataclass(frozen=True, slots=True)
class Named:
    """What a household is called."""

    name: str
    formal_greeting: str | None
    informal_greeting: str | None
    all_deceased: bool


_FORMAL = "{salutation} {given} {family}|{given} {family}|{given}|{name}"
_INFORMAL = "{given}|{name}"
_PATRONYMIC = "{given} {middle}|" + _FORMAL
DEFAULTS: Mapping[str, Pattern] = {
    "en": Pattern("{families} Household|{names}", _FORMAL, _INFORMAL, " and "),
    "uk": Pattern(
        "Родина {families_genitive}|{names}",
        "{given_vocative} {middle_vocative}|{salutation} {given_vocative} {family}|{given_vocative} {family}"
        "|{given_vocative}|{name}",
        "{given_vocative}|{name}",
        " та ",
    ),
    "ru": Pattern("Семья {families_genitive}|{names}", _PATRONYMIC, _INFORMAL, " и "),
    "ka": Pattern("{families_genitive} ოჯახი|{names}", "{salutation} {given}|{given} {family}|{given}|{name}",
                  _INFORMAL, " და "),
    "ar": Pattern("عائلة {families}|{names}", _FORMAL, _INFORMAL, " و"),
    "pl": Pattern("Rodzina {families_genitive}|{names}", _FORMAL, _INFORMAL, " i "),
    "de": Pattern("Familie {families}|{names}", _FORMAL, _INFORMAL, " und "),
    "fr": Pattern("Famille {families}|{names}", _FORMAL, _INFORMAL, " et "),
    "es": Pattern("Familia {families}|{names}", _FORMAL, _INFORMAL, " y "),
}  # fmt: skip
"""The usual way of each language; any other is named as in English."""


def check_pattern(pattern: str, known: frozenset[str]) -> str:
    """The pattern; `ValueError` where it has a placeholder that is not known, or none at all."""
    found = set(_PLACE.findall(pattern))
    if found - known or "{" in _PLACE.sub("", pattern) or "}" in _PLACE.sub("", pattern):
        raise ValueError(f"takes the placeholders {', '.join('{' + name + '}' for name in sorted(known))}")
    if any(not _PLACE.search(part) for part in pattern.split("|")):
        raise ValueError("needs a placeholder in every alternative")
    return pattern


def pattern_of(language: str, own: Mapping[str, Pattern]) -> Pattern:
    """The organization's own pattern of a language, else the usual one, else English."""
    short = language.partition("-")[0]
    return own.get(language) or own.get(short) or DEFAULTS.get(short) or own.get("en") or DEFAULTS["en"]


def _fill(pattern: str, values: Mapping[str, str]) -> str:
    for alternative in pattern.split("|"):
        if all(values.get(name) for name in _PLACE.findall(alternative)):
            return _PLACE.sub(lambda match: values[match.group(1)], alternative).strip()
    return ""


def _person(member: Member, language: str) -> dict[str, str]:
    return {
        "given": member.given,
        "middle": member.middle,
        "family": member.family,
        "salutation": member.salutation,
        "given_vocative": vocative(member.given, language),
        "middle_vocative": vocative(member.middle, language),
        "name": member.display_name,
    }


def _joined(parts: Sequence[str], conjunction: str) -> str:
    """Commas, and the conjunction before the last."""
    comma = "، " if "و" in conjunction else ", "
    *first, last = parts
    return f"{comma.join(first)}{conjunction}{last}" if first else last


def _greeting(members: Sequence[Member], pattern: str, own: str, language: str, conjunction: str) -> str | None:
    parts: list[str] = []
    shown = members[:MOST_NAMED]
    for place, member in enumerate(shown):
        following = shown[place + 1] if place + 1 < len(shown) else None
        values = _person(member, language)
        written = getattr(member, own)
        if written:
            parts.append(written)
            continue
        said = _fill(pattern, values)
        shares = following is not None and member.family and following.family == member.family
        if shares and not getattr(following, own) and said.endswith(f" {member.family}"):
            said = said.removesuffix(f" {member.family}")
        if said:
            parts.append(said)
    return _joined(parts, conjunction) if parts else None


def name_household(members: Sequence[Member], language: str, pattern: Pattern) -> Named:
    """Name and greetings of a household, its members in order, the primary one first.

    The deceased are left out; where nobody lives the name is made of all of them, and nobody is greeted. Where
    everybody is left out of the name by hand, it is the primary member's.
    """
    short = language.partition("-")[0]
    ordered = sorted(members, key=lambda member: not member.is_primary)
    living = [member for member in ordered if not member.deceased]
    counted = [member for member in living or ordered if member.in_name] or (living or ordered)[:1]
    families = one_of_each([member.family for member in counted if member.family], short)
    names = [member.given or member.display_name for member in counted][:MOST_NAMED]
    values = {
        "families": _joined(families, pattern.conjunction) if families else "",
        "families_genitive": (
            _joined([family_plural(one, short) for one in families], pattern.conjunction) if families else ""
        ),
        "names": _joined(names, pattern.conjunction) if names else "",
    }
    greeted = [member for member in living if member.in_greetings]
    return Named(
        name=_fill(pattern.name, values) or values["names"],
        formal_greeting=_greeting(greeted, pattern.formal_greeting, "formal_greeting", short, pattern.conjunction),
        informal_greeting=_greeting(
            greeted, pattern.informal_greeting, "informal_greeting", short, pattern.conjunction
        ),
        all_deceased=bool(members) and not living,
    )
