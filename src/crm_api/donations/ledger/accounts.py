"""The accounts of the books, derived by rule: what an account is can be read from its key. Pure.

A key is a kind, and behind a colon what it stands for: ``clearing:<connection>``, ``received:cash``, ``income:<fund>``
(``income:none`` for gifts without a fund). Organizations give them codes of their own chart; see `service`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal
from uuid import UUID

AccountClass = Literal["asset", "income", "contra_income", "expense"]

CLASSES: Mapping[str, AccountClass] = {
    "clearing": "asset",  # with a payment provider, on its way to the bank
    "received": "asset",  # outside of providers: the bank account, the cash box, cheques in hand
    "bank": "asset",  # where providers' payouts arrive
    "in_kind": "asset",  # goods and services
    "receivable": "asset",  # pledged and not yet given
    "income": "income",
    "in_kind_income": "income",
    "pledge_income": "income",
    "refunds": "contra_income",
    "chargebacks": "contra_income",
    "write_offs": "contra_income",  # of pledges
    "fees": "expense",
}
KINDS = tuple(CLASSES)
NAMES: Mapping[str, str] = {
    "clearing": "Payment provider clearing",
    "received": "Received",
    "bank": "Bank, payouts of providers",
    "in_kind": "Gifts in kind held",
    "receivable": "Pledges receivable",
    "income": "Donations",
    "in_kind_income": "Donations in kind",
    "pledge_income": "Pledged donations",
    "refunds": "Refunded donations",
    "chargebacks": "Lost disputes",
    "write_offs": "Pledges written off",
    "fees": "Payment fees",
}
ANY = "*"
"""`income:*` in the chart stands for every account of the kind that has no code of its own."""
BANK = "bank:payouts"
FEES = "fees:payments"
NO_FUND = "none"
_UUID = "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_WORD = "[a-z][a-z_]{0,31}"
KEY = re.compile(rf"({'|'.join(KINDS)}):({_UUID}|{_WORD}|\*)")
"""What a key looks like."""


def kind_of(account: str) -> str:
    """The kind of an account, which its key begins with."""
    return account.partition(":")[0]


def class_of(account: str) -> AccountClass:
    """Which side of the books an account is on."""
    return CLASSES[kind_of(account)]


def asset_of(method: str, connection_id: UUID | str | None) -> str:
    """Where the money of a gift is: with the provider, or with the organization by the way it came."""
    if connection_id is not None:
        return f"clearing:{connection_id}"
    return "in_kind:goods" if method == "in_kind" else f"received:{method}"


def pair(kind: str, asset: str, fund_id: UUID | str | None) -> tuple[str, str]:
    """The account debited and the one credited by a movement above zero of a gift: a ``gift`` brings income, a
    ``refund``, a ``chargeback`` and a ``fee`` take from the asset."""
    fund = NO_FUND if fund_id is None else str(fund_id)
    if kind == "gift":
        return asset, f"{'in_kind_income' if asset.startswith('in_kind:') else 'income'}:{fund}"
    if kind == "fee":
        return FEES, asset
    return f"{'refunds' if kind == 'refund' else 'chargebacks'}:{fund}", asset
