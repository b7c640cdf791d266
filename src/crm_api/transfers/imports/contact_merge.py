"""When a row and a contact are one person, and what of the row a contact takes over. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from crm_api.contacts import roles
from crm_api.contacts.fields import fold_email
from crm_api.kit.names import words
from crm_api.kit.scripts import canonical, name_words

_SCALARS = (
    "kind", "given_name", "middle_name", "family_name", "organization_name", "salutation", "formal_greeting",
    "informal_greeting", "language", "timezone", "birth_date", "gender", "preferred_channel", "do_not_contact",
    "deceased", "deceased_on",
)  # fmt: skip
_WHERE = ("line1", "line2", "city", "region", "postal_code", "country")
_LIMITS = {
    "emails": 20,
    "phones": 20,
    "addresses": 20,
    "handles": 20,
    "other_names": 20,
    "external_ids": 50,
    "tags": 100,
}


class TooMany(ValueError):
    """A contact would have more of something than it may; the text is the column's name."""


def same_name(row: Mapping[str, Any], contact: Mapping[str, Any]) -> bool:
    """Whether the names of a row and of a contact with the same e-mail or phone are those of one person.

    Families share addresses, and two of a family must never become one. So either side must have no name at all, or the
    given names and the family names must agree, in the same or the other order; a part that one side lacks is no
    difference, except the given name. Organizations agree by their name. Names are compared across scripts.
    """
    ours, theirs = _name(row), _name(contact)
    if not any(ours) or not any(theirs):
        return True
    if bool(ours[2]) != bool(theirs[2]) and not (any(ours[:2]) and any(theirs[:2])):
        return False
    if not any(ours[:2]) or not any(theirs[:2]):
        return bool(ours[2]) and ours[2] == theirs[2]
    if ours[0] | ours[1] == theirs[0] | theirs[1]:
        return True
    if not ours[0] or not theirs[0] or ours[0] != theirs[0]:
        return False
    return not ours[1] or not theirs[1] or ours[1] == theirs[1]


def _name(values: Mapping[str, Any]) -> tuple[frozenset[str], frozenset[str], frozenset[str]]:
    given, family, whole = (
        frozenset(canonical(word) for word in name_words(values.get(part) or ""))
        for part in ("given_name", "family_name", "organization_name")
    )
    return given, family, whole


def other_record(row_ids: Sequence[tuple[str, str]], contact: Mapping[str, Any]) -> bool:
    """Whether a system that the row names knows the contact under another id: then they are two records there, however
    alike they look."""
    known = {item["system"]: item["id"] for item in contact["external_ids"]}
    return any(system in known and known[system] != own for system, own in row_ids)


def changes_of(before: Mapping[str, Any], values: Mapping[str, Any], today: str) -> dict[str, Any]:
    """The columns of a contact that a row changes: what it says takes the place of what was there, lists are added to,
    what it leaves open stays. `TooMany` where a list would grow too long."""
    after: dict[str, Any] = {name: values[name] for name in _SCALARS if values.get(name) is not None}
    for name, identity in _LISTS.items():
        if values.get(name):
            after[name] = _joined(before[name], values[name], identity)
    if values.get("addresses"):
        after["addresses"] = _addresses(before["addresses"], values["addresses"])
    if values.get("tags"):
        after["tags"] = list(dict.fromkeys([*before["tags"], *values["tags"]]))
    for name, other in (("custom", "custom_sensitive"), ("custom_sensitive", "custom")):
        if said := values.get(name):
            after[name] = {**after.get(name, before[name]), **said}
            if before[other].keys() & said.keys():  # the field has become sensitive, or is not any more
                held = after.get(other, before[other])
                after[other] = {key: value for key, value in held.items() if key not in said}
    after |= _roles(before, values, today)
    for name, most in _LIMITS.items():
        if len(after.get(name, ())) > most:
            raise TooMany(name)
    changes = {name: value for name, value in after.items() if value != before[name]}
    if changes.get("kind") == "organization" and not after.get("organization_name", before["organization_name"]):
        raise TooMany("organization_name")
    return changes


def _roles(before: Mapping[str, Any], values: Mapping[str, Any], today: str) -> dict[str, Any]:
    details = list(before["role_details"])
    if values.get("roles"):
        names = [*before["roles"], *values["roles"]]
        details = roles.from_names(names, details, today)
    for item in values.get("role_details") or ():
        if item not in details and not (item["until"] is None and item["role"] in roles.current(details, today)):
            details.append(item)
    if details == before["role_details"]:
        return {}
    return {"role_details": details, "roles": roles.current(details, today)}


Identity = Callable[[Mapping[str, Any]], Any]
_LISTS: dict[str, Identity] = {
    "emails": lambda item: fold_email(item["address"]),
    "phones": lambda item: item["number"],
    "handles": lambda item: (item["network"], item["handle"].casefold()),
    "external_ids": lambda item: (item["system"], item["id"]),
    "other_names": lambda item: tuple(sorted((k, v) for k, v in item.items() if v)),
}


def _joined(known: Sequence[Any], said: Sequence[Any], identity: Identity) -> list[Any]:
    """The known items and those of the row that are not among them; the first of all stays the primary one."""
    seen = {identity(item) for item in known}
    result = [dict(item) for item in known]
    has_primary = any(item.get("is_primary") for item in known)
    for item in said:
        if identity(item) not in seen:
            seen.add(identity(item))
            fresh = dict(item)
            if "is_primary" in fresh:
                fresh["is_primary"] = not has_primary and fresh["is_primary"]
            result.append(fresh)
    return result


def _addresses(known: Sequence[Any], said: Sequence[Any]) -> list[Any]:
    """Each address of the row: one that is there already in other words is filled in, a new one becomes the primary."""
    result = [dict(item) for item in known]
    for item in said:
        twin = next((one for one in result if _agree(one, item)), None)
        if twin is not None:
            twin |= {name: item[name] for name in _WHERE if item[name] is not None and twin[name] is None}
            continue
        if item["is_primary"]:
            for one in result:
                one["is_primary"] = False
        result.append(dict(item))
    if result and not any(item["is_primary"] for item in result):
        result[0]["is_primary"] = True
    return result


def _agree(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    shared = [name for name in _WHERE if one[name] is not None and other[name] is not None]
    return bool(shared) and all(words(one[name]) == words(other[name]) for name in shared)
