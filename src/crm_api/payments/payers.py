"""Who paid, put together from every statement of one payment: each detail by the statement to be trusted most.

What is kept with the gift (`gifts.payer`) is a document of details, with the rank each was told at (``ranks``) and what
of it the contact has taken over (``given``). Joining statements knows no order: of two words about one detail the
higher rank wins, among equals the greater value.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from crm_api.contacts.parts import clean_email, clean_phone
from crm_api.contacts.persons import Person
from crm_api.payments.provider import Payer, PaymentOutcome

Document = Mapping[str, Any]
_PERSON = ("email", "name", "phone", "language", "country", "city")
_METHODS = ("other", "card", "bank_transfer", "wallet")
"""From the vaguest to the most telling: a charge knows of the wallet around a card, a list of offers does not."""


def clean(payer: Payer) -> Payer:
    """The payer without what is no e-mail or phone number."""
    email = phone = None
    try:
        email = clean_email(payer.email) if payer.email else None
    except ValueError:
        email = None
    try:
        phone = clean_phone(payer.phone) if payer.phone else None
    except ValueError:
        phone = None
    name = " ".join((payer.name or "").replace("\x00", "").split())[:200] or None
    return replace(payer, email=email, phone=phone, name=name)


def told(outcome: PaymentOutcome) -> dict[str, Any] | None:
    """One statement as a document; nothing when it tells nothing. The payer must be clean."""
    payer = outcome.payer
    details = {name: getattr(payer, name) for name in (*_PERSON, "customer_ref")}
    details |= {
        "contact_id": outcome.contact_id,
        "campaign_code": outcome.campaign_code,
        "fund_code": outcome.fund_code,
    }
    known: dict[str, Any] = {name: value for name, value in details.items() if value}
    return {**known, "ranks": dict.fromkeys(known, payer.rank)} if known else None


def join(first: Document | None, second: Document | None) -> dict[str, Any] | None:
    """Two documents about one payment as one, whichever came first."""
    if not first or not second:
        return dict(first or second or {}) or None
    joined: dict[str, Any] = {}
    ranks: dict[str, int] = {}
    for name in sorted({*first["ranks"], *second["ranks"]}):
        words = [(one["ranks"][name], one[name]) for one in (first, second) if name in one["ranks"]]
        ranks[name], joined[name] = max(words)
    given = {**second.get("given", {}), **first.get("given", {})}
    return {**joined, "ranks": ranks, **({"given": given} if given else {})}


def person(document: Document | None) -> Person:
    """The person a document describes."""
    return Person(**{name: (document or {}).get(name) for name in _PERSON})


def telling_method(*methods: str) -> str:
    """The most telling of several words on how a payment was made. One that only staff can choose stays."""
    return max(methods, key=lambda one: _METHODS.index(one) if one in _METHODS else len(_METHODS))
