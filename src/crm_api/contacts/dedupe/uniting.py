"""What a survivor holds after a merge, as a pure function of what each record had of its own.

Because nothing but the records' own content counts, and the retired ones are always taken in one order (the oldest
first), any order of merges that ends in the same survivor ends in the same content. A value that came to the survivor
with an earlier merge is therefore not its own; `own_content` tells the two apart.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

from crm_api.contacts.roles import current

SCALARS = (
    "given_name", "middle_name", "family_name", "organization_name", "salutation", "formal_greeting",
    "informal_greeting", "language", "timezone", "birth_date", "gender", "preferred_channel", "owner_member_id",
    "deceased_on",
)  # fmt: skip
"""The survivor's value stays where it has one; else the oldest record's that has one."""
STICKY = ("do_not_contact", "deceased")
"""True as soon as one record says so; a merge never takes it back."""
DOCUMENTS = ("custom", "custom_sensitive")
LISTS = ("other_names", "emails", "phones", "addresses", "handles", "external_ids", "tags", "role_details")
CONTENT = ("kind", *SCALARS, *STICKY, *DOCUMENTS, *LISTS, "source")
CHOOSABLE = (*SCALARS, "other_names", "emails", "phones", "addresses", "handles", "tags")
"""Columns whose value may be chosen from one of the records; ``custom.<key>`` too. External ids are kept for ever."""

_NAME_PARTS = ("given_name", "middle_name", "family_name", "organization_name")
_WORSE = {"unverified": 0, "valid": 0, "verified": 1, "bouncing": 2, "invalid": 3, "opted_out": 4}


@dataclass(frozen=True, slots=True)
class Record:
    """A record that takes part in a merge, with what it has of its own."""

    id: UUID
    created_at: datetime
    own: Mapping[str, Any]

    @property
    def age(self) -> tuple[datetime, str]:
        """What retired records are ordered by."""
        return self.created_at, str(self.id)


def content_of(row: Mapping[str, Any] | Any) -> dict[str, Any]:
    """The mergeable columns of a row, in the form JSON gives them back."""
    return {name: _plain(row[name]) for name in CONTENT}


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, date) else str(value) if isinstance(value, UUID) else value


def columns_of(content: Mapping[str, Any], today: str) -> dict[str, Any]:
    """The content as column values, with the current roles that follow from it."""
    values = dict(content)
    if values["deceased_on"] is not None:
        values["deceased_on"] = date.fromisoformat(values["deceased_on"])
    if values["owner_member_id"] is not None:
        values["owner_member_id"] = UUID(values["owner_member_id"])
    return {**values, "roles": current(values["role_details"], today)}


def own_content(
    now: Mapping[str, Any], own_before: Mapping[str, Any], produced: Mapping[str, Any], chosen: Iterable[str]
) -> dict[str, Any]:
    """What a survivor has of its own after a merge: what it had before, but for what was chosen or changed since."""
    kept = {name.partition(".")[0] for name in chosen}
    return {
        name: own_before[name] if now[name] == produced[name] and name not in kept else now[name] for name in CONTENT
    }


def unite(survivor: Record, others: Sequence[Record], choices: Mapping[str, Any]) -> dict[str, Any]:
    """The survivor's content. `choices`: column, or ``custom.<key>``, → the value chosen for it."""
    retired = sorted(others, key=lambda record: record.age)
    records = [survivor, *retired]
    result: dict[str, Any] = {"kind": survivor.own["kind"]}
    for name in SCALARS:
        result[name] = _first(record.own[name] for record in records)
    for name in STICKY:
        result[name] = any(record.own[name] for record in records)
    for name in DOCUMENTS:
        result[name] = {}
        for record in reversed(records):
            result[name] |= record.own[name]
    for name, identity in _IDENTITIES.items():
        result[name] = _united([record.own[name] for record in records], identity)
    result["role_details"] = _roles([record.own["role_details"] for record in records])
    touched = sorted((r for r in records if r.own["source"] is not None), key=lambda record: record.age)
    result["source"] = touched[0].own["source"] if touched else None
    for name, value in choices.items():
        column, _, key = name.partition(".")
        if key:
            column = "custom_sensitive" if key in result["custom_sensitive"] else "custom"
            result[column] = {**result[column], key: value}
        else:
            result[column] = value
    if "other_names" not in choices:
        result["other_names"] = _with_former_names(result, records)
    return result


def _first(values: Iterable[Any]) -> Any:
    return next((value for value in values if value is not None), None)


def _fold(value: Any) -> Any:
    return " ".join(value.casefold().split()) if isinstance(value, str) else value


