"""Who paid, from whatever object of PayPal's names them: an order, a subscription, a payment of the old kind."""

from __future__ import annotations

import re
from typing import Any

from crm_api.payments.provider import Payer
from crm_api.payments.providers.paypal.reading import paypal_id
from crm_api.payments.providers.reading import at, email, mapping, text

ACCOUNT = 30
"""Trust in the details of a PayPal account."""
_COUNTRY = re.compile("[A-Z]{2}")


def payer(value: Any) -> Payer:
    """An order's ``payer`` or a subscription's ``subscriber``."""
    who = mapping(value)
    return _payer(
        address=mapping(who.get("address")) or mapping(at(who, "shipping_address", "address")),
        given=at(who, "name", "given_name"),
        family=at(who, "name", "surname"),
        mail=who.get("email_address"),
        phone=at(who, "phone", "phone_number", "national_number"),
        customer=who.get("payer_id"),
    )


def old_payer(value: Any) -> Payer:
    """A v1 payment's ``payer``."""
    who = mapping(at(value, "payer_info"))
    return _payer(
        address={"country_code": who.get("country_code"), **mapping(who.get("shipping_address"))},
        given=who.get("first_name"),
        family=who.get("last_name"),
        mail=who.get("email"),
        phone=who.get("phone"),
        customer=who.get("payer_id"),
    )


def _payer(*, address: dict[str, Any], given: Any, family: Any, mail: Any, phone: Any, customer: Any) -> Payer:
    country = (text(address.get("country_code"), 2) or "").upper()
    found = Payer(
        email=email(mail),
        name=" ".join(part for part in (text(given, 140), text(family, 140)) if part)[:200] or None,
        phone=_international(phone),
        country=country if _COUNTRY.fullmatch(country) else None,
        city=text(address.get("admin_area_2") or address.get("city"), 100),
        customer_ref=paypal_id(customer),
        rank=ACCOUNT,
    )
    return found if found.email or found.name else Payer(customer_ref=found.customer_ref)


def _international(phone: Any) -> str | None:
    """A number with its country; PayPal's own are without one, and could be anybody's."""
    found = text(phone, 40)
    return found if found and found.startswith("+") else None
