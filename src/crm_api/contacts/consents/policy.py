"""What an organization contacts people for, its lists, and how long it keeps what the law asks for.

Kept in its settings. Pure but for `load`: the rules get their defaults from here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from crm_api.contacts.consents.rules import TRANSACTIONAL
from crm_api.kit.db import ReadSession
from crm_api.organizations.service import get_organization

KEY = "privacy"
"""The member of an organization's settings."""
PURPOSES: Mapping[str, str] = {
    TRANSACTIONAL: "contract",
    "newsletter": "consent",
    "fundraising": "consent",
    "events": "consent",
    "volunteering": "consent",
    "surveys": "consent",
}
"""Purposes that every organization has, with the legal basis that holds where the person has said nothing."""
RETENTION_YEARS = 7
EXPORT_DAYS = 7


@dataclass(frozen=True, slots=True)
class Policy:
    """An organization's choices."""

    purposes: Mapping[str, str]
    """Purpose → the basis that holds where the person has said nothing."""
    lists: Mapping[str, Mapping[str, str]]
    """List → ``purpose`` and ``name``."""
    retention_years: int


def policy_of(settings: Mapping[str, Any] | None) -> Policy:
    """The choices in an organization's settings, completed with the defaults."""
    chosen = (settings or {}).get(KEY) or {}
    return Policy(
        {**PURPOSES, **{item["code"]: item["legal_basis"] for item in chosen.get("purposes", ())}},
        {item["code"]: {"purpose": item["purpose"], "name": item["name"]} for item in chosen.get("lists", ())},
        chosen.get("retention_years", RETENTION_YEARS),
    )


async def load(session: ReadSession) -> Policy:
    """This organization's choices."""
    return policy_of((await get_organization(session))["settings"])
