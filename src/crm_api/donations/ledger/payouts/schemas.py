"""What clients send and get of payouts."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import AfterValidator, ConfigDict, Field, StringConstraints

from crm_api.donations.ledger.periods.schemas import Reason
from crm_api.kit.money import MAX_MINOR
from crm_api.kit.schemas import Currency, Input, Money, Output, Versioned

Ref = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f]+$")]
ItemKind = Literal["payment", "refund", "chargeback", "fee", "adjustment", "other"]
MOST_ITEMS = 2_000


class NonNegativeMoney(Money):
    """Money that is not below zero."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"amount": 0, "currency": "UAH"}]})

    amount: Annotated[int, Field(ge=0, le=MAX_MINOR, strict=True)]


class PayoutItemCreate(Input):
    """One payment, refund or fee that a payout consists of. `ref` is a provider's id of the payment; a refund has the
    id of the payment it gives back and a `gross` below zero."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "ref": "pi_3Qx1",
                    "gross": {"amount": 5000, "currency": "USD"},
                    "fee": {"amount": 175, "currency": "USD"},
                }
            ]
        }
    )

    ref: Ref
    kind: ItemKind = "payment"
    gross: Money
    fee: Money | None = None


class PayoutCreate(Input):
    """Money that a provider has sent to the bank. `amount` is what arrived; `fee` what was taken from the payout as a
    whole, beside the fees of its items. All amounts are in one currency."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "connection_id": "01938d6e-5a00-7000-8000-000000000021",
                    "payout_ref": "po_1Qx9",
                    "arrived_on": "2026-11-20",
                    "amount": {"amount": 4825, "currency": "USD"},
                    "items": [
                        {
                            "ref": "pi_3Qx1",
                            "kind": "payment",
                            "gross": {"amount": 5000, "currency": "USD"},
                            "fee": {"amount": 175, "currency": "USD"},
                        }
                    ],
                }
            ]
        }
    )

    connection_id: UUID
    payout_ref: Ref
    arrived_on: date
    amount: Money
    fee: NonNegativeMoney | None = None
    items: Annotated[list[PayoutItemCreate], Field(max_length=MOST_ITEMS)] = []


def _decimal(text: str) -> str:
    if len(text.replace("-", "").replace(".", "")) > 16:
        raise ValueError("has too many digits")
    return text


MainUnits = Annotated[
    str,
    StringConstraints(pattern=r"^-?[0-9]{1,16}(\.[0-9]{1,3})?$", max_length=21),
    AfterValidator(_decimal),
    Field(examples=["48.25"], description="In main units of the currency, with a point."),
]


class PayoutUpload(Input):
    """A payout whose items are the rows of a CSV file: `ref`, `kind`, `gross`, `fee` in main units, or the names that
    the provider's own reconciliation report has for them."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "connection_id": "01938d6e-5a00-7000-8000-000000000021",
                    "payout_ref": "po_1Qy2",
                    "arrived_on": "2026-11-21",
                    "currency": "USD",
                    "file": "ref,gross,fee\npi_3Qx2,50.00,1.75\n",
                }
            ]
        }
    )

    connection_id: UUID
    payout_ref: Ref
    arrived_on: date
    currency: Currency
    amount: MainUnits | None = Field(
        None, description="What arrived, in main units; the sum of the rows when not given."
    )


class PayoutCancel(Input):
    """Take a payout back that was entered wrongly."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"reason": "Entered for the wrong account."}]})

    reason: Reason


class PayoutRead(Versioned):
    """A payout. It is `reconciled` when every item is matched with its gift and the items add up to the amount;
    `difference` is what arrived less what its items and fee come to, null where it has no items. `failure_code` is the
    provider's word for why the bank sent a payout back: it is canceled then."""

    connection_id: UUID
    provider: str
    payout_ref: str
    arrived_on: date
    amount: Money
    fee: Money
    difference: Money | None
    state: str
    origin: str
    items_count: int
    items_matched: int
    reason: str | None
    failure_code: str | None


class PayoutPage(Output):
    """A page of payouts."""

    data: list[PayoutRead]
    has_more: bool
    next_cursor: str | None
    total: int | None = None


class PayoutItemRead(Output):
    """An item of a payout and how it compares with our books: `matched`, `missing_gift`, `amount_differs`,
    `fee_differs`, `currency_differs`, `paid_twice`, or `unchecked` until the worker has looked."""

    id: UUID
    payout_id: UUID
    kind: str
    ref: str
    gross: Money
    fee: Money
    net: Money
    donation_id: UUID | None
    state: str
    created_at: datetime


class PayoutItemPage(Output):
    """A page of items."""

    data: list[PayoutItemRead]
    has_more: bool
    next_cursor: str | None
    total: int | None = None


class PayoutDifference(Output):
    """Something that does not fit: an item of a payout, or a gift that no payout has brought."""

    kind: str
    payout_id: UUID | None
    item_id: UUID | None
    donation_id: UUID | None
    ref: str | None
    provider_gross: Money | None
    provider_fee: Money | None
    our_gross: Money | None
    our_fee: Money | None
    received_at: datetime | None


class PayoutDifferenceCount(Output):
    """How many differences of a kind there are."""

    kind: str
    count: int


class PayoutDifferences(Output):
    """What does not fit between providers' payouts and our gifts: all of it counted, the first of each kind listed."""

    after_days: int
    counts: list[PayoutDifferenceCount]
    differences: list[PayoutDifference]