def _place(item: Mapping[str, Any]) -> Hashable:
    return tuple(
        (name, _fold(value)) for name, value in sorted(item.items()) if name not in {"label", "is_primary", "status"}
    )


_IDENTITIES: dict[str, Callable[[Any], Hashable]] = {
    "other_names": lambda item: tuple(sorted((name, _fold(value)) for name, value in item.items() if value)),
    "emails": lambda item: item["address"].casefold(),
    "phones": lambda item: item["number"],
    "addresses": _place,
    "handles": lambda item: (item["network"], item["handle"].casefold()),
    "external_ids": lambda item: (item["system"], item["id"]),
    "tags": lambda item: item,
}
"""By what two items of a list are the same."""


def _united(lists: Sequence[Sequence[Any]], identity: Callable[[Any], Hashable]) -> list[Any]:
    """The items of all lists, each once; the first record's primary one stays the only one."""
    found: dict[Hashable, Any] = {}
    primary: Hashable | None = None
    for items in lists:
        for item in items:
            key = identity(item)
            if isinstance(item, dict) and item.get("is_primary") and primary is None:
                primary = key
            found[key] = _both(found[key], item) if key in found else item
    if primary is None:
        return list(found.values())
    return [{**item, "is_primary": key == primary} for key, item in found.items()]


def _both(known: Any, other: Any) -> Any:
    """One item of two records: the first one's, with the other's label where it has none, and the worse status, so that
    an address that somebody opted out of stays so."""
    if not isinstance(known, dict):
        return known
    item = dict(known)
    if item.get("label") is None and other.get("label") is not None:
        item["label"] = other["label"]
    if "status" in item:
        item["status"] = max(item["status"], other["status"], key=lambda status: _WORSE.get(status, 0))
    return item


def _roles(lists: Sequence[Sequence[Mapping[str, Any]]]) -> list[dict[str, Any]]:
    """Every spell of every role once; a role that is open in several records is open once, since the earliest day."""
    found: list[dict[str, Any]] = []
    open_: dict[str, dict[str, Any]] = {}
    for item in (dict(item) for items in lists for item in items):
        if item["until"] is not None:
            if item not in found:
                found.append(item)
        elif item["role"] in open_:
            known = open_[item["role"]]
            known["since"] = min((day for day in (known["since"], item["since"]) if day), default=None)
        else:
            open_[item["role"]] = item
            found.append(item)
    return found


def _with_former_names(result: Mapping[str, Any], records: Sequence[Record]) -> list[Any]:
    """The other names, with those of the records that the survivor does not bear: people still look for them."""
    names = list(result["other_names"])
    known = {_bare(item) for item in (*names, result)}
    for record in records:
        name = _bare(record.own)
        if any(name) and name not in known:
            known.add(name)
            names.append({"type": "alias", **{part: record.own[part] for part in _NAME_PARTS}})
    return names


def _bare(item: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(_fold(item[part]) for part in _NAME_PARTS)


def taken_back(before: Mapping[str, Any], produced: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, Any]:
    """The content after a merge is undone: as it was before, with what somebody has changed since then."""
    result = {}
    for name in CONTENT:
        if now[name] == produced[name]:
            result[name] = before[name]
        elif name in DOCUMENTS:
            result[name] = _members_back(before[name], produced[name], now[name])
        elif name in LISTS:
            result[name] = _items_back(name, before[name], produced[name], now[name])
        else:
            result[name] = now[name]
    return result


def _members_back(before: dict[str, Any], produced: dict[str, Any], now: dict[str, Any]) -> dict[str, Any]:
    """Members that are as the merge left them go back; others are somebody's change and stay."""
    untouched = {name for name in {*before, *produced} if now.get(name) == produced.get(name)}
    kept = {name: value for name, value in now.items() if name not in untouched}
    return {name: value for name, value in before.items() if name in untouched} | kept


def _items_back(name: str, before: list[Any], produced: list[Any], now: list[Any]) -> list[Any]:
    identity = _IDENTITIES.get(name, lambda item: (item["role"], item["until"]))
    had = {identity(item): item for item in before}
    made = {identity(item): item for item in produced}
    kept = [had.get(identity(item)) if made.get(identity(item)) == item else item for item in now]
    result = [item for item in kept if item is not None]
    result += [item for key, item in had.items() if key not in made and item not in result]  # what a choice left out
    if result and isinstance(result[0], dict) and "is_primary" in result[0]:
        first = next((n for n, item in enumerate(result) if item["is_primary"]), 0)
        result = [{**item, "is_primary": n == first} for n, item in enumerate(result)]
    return result
