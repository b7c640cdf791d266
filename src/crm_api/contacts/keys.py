"""The keys a contact is found by: the one place that derives them. Pure.

A key is a row of `contact_keys`: a kind and a value, bytewise ordered, so that every search is a range of one btree.

    word    ``xevcenko шевченко``   each word of every name: its search form, then the word as it is written
    pair    ``o:xevcenko olena``    of two words of a name, both ways round: the first letter of one, the other, the one
    bones   ``v xfcnka``            consonants of a word; ``a`` leads those of scripts that leave short vowels out
    frame   ``v alna xfcnka``       consonants of two words of a name, in order of the alphabet
    home    ``k:olena kiv``         a word of a name with a city, like a pair
    email, mailbox, phone, tail, city, place, country, tag, role, handle, external, birthday

`tail` is a phone number's digits from the last to the first, so that its end is found; `place` is a city's search form.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import combinations
from typing import Any

from crm_api.contacts.dedupe.mailboxes import mailbox_key
from crm_api.kit.db import RowLike
from crm_api.kit.names import fold
from crm_api.kit.scripts import bones, canonical, forms, name_words, writes_no_vowels

Key = tuple[str, str]
NAME_KINDS = ("word", "pair", "bones", "frame", "home")
_PARTS = ("given_name", "middle_name", "family_name", "organization_name")
_MOST_PAIRED = 5
"""Words of one name that pairs are made of; a longer name is found by pairs of its first words and any single word."""
SHORTEST_WORD = 4
"""Letters from which on a word is searched with a typo."""
_LONGEST_VALUE = 200


def fold_email(address: str) -> str:
    """The form e-mails are compared in: the whole address case-folded."""
    return fold(address)


def digits(text: str) -> str:
    """The decimal digits of a text, in ASCII."""
    return "".join(str(int(letter)) for letter in text if letter.isdecimal())


def pair(one: str, other: str) -> str:
    """The key of two search forms, found by the whole `other` and the beginning of `one`."""
    return f"{one[:1]}:{other} {one}"


def frame(one: str, other: str, *, vowels: bool) -> str:
    """The key of two skeletons."""
    low, high = sorted((one, other))
    return f"{'v' if vowels else 'a'} {low} {high}"


@lru_cache(maxsize=20_000)
def _of_word(word: str) -> tuple[Key, ...]:
    keys = [("word", f"{form} {word}") for form in forms(word)]
    skeleton = bones(word)
    if len(skeleton) > 1:
        keys.append(("bones", f"{'a' if writes_no_vowels(word) else 'v'} {skeleton}"))
    return tuple(keys)


@lru_cache(maxsize=4_000)
def _of_pair(one: str, other: str) -> tuple[Key, ...]:
    first, second = forms(one), forms(other)
    keys = [("pair", pair(a, b)) for a in first for b in second]
    keys += [("pair", pair(b, a)) for a in first for b in second]
    low, high = bones(one), bones(other)
    if low and high and writes_no_vowels(one) == writes_no_vowels(other):
        keys.append(("frame", frame(low, high, vowels=not writes_no_vowels(one))))
    return tuple(dict.fromkeys(keys))


def _names(contact: RowLike) -> Iterator[str]:
    """Every name of a contact, whole."""
    for source in (contact, *(contact.get("other_names") or ())):
        name = " ".join(source[part] for part in _PARTS if source.get(part))
        if name:
            yield name


def name_keys(names: Iterable[str]) -> list[Key]:
    """The keys of whole names."""
    keys: dict[Key, None] = {}
    for name in names:
        found = name_words(name)
        for word in found:
            keys.update(dict.fromkeys(_of_word(word)))
        for one, other in combinations(found[:_MOST_PAIRED], 2):
            keys.update(dict.fromkeys(_of_pair(one, other)))
    return list(keys)


def place(city: str) -> str:
    """The search form of a city."""
    return " ".join(canonical(word) for word in name_words(city))


def _homes(keys: list[Key]) -> list[Key]:
    """Words of names, by their likeliest form, with the cities of the contact."""
    likeliest: dict[str, str] = {}
    for kind, value in keys:
        if kind == "word":
            form, _, word = value.partition(" ")
            likeliest.setdefault(word, form)
    words = list(dict.fromkeys(likeliest.values()))[:_MOST_PAIRED]
    places = [value for kind, value in keys if kind == "place"][:_MOST_PAIRED]
    return [("home", pair(city, word)) for city in places for word in words]


def birthday(birth_date: str | None) -> str | None:
    """``MM-DD`` of a full or yearless date (``1980-05-17``, ``--05-17``); nothing where the day is not known."""
    found = re.fullmatch(r"(?:\d{4}|-)-(\d\d-\d\d)", birth_date or "")
    return found.group(1) if found else None


def _of_addresses(addresses: Sequence[Mapping[str, Any]]) -> list[Key]:
    keys: list[Key] = []
    for item in addresses:
        if item.get("city"):
            keys += [("city", fold(item["city"])), ("place", place(item["city"]))]
        if item.get("country"):
            keys.append(("country", item["country"]))
    return keys


def key_rows(contact: RowLike) -> list[Key]:
    """The keys of a contact; those of an organization's own fields (``custom:…``) are derived by `custom_fields`."""
    columns = contact if isinstance(contact, dict) else dict(contact)
    keys = [("email", fold_email(item["address"])) for item in columns["emails"]]
    keys += [("mailbox", mailbox_key(item["address"]) or "") for item in columns["emails"]]
    for item in columns["phones"]:
        keys += [("phone", item["number"]), ("tail", digits(item["number"])[::-1])]
    keys += _of_addresses(columns["addresses"])
    keys += [("tag", tag) for tag in columns["tags"]]
    keys += [("role", role) for role in columns["roles"]]
    keys += [("handle", f"{item['network']}:{fold(item['handle'])}") for item in columns.get("handles") or ()]
    keys += [("external", f"{item['id']} {item['system']}") for item in columns.get("external_ids") or ()]
    born = birthday(columns.get("birth_date"))
    if born:
        keys.append(("birthday", born))
    keys += name_keys(_names(columns))
    keys += _homes(keys)
    return list(dict.fromkeys((kind, value[:_LONGEST_VALUE]) for kind, value in keys if value))


def vocabulary(keys: Iterable[Key]) -> set[str]:
    """The words among keys that are found in spite of a typo, both as written and in their search form."""
    found: set[str] = set()
    for kind, value in keys:
        if kind == "word":
            found.update(word for word in value.split(" ", 1) if len(word) >= SHORTEST_WORD and not word.isdecimal())
    return found


def variants(word: str) -> list[str]:
    """The word and what is left of it when one letter is missing."""
    return list(dict.fromkeys([word, *(word[:at] + word[at + 1 :] for at in range(len(word)))]))
