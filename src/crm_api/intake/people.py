"""From what a delivery tells of a person to what a contact can hold. Pure: what is not usable is left out."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import phonenumbers

from crm_api.contacts.newcomers import Newcomer, person_name
from crm_api.contacts.parts import clean_email
from crm_api.intake.kinds.kind import Person

_LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8})*")
_COUNTRY = re.compile(r"[A-Z]{2}")
_HANDLE = re.compile(r"[^\s\x00-\x1f]{1,200}")


def phone_number(number: str | None, country: str | None) -> str | None:
    """The number in E.164, read as one of the country where it has no country code; nothing where it is none."""
    if not number:
        return None
    digits = re.sub(r"\D", "", number)
    for text, region in ((number, country), (f"+{digits}", None)):
        try:
            parsed = phonenumbers.parse(text[:40], region)
        except phonenumbers.NumberParseException:
            continue
        if phonenumbers.is_valid_number(parsed):
            return str(phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164))
    return None


def email_address(address: str | None) -> str | None:
    """The address; nothing where it is none."""
    try:
        return clean_email(address) if address and len(address) <= 254 else None
    except ValueError:
        return None


def newcomer_of(person: Person, defaults: Mapping[str, Any], origin: Mapping[str, str], channel: str) -> Newcomer:
    """The person with what the source brings."""
    given, family = person_name(person.name)
    named = person.given_name or person.family_name
    handle = person.handle if person.handle and _HANDLE.fullmatch(person.handle[1]) else None
    language = person.language if person.language and _LANGUAGE.fullmatch(person.language) else None
    return Newcomer(
        given_name=person.given_name if named else given,
        middle_name=person.middle_name,
        family_name=person.family_name if named else family,
        organization_name=person.organization_name,
        email=email_address(person.email),
        phone=phone_number(person.phone, defaults.get("country")),
        handle=handle,
        username=person.username if person.username and _HANDLE.fullmatch(person.username) else None,
        external_id=person.external_id,
        language=language or defaults.get("language"),
        city=person.city,
        country=person.country if person.country and _COUNTRY.fullmatch(person.country) else None,
        custom=person.custom,
        tags=defaults.get("tags", ()),
        roles=defaults.get("roles", ()),
        source={"channel": channel, **(defaults.get("source") or {}), **origin},
    )
