"""E-mail addresses and phone numbers of the common shapes, judged without the libraries that know every shape.

The libraries take a tenth of a millisecond each, which is most of the time it takes to read a row of an import. What is
answered here is what they would answer (a property test holds that); anything unusual is None, and theirs to judge.
"""

from __future__ import annotations

import re
from functools import lru_cache

from email_validator import SPECIAL_USE_DOMAIN_NAMES
from phonenumbers import COUNTRY_CODE_TO_REGION_CODE, PhoneMetadata

_EMAIL = re.compile(
    r"(?=[^@]{1,64}@)[A-Za-z0-9_](?:[A-Za-z0-9_+-]|\.(?=[A-Za-z0-9_+-]))*"
    r"@((?:[A-Za-z0-9](?:[A-Za-z0-9]|-(?=[A-Za-z0-9])){0,61}\.)+[A-Za-z]{2,20})",
    re.ASCII,
)
_RESERVED = frozenset(name.rpartition(".")[2] for name in SPECIAL_USE_DOMAIN_NAMES)
_PHONE = re.compile(r"\+[1-9](?:[ ().-]{0,2}[0-9]){6,14}", re.ASCII)
_NOT_DIGITS = re.compile(r"[^0-9]")


def quick_email(address: str) -> str | None:
    """The normalized address where its shape is a common one."""
    match = _EMAIL.fullmatch(address)
    if match is None or len(address) > 250:
        return None
    domain = match[1]
    if domain.rpartition(".")[2].lower() in _RESERVED:
        return None
    return address if domain.islower() else address[: -len(domain)] + domain.lower()


@lru_cache(maxsize=512)
def _plan(code: int) -> tuple[re.Pattern[str] | None, frozenset[int]] | None:
    """What the numbers of a country code may not begin with, lest the library takes it off, and how long they are."""
    regions = COUNTRY_CODE_TO_REGION_CODE.get(code)
    if regions is None:
        return None
    found = PhoneMetadata.metadata_for_region_or_calling_code(code, regions[0])
    if found is None or found.general_desc is None:
        return None
    prefix = found.national_prefix_for_parsing
    return re.compile(prefix) if prefix else None, frozenset(found.general_desc.possible_length)


def quick_phone(number: str) -> str | None:
    """The number in E.164 where it is written with its country code in a common way."""
    if _PHONE.fullmatch(number) is None:
        return None
    digits = _NOT_DIGITS.sub("", number)
    for size in (1, 2, 3):
        plan = _plan(int(digits[:size]))
        if plan is not None:
            prefix, lengths = plan
            national = digits[size:]
            if len(national) not in lengths or national[0] == "0" or (prefix is not None and prefix.match(national)):
                return None
            return "+" + digits
    return None
