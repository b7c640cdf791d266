"""Writing receipts: who they are for, what they say, and their numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from babel import Locale

from crm_api.audit.service import record
from crm_api.donations.receipts import statements
from crm_api.donations.receipts.facts import ReceiptIssued
from crm_api.donations.receipts.house import House
from crm_api.donations.receipts.models import receipt_lines, receipts
from crm_api.donations.receipts.numbers import new_code, number_of, series_of
from crm_api.donations.receipts.rendering.words import language_of
from crm_api.kit import clock
from crm_api.kit.db import Row, RowLike, WriteSession
from crm_api.kit.ids import new_id
from crm_api.kit.problems import Conflict, Moved, NotFound
from crm_api.outbox.service import emit

SETTLED = frozenset({"succeeded", "partially_refunded"})


@dataclass(frozen=True, slots=True)
class Draft:
    """A receipt to be issued. Its gifts are locked, and fit."""

    kind: str
    year: int
    contact_id: UUID
    gifts: Sequence[Row]
    by_email: bool
    replaces: RowLike | None = None
    run_id: UUID | None = None


def kind_of(gift: RowLike) -> str:
    """The kind of a receipt for this gift alone."""
    return "in_kind" if gift["method"] == "in_kind" else "donation"


def obstacle(gift: RowLike, *, instead_of: UUID | None = None) -> Conflict | None:
    """Why there can be no receipt for a gift now; `instead_of`: a receipt that makes room for it."""
    if gift["superseded_by"] is not None or gift["status"] not in SETTLED or gift["counted"] <= 0:
        return Conflict(
            f"A gift that is {gift['status']} gets no receipt; only money that is there does.",
            code="gift_not_receiptable",
        )
    if gift["contact_id"] is None:
        return Conflict("The gift has no donor yet. Name one (PATCH the donation), then ask again.", code="no_donor")
    if gift["covered_by"] not in (None, instead_of):
        return Conflict(
            "This gift has a receipt. Read it, or reissue it if something on it is wrong.",
            code="already_receipted",
            receipt_id=str(gift["covered_by"]),
        )
    return None


async def donors_of(session: WriteSession, contact_ids: Sequence[UUID]) -> dict[UUID, Row]:
    """What receipts name of donors, by id."""
    return {row["id"]: row for row in await session.fetch(statements.DONORS, ids=list(contact_ids))}


def living(donor: Row | None, contact_id: UUID) -> Row:
    """The donor, unless there is none who can get a receipt."""
    if donor is None:
        raise NotFound.reference("contact_id")
    if donor["merged_into"] is not None:
        raise Moved(contact_id, donor["merged_into"])
    if donor["erased_at"] is not None:
        raise Conflict("This contact was erased; a receipt would have no name on it.", code="contact_erased")
    return donor


def deductible(gift: RowLike) -> int:
    """What of the gift is not the price of goods that the donor got for it."""
    return int(max(gift["counted"] - gift["premium_value"], 0))


def totals_of(gifts: Sequence[RowLike]) -> list[dict[str, Any]]:
    """Sums of each currency, in the order they come."""
    found: dict[str, list[int]] = {}
    for gift in gifts:
        sums = found.setdefault(gift["currency"], [0, 0])
        sums[0] += gift["counted"]
        sums[1] += deductible(gift)
    return [{"currency": code, "amount": sums[0], "deductible": sums[1]} for code, sums in found.items()]


async def write(
    session: WriteSession, house: House, drafts: Sequence[Draft], donors: Mapping[UUID, Row]
) -> list[dict[str, Any]]:
    """Issue receipts; their rows. Numbers are taken last: the counter is locked from here to the commit."""
    at = session.now
    issued_on = clock.local_date(at, session.tenant.timezone)
    specimen = session.tenant.mode == "test"
    series = [series_of(house.settings["prefixes"][draft.kind], issued_on.year, specimen=specimen) for draft in drafts]
    following: dict[str, int] = {}
    for name in sorted(set(series)):  # always in one order, or two runs might wait for each other
        wanted = series.count(name)
        last = await session.fetch_val(statements.COUNT, series=name, wanted=wanted)
        following[name] = last - wanted + 1
    rows: list[dict[str, Any]] = []
    lines: list[dict[str, Any]] = []
    for draft, name in zip(drafts, series, strict=True):
        sequence = following[name]
        following[name] += 1
        row = _row(session, house, draft, donors[draft.contact_id], at)
        row |= {"series": name, "sequence": sequence, "number": number_of(name, sequence), "issued_on": issued_on}
        row["specimen"] = specimen
        rows.append(row)
        lines += [_line(row["id"], gift, place) for place, gift in enumerate(draft.gifts, start=1)]
        record(session, "receipt.issued", "receipt", row["id"])
        emit(session, ReceiptIssued(receipt_id=row["id"], contact_id=draft.contact_id, by_email=draft.by_email))
    session.later_rows(receipts, rows)
    session.later_rows(receipt_lines, lines)
    return rows


def _row(session: WriteSession, house: House, draft: Draft, donor: Row, at: datetime) -> dict[str, Any]:
    language = language_of(donor["language"], session.tenant.language)
    return {
        "id": new_id(),
        "kind": draft.kind,
        "year": draft.year,
        "contact_id": draft.contact_id,
        "issued_to": draft.contact_id,
        "issued_at": at,
        "language": language,
        "status": "active",
        "by_email": draft.by_email,
        "totals": totals_of(draft.gifts),
        "snapshot": snapshot(house, donor, language, draft.replaces),
        "code": new_code(session.organization_id),
        "replaces": draft.replaces["id"] if draft.replaces is not None else None,
        "replaced_by": None,
        "voided_at": None,
        "void_cause": None,
        "void_reason": None,
        "file": None,
        "run_id": draft.run_id,
        "version": 1,
        "created_at": at,
        "updated_at": at,
    }


def _line(receipt_id: UUID, gift: Row, place: int) -> dict[str, Any]:
    return {
        "id": new_id(),
        "receipt_id": receipt_id,
        "gift_id": gift["id"],
        "position": place,
        "amount": gift["counted"],
        "deductible": deductible(gift),
        "currency": gift["currency"],
        "gift_date": gift["gift_date"],
        "method": gift["method"],
        "description": gift["description"],
        "active": True,
        "dropped": False,
    }


def snapshot(house: House, donor: RowLike, language: str, replaces: RowLike | None) -> dict[str, Any]:
    """Names, address and words as of issue: what the document says for as long as it is kept."""
    settings = house.settings
    return {
        "donor": {
            "name": donor["display_name"],
            "latin_name": donor["latin_name"],
            "address": address_lines(donor["addresses"], language),
        },
        "organization": {
            "name": house.name,
            "lines": [line for line in (house.postal_address, house.website) if line],
        },
        "legal_text": house.legal_text(language),
        "signatory": {"name": settings["signatory_name"], "title": settings["signatory_title"]},
        "logo": house.logo_file,
        "replaces": replaces["number"] if replaces is not None else None,
    }


def address_lines(addresses: Sequence[Mapping[str, Any]], language: str) -> list[str]:
    """The donor's main address as it is written on a letter, the country's name in the receipt's language."""
    usable = [one for one in addresses if one.get("status") != "invalid"]
    if not usable:
        return []
    chosen = next((one for one in usable if one.get("is_primary")), usable[0])
    town = " ".join(part for part in (chosen.get("postal_code"), chosen.get("city")) if part)
    country = chosen.get("country")
    named = Locale.parse(language).territories.get(country, country) if country else None
    parts = (chosen.get("line1"), chosen.get("line2"), town, chosen.get("region"), named)
    return [str(part) for part in parts if part]
