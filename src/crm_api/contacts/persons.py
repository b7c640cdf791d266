"""What a payment tells of the person who paid, and what of it a contact takes over. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from crm_api.kit.db import RowLike
from crm_api.kit.names import split_name

_MOST_EMAILS = 20  # as many as the API takes, so that a contact can be written back as it was read


@dataclass(frozen=True, slots=True)
class Person:
    """Who paid, as far as the payment says."""

    email: str | None = None
    name: str | None = None
    phone: str | None = None
    language: str | None = None
    country: str | None = None
    city: str | None = None


def told_by_payment(
    contact: RowLike, person: Person, emails: Sequence[str], given: Mapping[str, str]
) -> tuple[dict[str, Any], dict[str, str]]:
    """The columns that change, and what the contact then has from this payment (``given``, the next time).

    A blank column is filled in. A column that still holds what the same payment gave it before takes the payment's
    better word; so the statements of one payment end in the same contact in any order. Anything else stays: it is
    somebody's own. E-mail addresses are collected, `emails` being further ones of the same payment.
    """
    changes: dict[str, Any] = {}
    came = dict(given)
    own_name = split_name(given["name"]) if "name" in given else (None, None)
    if person.name and not contact["organization_name"] and not contact["middle_name"]:
        named = (contact["given_name"], contact["family_name"])
        if named == own_name:
            changes["given_name"], changes["family_name"] = split_name(person.name)
            came["name"] = person.name
    if person.language and contact["language"] == given.get("language"):
        changes["language"] = came["language"] = person.language
    if person.phone and list(contact["phones"]) == _phones(given.get("phone")):
        changes["phones"] = _phones(person.phone)
        came["phone"] = person.phone
    place = (person.country, person.city)
    if any(place) and list(contact["addresses"]) == _places(given.get("country"), given.get("city")):
        changes["addresses"] = _places(*place)
        came |= {name: value for name, value in zip(("country", "city"), place, strict=True) if value}
    changes["emails"], came = _emails(contact["emails"], person.email, emails, came)
    return {name: value for name, value in changes.items() if value != contact[name]}, came


def _phones(number: str | None) -> list[dict[str, Any]]:
    return [{"number": number, "label": None, "is_primary": True, "status": "valid"}] if number else []


def _places(country: str | None, city: str | None) -> list[dict[str, Any]]:
    if not country and not city:
        return []
    blank = dict.fromkeys(("line1", "line2", "region", "postal_code", "label", "season_from", "season_until"))
    return [{**blank, "city": city, "country": country, "is_primary": True, "status": "unverified"}]


def _emails(
    known: Sequence[Mapping[str, Any]], best: str | None, others: Sequence[str], came: dict[str, str]
) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """The addresses with the payment's added. Where the payment's own is the primary one, or none is known, its best
    word is that, and the order of the rest is fixed."""
    items = [dict(item) for item in known]
    primary = next((item["address"] for item in items if item["is_primary"]), None)
    for address in (best, *others):
        if len(items) >= _MOST_EMAILS:
            break
        if address and address.casefold() not in {item["address"].casefold() for item in items}:
            items.append({"address": address, "label": None, "is_primary": False, "status": "valid"})
    if best is None or (primary is not None and primary.casefold() != came.get("email", "").casefold()):
        if items and primary is None:
            items[0]["is_primary"] = True
        return items, came
    for item in items:
        item["is_primary"] = item["address"].casefold() == best.casefold()
        if item["is_primary"]:
            item["address"] = best
    items.sort(key=lambda item: (not item["is_primary"], item["address"]))
    return items, {**came, "email": best}
