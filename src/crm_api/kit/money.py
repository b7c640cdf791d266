"""Money as integer minor units plus an ISO 4217 code. No float ever, and no sum over two currencies."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal

MAX_MINOR = 2**53 - 1
"""The largest amount accepted: beyond it JavaScript clients lose digits."""

_ZERO = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF"
_THREE = "BHD IQD JOD KWD LYD OMR TND"
_EXPONENTS = {
    **dict.fromkeys(_ZERO.split(" "), 0),
    **dict.fromkeys(_THREE.split(" "), 3),
    **dict.fromkeys(("CLF", "UYW"), 4),
}
_TWO_DECIMALS = (
    "AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CNY COP "
    "CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR "
    "JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN "
    "NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP "
    "SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD UYU UZS VES WST XCD XCG YER ZAR ZMW ZWG"
)
CURRENCIES: frozenset[str] = frozenset(_EXPONENTS) | frozenset(_TWO_DECIMALS.split())
"""Every ISO 4217 code money can be given in."""


def exponent(currency: str) -> int:
    """How many decimals the currency has by ISO 4217 (JPY 0, UAH 2, KWD 3)."""
    if currency not in CURRENCIES:
        raise ValueError("not an ISO 4217 currency code")
    return _EXPONENTS.get(currency, 2)


@dataclass(frozen=True, slots=True, order=False)
class Money:
    """An amount in integer minor units of one currency."""

    amount: int
    currency: str

    def __add__(self, other: Money) -> Money:
        if self.currency != other.currency:
            raise ValueError("two currencies cannot be added")
        return Money(self.amount + other.amount, self.currency)

    def major(self) -> Decimal:
        """The amount in main units: 12550 UAH is ``Decimal('125.50')``."""
        return Decimal(self.amount).scaleb(-exponent(self.currency))

    def as_json(self) -> dict[str, int | str]:
        """Exactly the two members of the API's money object."""
        return {"amount": self.amount, "currency": self.currency}


def minor_from_major(value: Decimal, currency: str) -> int:
    """Minor units of a decimal amount in main units; `ValueError` when it has more decimals than the currency."""
    scaled = value.scaleb(exponent(currency))
    whole = scaled.to_integral_value(rounding=ROUND_HALF_EVEN)
    if whole != scaled:
        raise ValueError(f"{currency} has {exponent(currency)} decimals")
    return int(whole)


def convert(amount: int, source: str, target: str, rate: Decimal) -> int:
    """Minor units of ``target`` for minor units of ``source`` at ``rate`` (target main units for one source main
    unit), rounded once, half to even."""
    major = Decimal(amount).scaleb(-exponent(source)) * rate
    return int(major.scaleb(exponent(target)).to_integral_value(rounding=ROUND_HALF_EVEN))
