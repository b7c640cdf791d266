"""What is known before the event is sent, so that what it brings can be told from what was there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from crm_api.simulate.api import Api, Forbidden
from crm_api.simulate.delivery import Delivery


@dataclass(frozen=True, slots=True)
class Before:
    """The things the event may touch, as they were."""

    delivered: bool
    """The same event has been delivered already."""
    gift: dict[str, Any] | None
    contact_id: str | None
    profile: dict[str, Any] | None
    letters: frozenset[str]


def look_before(api: Api, connection_id: str, delivery: Delivery) -> Before:
    """Look up what the event names."""
    twin = api.first("/v1/payments/inbox", provider_event_id=delivery.event_id, connection_id=connection_id)
    gift = None
    for ref in delivery.refs:
        gift = gift or api.first("/v1/donations", provider_payment_id=ref)
    contact_id = gift["contact_id"] if gift else None
    if contact_id is None and delivery.email:
        found = api.first("/v1/contacts", email=delivery.email)
        contact_id = found["id"] if found else None
    profile = profile_of(api, contact_id) if contact_id else None
    letters = letters_of(api, gift["id"]) if gift else []
    return Before(twin is not None, gift, contact_id, profile, frozenset(letter["id"] for letter in letters))


def profile_of(api: Api, contact_id: str) -> dict[str, Any] | None:
    """The donor profile; nothing when the key may not read it."""
    try:
        profile: dict[str, Any] = api.get(f"/v1/contacts/{contact_id}/donor-profile")
    except Forbidden:
        return None
    return profile


def letters_of(api: Api, donation_id: str) -> list[dict[str, Any]]:
    """Every letter about a gift, oldest first; none when the key may not read them."""
    try:
        found: list[dict[str, Any]] = api.get("/v1/messages", donation_id=donation_id, limit=50)["data"]
    except Forbidden:
        return []
    return found[::-1]
