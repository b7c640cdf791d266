"""What an organization allows on its checkouts: where donors are sent afterwards, how little and how often. Kept in its
settings; pure but for `load`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from crm_api.kit.db import ReadSession
from crm_api.kit.money import exponent
from crm_api.kit.problems import Invalid
from crm_api.organizations.service import get_organization

KEY = "checkout"
"""The member of an organization's settings."""
_HERE = ("localhost", "127.0.0.1", "[::1]")


@dataclass(frozen=True, slots=True)
class Limits:
    """How many checkouts may be asked for; the window is in the name."""

    per_key_per_minute: int = 60
    per_address_per_hour: int = 20
    per_email_per_hour: int = 10
    failures_per_ten_minutes: int = 20
    """Payments refused on one connection, after which nothing new is begun there for a while."""


@dataclass(frozen=True, slots=True)
class Policy:
    """An organization's choices."""

    origins: tuple[str, ...] = ()
    """Where donors may be sent afterwards; any https address where none is named."""
    minimum: Mapping[str, int] = field(default_factory=dict)
    """The smallest gift, in minor units by currency; elsewhere one main unit."""
    page_minutes: int = 60
    description: str = "Donation"
    limits: Limits = field(default_factory=Limits)

    def smallest(self, currency: str) -> int:
        """The smallest gift in a currency, in minor units."""
        found: int = self.minimum.get(currency, 10 ** exponent(currency))
        return found

    def check_return(self, pointer: str, url: str, *, test: bool) -> None:
        """422 for an address that donors are not to be sent to."""
        parts = urlsplit(url)
        here = test and parts.hostname is not None and parts.netloc.rpartition(":")[0] in _HERE
        here = here or (test and parts.netloc in _HERE)
        if parts.username is not None or not parts.hostname or (parts.scheme != "https" and not here):
            said = "Send an https address without a user name."
            raise Invalid.at(pointer, "return_not_https", said)
        if self.origins and f"{parts.scheme}://{parts.netloc}".lower() not in self.origins:
            said = "Donors are not to be sent to this origin; add it to allowed_origins (PUT /v1/checkout-settings)."
            raise Invalid.at(pointer, "return_not_allowed", said)


def policy_of(settings: Mapping[str, Any] | None) -> Policy:
    """The choices in an organization's settings, completed with the defaults."""
    chosen = (settings or {}).get(KEY) or {}
    return Policy(
        origins=tuple(chosen.get("allowed_origins", ())),
        minimum={one["currency"]: one["amount"] for one in chosen.get("minimum", ())},
        page_minutes=chosen.get("page_minutes", 60),
        description=chosen.get("description", "Donation"),
        limits=Limits(**chosen.get("limits", {})),
    )


async def load(session: ReadSession) -> Policy:
    """This organization's choices."""
    return policy_of((await get_organization(session))["settings"])
