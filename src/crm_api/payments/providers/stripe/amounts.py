"""Stripe's amounts in ISO minor units. Stripe counts some currencies with other decimals than ISO 4217 does."""

from __future__ import annotations

from typing import Any

from crm_api.kit.money import CURRENCIES, MAX_MINOR, Money, exponent

_NO_DECIMALS = "BIF CLP DJF GNF JPY KMF KRW MGA PYG RWF UGX VND VUV XAF XOF XPF"
_ZERO_DECIMAL = frozenset(_NO_DECIMALS.split())
_THREE_DECIMAL = frozenset(("BHD", "JOD", "KWD", "OMR", "TND"))


def stripe_exponent(currency: str) -> int:
    """Decimals Stripe sends the currency with: krónur (ISK) still come times 100, ariary (MGA) come whole."""
    if currency in _ZERO_DECIMAL:
        return 0
    return 3 if currency in _THREE_DECIMAL else 2


def money(amount: Any, currency: Any) -> Money | None:
    """Stripe's amount as money, ``None`` for what cannot be one: unknown currency, no whole number, below zero, beyond
    what we store, or a fraction of the smallest unit."""
    if isinstance(amount, bool) or not isinstance(amount, int) or not isinstance(currency, str):
        return None
    iso = currency.upper()
    if iso not in CURRENCIES or not 0 <= amount <= MAX_MINOR:
        return None
    shift = exponent(iso) - stripe_exponent(iso)
    if shift >= 0:
        minor = amount * 10**shift
    else:
        minor, rest = divmod(amount, 10**-shift)
        if rest:
            return None
    return Money(minor, iso) if minor <= MAX_MINOR else None


def stripe_amount(value: Money) -> int:
    """The other way round, for samples: what Stripe would send for that money."""
    shift: int = stripe_exponent(value.currency) - exponent(value.currency)
    factor: int = 10 ** abs(shift)
    return value.amount * factor if shift >= 0 else value.amount // factor
