"""The data a letter is filled in with: plain values only, made fit for a letter."""

from __future__ import annotations

import re
from collections.abc import Mapping

MAX_ITEMS = 1_000
MAX_DEPTH = 6
MAX_CHARS = 200_000
MAX_INT = 2**63 - 1

VARIABLES: Mapping[str, str] = {
    "organization.name": "The charity's name",
    "organization.website": "Its website, with https://",
    "organization.reply_email": "The address a reply reaches",
    "organization.postal_address": "Its postal address, on one line",
    "donor.greeting_name": "How to address the donor, in the form a greeting needs; may be missing",
    "donor.name": "The donor's full name; may be missing",
    "gift.amount_text": "The amount with its currency, written the way the language does",
    "gift.date_text": "The date of the gift, written out",
    "gift.fund_name": "The fund the gift is for; may be missing",
    "gift.campaign_name": "The campaign it came through; may be missing",
    "gift.is_recurring": "Whether it belongs to a regular gift (true or false)",
    "gift.refunded_text": "The amount given back, with its currency; may be missing",
    "gift.provider_ref": "The payment provider's reference; may be missing",
    "receipt.number": "The number of the receipt that is attached; may be missing",
    "receipt.date_text": "When it was issued, written out; may be missing",
    "receipt.amount_text": "What it is for, with the currency; may be missing",
    "receipt.year": "Of a statement for a whole year: that year; may be missing",
    "card.expires_text": "The last day that the card of a regular gift is good for; may be missing",
    "card.mask": "The first and last digits of that card; may be missing",
    "plan.due_text": "The day a payment of a regular gift was expected, written out; may be missing",
    "pledge.amount_text": "What of a pledge is overdue, with its currency; may be missing",
    "pledge.due_text": "Since when it is, written out; may be missing",
    "pledge.total_text": "All that was pledged, with its currency; may be missing",
    "pledge.description": "What was pledged in kind; may be missing",
    "retry_url": "Where a failed payment can be repeated, a pledge paid or a regular gift begun again; may be missing",
    "language": "The language of the letter: en, uk, ka, ru or ar",
}
"""Every variable a template may use, with a word about it for the people who write templates."""

_URLS = frozenset({"retry_url", "organization.website"})
_NAMES = frozenset({"donor.greeting_name", "donor.name"})
_MAX_NAME = 120
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\ufeff]|[\ud800-\udfff]")
_BREAKS = re.compile(r" *[\n\t\x0b\x0c\x85\u2028\u2029]+ *")
_LINK = re.compile(r"://|@|\bwww\.|\.[a-z]{2,}/", re.IGNORECASE)
_URL = re.compile(r"https?://[^\s<>\"'`\\{}|^]+", re.IGNORECASE)
_DOMAIN = re.compile(r"[\w-]+(\.[\w-]+)+(/[^\s<>\"'`\\{}|^]*)?")


def plain(value: object) -> object:
    """The value itself, if it is made of exactly dict, list, str, int, bool and None; otherwise `TypeError`.

    Subclasses are refused too: an object with methods, or a string that says it is already HTML, never gets in.
    """
    budget = [MAX_ITEMS, MAX_CHARS]
    _plain(value, MAX_DEPTH, budget)
    return value


def _plain(value: object, depth: int, budget: list[int]) -> None:
    budget[0] -= 1
    if type(value) is str:
        budget[1] -= len(value)
    elif type(value) is dict:
        for key, item in value.items():
            if type(key) is not str:
                raise TypeError("a name in a template's context must be a string")
            _plain(item, depth - 1, budget)
    elif type(value) is list:
        for item in value:
            _plain(item, depth - 1, budget)
    elif type(value) is int:
        if abs(value) > MAX_INT:
            raise TypeError("a number in a template's context is too large")
    elif value is not None and type(value) is not bool:
        raise TypeError(f"{type(value).__name__} must not be given to a template")
    if depth < 0 or min(budget) < 0:
        raise TypeError("the context of a template is too large")


def clean_context(context: Mapping[str, object], language: str) -> dict[str, object]:
    """A copy of the context fit to be shown: missing and empty values are None (so ``{% if %}`` does what it says),
    single lines stay single, links are links, and a "name" that is an advertisement is no name.

    Donation forms are public: people who spam put a link into the name field and let the charity's
    thank-you deliver it.
    """
    plain(dict(context))
    cleaned = _clean(context, "")
    assert isinstance(cleaned, dict)
    for group in ("organization", "donor", "gift", "receipt", "card", "plan", "pledge"):
        if not isinstance(cleaned.get(group), dict):
            cleaned[group] = {}
    for path in VARIABLES:
        group, _, name = path.rpartition(".")
        home = cleaned[group] if group else cleaned
        home.setdefault(name, None)
    cleaned["language"] = language
    return cleaned


def _clean(value: object, path: str) -> object:
    if isinstance(value, Mapping):
        return {key: _clean(item, f"{path}.{key}".lstrip(".")) for key, item in value.items()}
    if isinstance(value, list):
        return [_clean(item, path) for item in value]
    if not isinstance(value, str):
        return value
    text = value.replace("\r\n", "\n").replace("\r", "\n")
    text = _BREAKS.sub(", " if path == "organization.postal_address" else " ", text.strip())
    text = _CONTROL.sub("", text).strip()
    if path in _URLS:
        return _web_address(text)
    if path in _NAMES and (_LINK.search(text) or len(text) > _MAX_NAME):
        return None
    return text or None


def _web_address(text: str) -> str | None:
    """An http(s) address, or None: nothing else may become the target of a link."""
    if _URL.fullmatch(text):
        return text
    return f"https://{text}" if _DOMAIN.fullmatch(text) else None


def single_line(text: str, limit: int = 300) -> str:
    """Text for a header: one line, no control characters, no direction overrides, not longer than ``limit``."""
    line = _CONTROL.sub("", re.sub(r"[\x00-\x20\x7f-\x9f\u2028\u2029]+", " ", text)).strip()
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "…"
