"""What a contact is to the organization: roles with a stage and dates. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from crm_api.kit.problems import Invalid

Detail = dict[str, Any]


def current(details: Sequence[Mapping[str, Any]], today: str) -> list[str]:
    """Names of the roles that have not ended by `today` (ISO date), in their order, each once."""
    return list(dict.fromkeys(item["role"] for item in details if item["until"] is None or item["until"] > today))


def from_names(names: Sequence[str], before: Sequence[Mapping[str, Any]], today: str) -> list[Detail]:
    """The details when exactly these roles are current: new ones begin today, others end today."""
    now = current(before, today)
    kept: list[Detail] = []
    for item in before:
        ended = item["role"] not in names and (item["until"] is None or item["until"] > today)
        kept.append({**item, "until": today} if ended else {**item})
    fresh = [name for name in dict.fromkeys(names) if name not in now]
    return kept + [{"role": name, "stage": "active", "since": today, "until": None} for name in fresh]


def tidy(details: Sequence[Mapping[str, Any]]) -> list[Detail]:
    """The details as sent, exact repeats left out; `Invalid` where one role is open twice."""
    found: list[Detail] = []
    for number, item in enumerate(details):
        if dict(item) in found:
            continue
        if item["until"] is None and any(other["role"] == item["role"] and other["until"] is None for other in found):
            detail = "This role is open twice; give the earlier one an end in until."
            raise Invalid.at(f"/role_details/{number}/role", "role_open_twice", detail)
        found.append(dict(item))
    return found


def check_known(names: Collection[str], known: Sequence[str], member: str) -> None:
    """`Invalid` where a role is none of the organization's."""
    if not set(names) <= set(known):
        raise Invalid.at(
            f"/{member}",
            "unknown_role",
            f"A contact can be: {', '.join(known)}. Add further roles with PATCH /v1/organization (contact_roles).",
        )
