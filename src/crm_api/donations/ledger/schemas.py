"""What clients send and get of the books."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated
from uuid import UUID

from pydantic import ConfigDict, Field, StringConstraints

from crm_api.donations.ledger.accounts import KEY
from crm_api.kit.schemas import Input, Money, Name, Output, Versioned
from crm_api.kit.sums import Sum

AccountKey = Annotated[
    str, StringConstraints(pattern=f"^{KEY.pattern}$", max_length=80), Field(examples=["income:none", "income:*"])
]
OwnCode = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._/-]*$", max_length=40)]


class ChartLine(Input):
    """What an account is in the organization's own chart; null takes it out of there."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"account": "income:*", "code": "481"}]})

    account: AccountKey
    code: OwnCode | None = None
    name: Name | None = None


class ChartPut(Input):
    """Codes of accounts; those that are not listed keep theirs."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "accounts": [
                        {"account": "income:*", "code": "481", "name": "Targeted donations"},
                        {"account": "clearing:*", "code": "333"},
                    ]
                }
            ]
        }
    )

    accounts: Annotated[list[ChartLine], Field(min_length=1, max_length=500)]


class LedgerAccountRead(Versioned):
    """An account of the books. `code` is its own code in the organization's chart, `effective_code` that or the one of
    its kind (`income:*`)."""

    account: str
    kind: str
    type: str
    code: str | None
    effective_code: str | None
    name: str


class LedgerAccountPage(Output):
    """A page of accounts."""

    data: list[LedgerAccountRead]
    has_more: bool
    next_cursor: str | None
    total: int | None = None


class ChartRead(Output):
    """The accounts as they stand in the chart now."""

    data: list[LedgerAccountRead]


class JournalRead(Output):
    """One posting: the same amount debited to one account and credited to another. `journal_date` is the day of the
    books; `relates_to` is the day of the money where that lay in a closed period."""

    id: UUID
    kind: str
    donation_id: UUID | None
    payout_id: UUID | None
    pledge_id: UUID | None
    journal_date: date
    relates_to: date | None
    debit_account: str
    credit_account: str
    amount: Money
    fund_id: UUID | None
    recorded_at: datetime


class JournalPage(Output):
    """A page of postings."""

    data: list[JournalRead]
    has_more: bool
    next_cursor: str | None
    total: int | None = None


class TrialAccount(Output):
    """An account in one currency. `balance` is `debit` less `credit`."""

    account: str
    kind: str
    type: str
    code: str | None
    name: str
    currency: str
    debit: Sum
    credit: Sum
    balance: Sum


class TrialTotal(Output):
    """All accounts of one currency: debit and credit are equal."""

    currency: str
    debit: Sum
    credit: Sum


class TrialFund(Output):
    """What a fund has received in one currency: `net` is income less refunds, lost disputes and fees; `pledged` is what
    is promised and not given yet, and in none of the others. A fund of null stands for gifts without one."""

    fund_id: UUID | None
    currency: str
    income: Sum
    refunds: Sum
    chargebacks: Sum
    fees: Sum
    pledged: Sum
    net: Sum


class TrialBalance(Output):
    """The books at the end of a day. `unposted` is how many gifts the worker has not got to yet: none, a moment after
    things have calmed down."""

    as_of: date
    closed_through: date | None
    unposted: int
    accounts: list[TrialAccount]
    totals: list[TrialTotal]
    funds: list[TrialFund]


class PostingRead(Output):
    """How many postings a gift's books lacked."""

    donation_id: UUID
    posted: int
