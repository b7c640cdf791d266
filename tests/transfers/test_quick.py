"""The short ways of judging e-mails and phone numbers answer what the libraries answer."""

from __future__ import annotations

import phonenumbers
from email_validator import EmailNotValidError, validate_email
from hypothesis import given, settings
from hypothesis import strategies as st
from phonenumbers import COUNTRY_CODE_TO_REGION_CODE, PhoneNumberFormat

from crm_api.contacts.quick import quick_email, quick_phone
from tests.support.effort import examples

_LABEL = st.text("abcXYZ019-_é", min_size=1, max_size=70)
_ADDRESSES = st.builds(
    lambda local, labels, ending: f"{local}@{'.'.join([*labels, ending])}",
    st.text("abcXYZ019.+-_'!%ü ", min_size=1, max_size=66),
    st.lists(_LABEL, max_size=4),
    st.sampled_from(["org", "ORG", "ua", "test", "local", "example", "invalid", "onion", "arpa", "укр", "c", "co1", "xn--p1ai", "museum"]),
)  # fmt: skip


def _of_the_library(address: str) -> str | None:
    try:
        return validate_email(address.strip(), check_deliverability=False, allow_smtputf8=True).normalized
    except EmailNotValidError:
        return None


@given(_ADDRESSES)
@settings(max_examples=examples(600))
def test_an_address_that_is_judged_quickly_is_judged_rightly(address: str) -> None:
    quick = quick_email(address)
    assert quick is None or quick == _of_the_library(address), address


def test_common_addresses_are_judged_quickly() -> None:
    for address in ("olena@example.org", "o.shevchenko+news@mail.Example.COM", "a_b-c@sub.domain.co.uk", "x1@e-x.org"):
        assert quick_email(address) == _of_the_library(address) is not None


_CODES = sorted(COUNTRY_CODE_TO_REGION_CODE)
_NUMBERS = st.builds(
    lambda code, digits, marks: "+" + "".join(
        digit + mark for digit, mark in zip(f"{code}{digits}", [*marks, *[""] * 20], strict=False)
    ),
    st.sampled_from(_CODES),
    st.text("0123456789", min_size=3, max_size=13),
    st.lists(st.sampled_from(["", "", "", " ", "-", ".", " (", ") "]), max_size=14),
)  # fmt: skip


@given(_NUMBERS)
@settings(max_examples=examples(400))
def test_a_number_that_is_judged_quickly_is_judged_rightly(number: str) -> None:
    quick = quick_phone(number)
    if quick is None:
        return
    parsed = phonenumbers.parse(number)
    assert phonenumbers.is_possible_number(parsed)
    assert quick == phonenumbers.format_number(parsed, PhoneNumberFormat.E164)


def test_common_numbers_are_judged_quickly() -> None:
    for number in ("+380501234567", "+380 (50) 123-45-67", "+995 555 12 34 56", "+44 7700 900123", "+1 212-555-0123"):
        assert quick_phone(number) is not None
