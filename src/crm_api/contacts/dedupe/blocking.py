"""By which keys contacts meet: whoever shares none of them is never compared. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from crm_api.contacts.dedupe.nicknames import given_names
from crm_api.contacts.keys import key_rows

KINDS = ("email", "external", "frame", "handle", "mailbox", "phone")
"""Kinds of `contact_keys`, in their order."""


def lookups(values: Mapping[str, Any]) -> set[tuple[str, str]]:
    """The keys under which contacts like this one are found, short forms of the name included."""
    keys = {key for key in key_rows(values) if key[0] in KINDS}
    return keys | {("frame", other) for kind, value in tuple(keys) if kind == "frame" for other in other_frames(value)}


def other_frames(value: str) -> set[str]:
    """The frames of the names that a frame's words can stand for: Саша Коваль is looked for as Олександр Коваль."""
    script, *skeletons = value.split(" ")
    if len(skeletons) != 2:
        return set()
    found = set()
    for one, other in (skeletons, reversed(skeletons)):
        for variant in given_names().skeletons(one):
            found.add(" ".join((script, *sorted((variant, other)))))
    return found - {value}


def rows_of(wanted: Iterable[Iterable[tuple[str, str]]]) -> list[dict[str, Any]]:
    """The lookups of several contacts as rows for one statement."""
    return [{"n": n, "kind": kind, "value": value} for n, keys in enumerate(wanted) for kind, value in keys]
