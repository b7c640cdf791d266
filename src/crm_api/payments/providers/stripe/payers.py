"""Who paid, how, and what of ours the payment carries: read from whichever object of a payment knows it.

Details are ranked by where the donor gave them: on the checkout page 40, with the payment method 30, to the invoiced
customer 20, as an address for the receipt 10. An object that knows nobody has rank 0, so it never outweighs one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Literal

from crm_api.payments.provider import Payer
from crm_api.payments.providers.reading import at, email, ident, mapping, sequence, text, uuid

Method = Literal["card", "bank_transfer", "wallet", "other"]

CHECKOUT, BILLING, INVOICE, RECEIPT = 40, 30, 20, 10
CHECKOUT_ID = "crm_checkout_id"
"""Where a subscription's metadata name the checkout that began it."""

_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*")
_WALLET_TYPES = (
    "alipay amazon_pay apple_pay cashapp google_pay grabpay kakao_pay link mb_way mobilepay naver_pay payco paypal "
    "paypay revolut_pay samsung_pay satispay swish twint vipps wechat_pay"
)
_BANK_TYPES = (
    "ach_credit_transfer ach_debit acss_debit au_becs_debit bacs_debit bancontact blik customer_balance eps fpx "
    "giropay ideal nz_bank_account p24 pay_by_bank paynow payto pix promptpay sepa_debit sofort trustly us_bank_account"
)
_WALLETS = frozenset(_WALLET_TYPES.split())
_BANK = frozenset(_BANK_TYPES.split())


@dataclass(frozen=True, slots=True)
class Ours:
    """What our own side put into the payment's metadata."""

    contact_id: str | None
    gift_id: str | None
    campaign_code: str | None
    fund_code: str | None


def ours(*metadata: Any, client_reference: Any = None) -> Ours:
    """Our ids and codes out of one or several metadata objects, the first that has one winning. A checkout's
    ``client_reference_id`` names our gift when it is a UUID (and something of the charity's own otherwise)."""
    sources = [mapping(source) for source in metadata]

    def pick(*names: str) -> list[Any]:
        return [source[name] for source in sources for name in names if name in source]

    return Ours(
        contact_id=next(filter(None, map(uuid, pick("crm_contact_id", "contact_id"))), None),
        gift_id=next(filter(None, map(uuid, [*pick("crm_gift_id", "gift_id"), client_reference])), None),
        campaign_code=next(filter(None, map(_short, pick("campaign", "campaign_code", "crm_campaign"))), None),
        fund_code=next(filter(None, map(_short, pick("fund", "fund_code", "crm_fund"))), None),
    )


def _short(value: Any) -> str | None:
    """A campaign or fund code, which is short."""
    return text(value, 100)


def language(*candidates: Any) -> str | None:
    """The first language tag among the candidates; Stripe's ``auto`` is none."""
    for candidate in candidates:
        tag = (text(candidate, 35) or "").replace("_", "-")
        if tag.lower() != "auto" and _LANGUAGE.fullmatch(tag):
            return tag
    return None


def payer(
    rank: int, details: Any, *, customer: Any, metadata: Any, fallback_email: Any = None, locale: Any = None
) -> Payer:
    """The payer from an object with ``email``, ``name``, ``phone`` and ``address``; an expanded customer fills gaps."""
    who, holder, tags = mapping(details), mapping(customer), mapping(metadata)
    preferred = next(iter(sequence(holder.get("preferred_locales"))), None)
    address = mapping(who.get("address")) or mapping(holder.get("address"))
    country = (text(address.get("country"), 2) or "").upper()
    found = Payer(
        email=email(who.get("email"), fallback_email, holder.get("email")),
        name=text(who.get("name"), 200) or text(holder.get("name"), 200),
        phone=text(who.get("phone"), 40) or text(holder.get("phone"), 40),
        language=language(tags.get("language"), locale, preferred, tags.get("locale"), tags.get("lang")),
        country=country if re.fullmatch("[A-Z]{2}", country) else None,
        city=text(address.get("city"), 100),
        customer_ref=ident(customer),
        rank=rank,
    )
    known = found.email or found.name or found.phone
    return found if known else Payer(language=found.language, customer_ref=found.customer_ref)


def method_of(kind: Any, details: Any = None) -> Method:
    """Stripe's payment method type in our words; a card inside a wallet is a wallet."""
    if not isinstance(kind, str):
        return "other"
    if kind in ("card", "card_present", "interac_present"):
        return "wallet" if mapping(at(details, kind, "wallet")) else "card"
    if kind in _WALLETS:
        return "wallet"
    return "bank_transfer" if kind in _BANK else "other"


def method_of_charge(charge: Any) -> Method:
    """How a charge was paid (``payment_method_details``)."""
    details = mapping(at(charge, "payment_method_details"))
    return method_of(details.get("type"), details)


def sole_method(types: Any) -> Method:
    """How it was paid when only one way was offered; with several the charge knows."""
    offered = sequence(types)
    return method_of(offered[0]) if len(offered) == 1 else "other"
