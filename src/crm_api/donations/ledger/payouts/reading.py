"""Reading the rows of a payout from a CSV file: our own columns, or those of providers' reconciliation reports."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation

from crm_api.donations.ledger.payouts.models import ITEM_KINDS
from crm_api.donations.ledger.payouts.schemas import PayoutUpload
from crm_api.donations.ledger.payouts.service import Item, Statement
from crm_api.kit.money import MAX_MINOR, minor_from_major
from crm_api.kit.problems import Invalid

LARGEST = 10_000_000
"""Bytes."""
MOST_ROWS = 50_000
_COLUMNS: Mapping[str, tuple[str, ...]] = {
    "ref": ("ref", "payment_intent_id", "charge_id", "source_id", "payment_id", "transaction_id", "invoice_id"),
    "kind": ("kind", "reporting_category", "type"),
    "gross": ("gross", "amount"),
    "fee": ("fee", "fees", "commission"),
}
_KINDS: Mapping[str, str] = {
    **{kind: kind for kind in ITEM_KINDS},
    "charge": "payment",
    "sale": "payment",
    "partial_capture_reversal": "refund",
    "refund_failure": "refund",
    "dispute": "chargeback",
    "dispute_reversal": "adjustment",
    "stripe_fee": "fee",
    "network_cost": "fee",
}


def read_statement(body: PayoutUpload, content: bytes) -> Statement:
    """The payout with the file's rows as its items; 422 with the number of the first row that cannot be read."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise Invalid.at("/file", "not_text", "Save the file as CSV in UTF-8.") from None
    rows = csv.reader(io.StringIO(text, newline=""))
    try:
        header = [name.strip().lower().replace(" ", "_") for name in next(rows, [])]
        places = _places(header)
        items = [_item(row, places, body.currency, number) for number, row in enumerate(rows, start=2) if any(row)]
    except csv.Error:
        raise Invalid.at("/file", "file_damaged", "The file is not CSV with commas and double quotes.") from None
    if not items or len(items) > MOST_ROWS:
        raise Invalid.at("/file", "out_of_range", f"The file must hold 1 to {MOST_ROWS} rows below its header.")
    net = sum(item.gross - item.fee for item in items)
    amount = net if body.amount is None else _minor(body.amount, body.currency, "/amount", "amount")
    return Statement(body.payout_ref, body.arrived_on, body.currency, amount, items)


def _places(header: Sequence[str]) -> dict[str, int]:
    """Where each of our columns is."""
    found = {
        ours: next(header.index(name) for name in names if name in header)
        for ours, names in _COLUMNS.items()
        if any(name in header for name in names)
    }
    if missing := {"ref", "gross"} - found.keys():
        said = f"The first row must name the columns {' and '.join(sorted(missing))}; fee and kind may follow."
        raise Invalid.at("/file", "missing_column", said)
    return found


def _item(row: Sequence[str], places: Mapping[str, int], currency: str, number: int) -> Item:
    def cell(name: str) -> str:
        place = places.get(name)
        return row[place].strip() if place is not None and place < len(row) else ""

    ref, told = cell("ref"), cell("kind").lower()
    kind = _KINDS.get(told, "other") if told else "payment"
    if not ref and kind in ("fee", "adjustment", "other"):
        ref = f"row:{number}"  # belongs to no payment
    if not 0 < len(ref) <= 200 or not ref.isprintable():
        raise Invalid.at("/file", "invalid_row", f"Row {number} has no id of a payment, or one that is too long.")
    gross = _minor(cell("gross"), currency, "/file", f"gross in row {number}")
    fee = _minor(cell("fee") or "0", currency, "/file", f"fee in row {number}")
    return Item(ref, gross, fee, kind)


def _minor(text: str, currency: str, pointer: str, what: str) -> int:
    try:
        found = minor_from_major(Decimal(text.replace(" ", "").replace("\u00a0", "")), currency)
    except (InvalidOperation, ValueError):
        said = f"The {what} is not an amount of {currency} in main units, such as 48.25."
        raise Invalid.at(pointer, "invalid_amount", said) from None
    if abs(found) > MAX_MINOR:
        raise Invalid.at(pointer, "out_of_range", f"The {what} is more than money can be.")
    return found
