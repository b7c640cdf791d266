"""What clients send and get of exchange rates."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Annotated
from uuid import UUID

from pydantic import AfterValidator, ConfigDict, Field, StringConstraints, model_validator

from crm_api.kit.schemas import Currency, Input, Output


def _positive(digits: str) -> str:
    if not Decimal(digits):
        raise ValueError("must be above zero")
    return digits


RateString = Annotated[
    str,
    StringConstraints(pattern=r"^[0-9]{1,10}(\.[0-9]{1,10})?$"),
    AfterValidator(_positive),
    Field(examples=["41.2575"], description="Main units of the target currency for one main unit of the source."),
]


class ExchangeRateCreate(Input):
    """A rate of one day; the same currencies and date replace the rate that was there."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "source_currency": "USD",
                    "target_currency": "UAH",
                    "rate": "41.2575",
                    "rate_date": "2026-11-22",
                    "origin": "nbu",
                }
            ]
        }
    )

    source_currency: Currency
    target_currency: Currency
    rate: RateString
    rate_date: date
    origin: Annotated[str, StringConstraints(min_length=1, max_length=64)] | None = None

    @model_validator(mode="after")
    def _two_currencies(self) -> ExchangeRateCreate:
        if self.source_currency == self.target_currency:
            raise ValueError("source_currency and target_currency must differ")
        return self


class ExchangeRateBatch(Input):
    """Rates to be added, or to replace those of the same currencies and dates: all of them, or none if one is wrong."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "rates": [
                        {
                            "source_currency": "EUR",
                            "target_currency": "UAH",
                            "rate": "48.1021",
                            "rate_date": "2026-11-21",
                        },
                        {
                            "source_currency": "EUR",
                            "target_currency": "UAH",
                            "rate": "48.2264",
                            "rate_date": "2026-11-22",
                        },
                    ]
                }
            ]
        }
    )

    rates: Annotated[list[ExchangeRateCreate], Field(min_length=1, max_length=5_000)]


class ExchangeRateFile(Input):
    """A CSV file of rates with the columns `date`, `source_currency`, `target_currency` and `rate`, in any order."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"origin": "nbu"}]})

    origin: Annotated[str, StringConstraints(min_length=1, max_length=64)] | None = None


class ExchangeRatesTaken(Output):
    """What became of rates that came together."""

    created: int
    updated: int
    unchanged: int


class ExchangeRateRead(Output):
    """The rate of one day: main units of the target currency for one main unit of the source, as a decimal string."""

    id: UUID
    source_currency: str
    target_currency: str
    rate: str
    rate_date: date
    origin: str | None
    created_at: datetime


class ExchangeRatePage(Output):
    """A page of exchange rates."""

    data: list[ExchangeRateRead]
    has_more: bool
    next_cursor: str | None
    total: int | None = None
