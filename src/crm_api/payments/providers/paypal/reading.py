"""What every part of PayPal's words has in common: the frame of an event, ids in links, our own marks."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from crm_api.kit.money import Money, exponent
from crm_api.payments.provider import Interpretation
from crm_api.payments.providers.exact import main_units
from crm_api.payments.providers.reading import at, mapping, sequence, text, uuid

_ID = re.compile(r"[A-Za-z0-9-]{3,64}")
_WHOLE = frozenset(("HUF", "JPY", "TWD"))
"""Currencies that PayPal takes no decimals of."""
_MARK, _PLAN_MARK = "crm.", "crm-plan."
_CARRIED = {"contact_id": "contact", "campaign_code": "campaign", "fund_code": "fund"}
_PLAIN = re.compile(r"[A-Za-z0-9_.-]{1,100}")
_LONGEST_MARK = 127


@dataclass(frozen=True, slots=True)
class Event:
    """One webhook event whose frame is sound; `obj` may still hold anything."""

    type: str
    obj: dict[str, Any]
    at: datetime
    """When PayPal made the event."""


Handler = Callable[[Event], Interpretation]


@dataclass(frozen=True, slots=True)
class Ours:
    """What our own checkout carried through ``custom_id``."""

    checkout_id: str | None = None
    plan_checkout_id: str | None = None
    """Of a subscription, and so of each of its charges: the checkout that began it."""
    contact_id: str | None = None
    campaign_code: str | None = None
    fund_code: str | None = None


def paypal_id(value: Any) -> str | None:
    """One of PayPal's ids."""
    return value if isinstance(value, str) and _ID.fullmatch(value) else None


def amount_of(value: Any) -> Money | None:
    """An amount in either version: ``value``/``currency_code`` of v2, ``total`` or ``value``/``currency`` of v1. Old
    refunds are printed below zero; what is meant is the sum."""
    found = mapping(value)
    number = found.get("value", found.get("total"))
    if isinstance(number, str):
        number = number.removeprefix("-")
    return main_units(number, found.get("currency_code", found.get("currency")))


def printed(money: Money) -> dict[str, str] | None:
    """An amount as PayPal takes it; nothing where it has decimals that PayPal does not take."""
    value = money.major()
    if money.currency in _WHOLE:
        if value != value.to_integral_value():
            return None
        return {"currency_code": money.currency, "value": str(value.to_integral_value())}
    places = Decimal(1).scaleb(-min(exponent(money.currency), 2))
    if value != value.quantize(places):
        return None
    return {"currency_code": money.currency, "value": str(value.quantize(places))}


def linked(obj: Mapping[str, Any], folder: str, *rels: str) -> str | None:
    """The id at the end of a link of one of those relations that leads into a folder such as ``payments/captures``."""
    for link in sequence(obj.get("links")):
        if at(link, "rel") in rels and isinstance(href := at(link, "href"), str):
            path = href.partition("?")[0].rstrip("/")
            before, _, last = path.rpartition("/")
            if before.endswith(f"/{folder}") and (found := paypal_id(last)):
                return found
    return None


def order_of(obj: Mapping[str, Any]) -> str | None:
    """The order that a capture belongs to."""
    return paypal_id(at(obj, "supplementary_data", "related_ids", "order_id")) or linked(obj, "checkout/orders", "up")


def sandbox(payload: Any) -> bool | None:
    """Whether an event is of the sandbox, by the links it has to itself; nothing where it has none."""
    for link in sequence(at(payload, "links")):
        href = at(link, "href")
        try:
            host = urlsplit(href).hostname or "" if isinstance(href, str) else ""
        except ValueError:
            continue
        if host == "paypal.com" or host.endswith(".paypal.com"):
            return ".sandbox." in f".{host}"
    return None


def ours(value: Any) -> Ours:
    """What stands in a ``custom_id`` of ours; nothing of anybody else's."""
    if not isinstance(value, str) or not value.startswith((_MARK, _PLAN_MARK)):
        return Ours()
    plan = value.startswith(_PLAN_MARK)
    checkout, *parts = value.removeprefix(_PLAN_MARK if plan else _MARK).split(",")
    carried = dict(part.partition(".")[::2] for part in parts)
    return Ours(
        checkout_id=None if plan else uuid(checkout),
        plan_checkout_id=uuid(checkout) if plan else None,
        contact_id=uuid(carried.get("contact")),
        campaign_code=text(carried.get("campaign"), 100),
        fund_code=text(carried.get("fund"), 100),
    )


def mark(checkout_id: UUID, metadata: Mapping[str, str], *, plan: bool = False) -> str:
    """The ``custom_id`` of a checkout of ours, or of the plan that one begins: PayPal takes letters, digits and
    ``-_.,`` there, and not many. What does not fit is left out; our checkout knows it anyway."""
    found = f"{_PLAN_MARK if plan else _MARK}{checkout_id}"
    for name, short in _CARRIED.items():
        value = metadata.get(name)
        part = f",{short}.{value}"
        if value and _PLAIN.fullmatch(value) and len(found) + len(part) <= _LONGEST_MARK:
            found += part
    return found
