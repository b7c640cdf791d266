"""Cells of gifts as people write them: amounts, currencies, days, statuses, methods. Pure."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time
from decimal import Decimal
from functools import lru_cache

from crm_api.donations.gifts.models import METHODS, STATUSES
from crm_api.kit import clock
from crm_api.kit.money import CURRENCIES, MAX_MINOR, exponent, minor_from_major
from crm_api.kit.names import fold
from crm_api.transfers.imports import values

_PLAIN = re.compile(r"[0-9]{1,16}(?:\.[0-9]{1,6})?")
_AROUND = re.compile(r"^(?:[^\d\-−(.,]{1,5})?\s*|\s*(?:[^\d).,\-−]{1,5})?\.?$")
_SPACES = re.compile(r"[\s\u00a0\u202f\u2009'’]+")
_GROUPS = {",": re.compile(r"[0-9]{1,3}(?:,[0-9]{3})+"), ".": re.compile(r"[0-9]{1,3}(?:\.[0-9]{3})+")}
_SYMBOLS = {"€": "EUR", "₴": "UAH", "грн": "UAH", "грн.": "UAH", "₾": "GEL", "£": "GBP", "zł": "PLN", "₸": "KZT"}
_STATUSES = {
    "success": "succeeded", "successful": "succeeded", "paid": "succeeded", "complete": "succeeded",
    "completed": "succeeded", "cleared": "succeeded", "settled": "succeeded", "received": "succeeded",
    "оплачено": "succeeded", "успішно": "succeeded", "успешно": "succeeded", "partially refunded": "partially_refunded",
    "partial refund": "partially_refunded", "refund": "refunded", "повернено": "refunded", "возвращено": "refunded",
    "declined": "failed", "error": "failed", "відхилено": "failed", "отклонено": "failed", "cancelled": "canceled",
    "voided": "canceled", "скасовано": "canceled", "отменено": "canceled", "processing": "pending", "new": "pending",
    "очікується": "pending", "chargeback": "charged_back", "charged back": "charged_back", "lost": "charged_back",
    "dispute": "disputed",
}  # fmt: skip
_METHODS = {
    "credit card": "card", "debit card": "card", "creditcard": "card", "stripe": "card", "картка": "card",
    "карта": "card", "bank": "bank_transfer", "bank transfer": "bank_transfer", "wire": "bank_transfer",
    "wire transfer": "bank_transfer", "ach": "bank_transfer", "eft": "bank_transfer", "sepa": "bank_transfer",
    "direct debit": "bank_transfer", "банківський переказ": "bank_transfer", "банковский перевод": "bank_transfer",
    "check": "cheque", "чек": "cheque", "готівка": "cash", "наличные": "cash", "ნაღდი": "cash", "paypal": "wallet",
    "apple pay": "wallet", "google pay": "wallet", "venmo": "wallet", "cryptocurrency": "crypto", "bitcoin": "crypto",
    "in kind": "in_kind", "in-kind": "in_kind", "goods": "in_kind", "stocks": "stock", "securities": "stock",
}  # fmt: skip


@lru_cache(maxsize=64)
def currency(text: str) -> str:
    """The ISO 4217 code of a code or of a sign that is one currency's own; `ValueError` where it is none."""
    plain = text.strip()
    found = _SYMBOLS.get(plain.lower(), plain.upper())
    if found not in CURRENCIES:
        raise ValueError("is not a currency; use its three-letter code, such as UAH")
    return found


@lru_cache(maxsize=8192)
def amount(text: str, code: str) -> int:
    """Minor units of an amount in main units, zero or more; `ValueError` where it cannot be told."""
    plain = text if _PLAIN.fullmatch(text) else _digits(text, code)
    value = Decimal(plain)
    try:
        minor = minor_from_major(value, code)
    except ValueError:
        raise ValueError(f"has more decimals than {code} has ({exponent(code)})") from None
    if minor > MAX_MINOR:
        raise ValueError("is more than any amount can be")
    return minor


def _digits(text: str, code: str) -> str:
    """The amount with a decimal point and nothing else beside its digits."""
    plain = _SPACES.sub("", _AROUND.sub("", values.unicode_digits(text).replace("٫", ".").replace("٬", ",").strip()))
    if plain.startswith(("-", "−", "(")):
        raise ValueError("is below zero; a gift that was given back is a row with status refunded")
    point, comma = plain.rfind("."), plain.rfind(",")
    if point >= 0 and comma >= 0:
        decimal, group = (".", ",") if point > comma else (",", ".")
        whole, _, rest = plain.rpartition(decimal)
        if not _GROUPS[group].fullmatch(whole):
            raise ValueError("must be an amount such as 1250.50")
        plain = f"{whole.replace(group, '')}.{rest}"
    elif comma >= 0:
        plain = _one_sign(plain, ",", code)
    elif point >= 0 and plain.count(".") > 1:
        plain = _one_sign(plain, ".", code)
    if not _PLAIN.fullmatch(plain):
        raise ValueError("must be an amount such as 1250.50")
    return plain


def _one_sign(plain: str, sign: str, code: str) -> str:
    """1,250 is a thousand and more, 1250,5 is not; of a currency with three decimals it cannot be told."""
    if _GROUPS[sign].fullmatch(plain):
        if exponent(code) == 3 and plain.count(sign) == 1:
            raise ValueError(f"can be read in two ways; write it with a point, such as 1250.500 ({code})")
        return plain.replace(sign, "")
    return plain.replace(sign, ".") if plain.count(sign) == 1 else plain


@lru_cache(maxsize=16384)
def moment(text: str, order: str | None, zone: str) -> tuple[datetime, date, bool]:
    """When money arrived: the moment in UTC, the day in the organization's zone, and whether a time was said. A day
    alone is taken for its noon there. `ValueError` where it cannot be told."""
    first, _, rest = text.replace("T", " ").partition(" ")
    if rest:
        try:
            told = datetime.fromisoformat(text.replace(" UTC", "Z"))
        except ValueError:
            pass  # a time in some other form: the day counts
        else:
            aware = told if told.tzinfo is not None else told.replace(tzinfo=clock.zone(zone))
            return aware.astimezone(UTC), clock.local_date(aware, zone), True
    day = values.whole_date(first if rest else text, order)
    noon = datetime.combine(day, time(12), clock.zone(zone))
    return noon.astimezone(UTC), day, False


@lru_cache(maxsize=256)
def status(text: str) -> str:
    """One of our statuses; `ValueError` where it is none."""
    return _word(text, STATUSES, _STATUSES)


@lru_cache(maxsize=256)
def method(text: str) -> str:
    """One of our methods; `ValueError` where it is none."""
    return _word(text, METHODS, _METHODS)


def _word(text: str, ours: tuple[str, ...], others: dict[str, str]) -> str:
    plain = fold(text)
    under = plain.replace(" ", "_")
    if under in ours:
        return under
    found = others.get(plain) or others.get(plain.replace("_", " "))
    if found is None:
        raise ValueError(f"must be one of {', '.join(ours)}")
    return found
