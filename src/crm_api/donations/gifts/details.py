"""What a gift may say of itself beside its amount: how it came about, and what its method calls for."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any

from pydantic import ConfigDict, StringConstraints

from crm_api.kit.schemas import VISIBLE, Input, PositiveMoney, ShortText

UtmText = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=VISIBLE)]
Quantity = Annotated[str, StringConstraints(pattern=r"^(0\.[0-9]{0,17}[1-9]|[1-9][0-9]{0,14}(\.[0-9]{1,18})?)$")]
Label = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=VISIBLE)]


class Utm(Input):
    """The five parameters of the address that brought the donor."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"source": "facebook", "campaign": "winter-2026"}]})

    source: UtmText | None = None
    medium: UtmText | None = None
    campaign: UtmText | None = None
    term: UtmText | None = None
    content: UtmText | None = None


class ChequeDetails(Input):
    """A cheque."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"number": "001542", "dated_on": "2026-11-20"}]})

    number: Label
    dated_on: date | None = None
    bank: Label | None = None


class InKindDetails(Input):
    """Goods or services. The gift's amount is what it is recorded at; both values are kept beside it."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "description": "Sleeping bags",
                    "quantity": "40",
                    "declared_value": {"amount": 1200000, "currency": "UAH"},
                    "fair_market_value": {"amount": 1000000, "currency": "UAH"},
                }
            ]
        }
    )

    description: ShortText
    quantity: Quantity | None = None
    declared_value: PositiveMoney | None = None
    fair_market_value: PositiveMoney | None = None


class StockDetails(Input):
    """Securities; `proceeds` is what their sale brought."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"symbol": "ACME", "quantity": "12.5", "proceeds": {"amount": 12550, "currency": "USD"}}]
        }
    )

    symbol: Label
    quantity: Quantity
    proceeds: PositiveMoney | None = None


class CryptoDetails(Input):
    """A transfer of a crypto-asset."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"asset": "USDT", "quantity": "25.5"}]})

    asset: Label
    quantity: Quantity | None = None
    network: Label | None = None
    transaction: Annotated[str, StringConstraints(min_length=1, max_length=128, pattern=VISIBLE)] | None = None
    note: ShortText | None = None


class MethodDetails(Input):
    """What is known of the means of a gift: only the member that its `method` names may be there."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"cheque": {"number": "001542"}}]})

    cheque: ChequeDetails | None = None
    in_kind: InKindDetails | None = None
    stock: StockDetails | None = None
    crypto: CryptoDetails | None = None


def stored(details: Input | None) -> dict[str, Any] | None:
    """The JSON that is kept: members that say something."""
    return None if details is None else details.model_dump(mode="json", exclude_none=True)


def foreign_to(method: str, details: MethodDetails | None) -> str | None:
    """A member of the details that says nothing about this method, if there is one."""
    if details is None:
        return None
    return next((name for name in MethodDetails.model_fields if getattr(details, name) and name != method), None)
