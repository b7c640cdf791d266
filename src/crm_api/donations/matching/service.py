"""Verbs of matching gifts: what an employer gives because its employee gave, credited to the employee softly."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, select, text

from crm_api.audit.service import record
from crm_api.contacts.service import contact_to_name
from crm_api.donations.credits.service import keep_matched
from crm_api.donations.gifts import evidence
from crm_api.donations.gifts.service import get_gift
from crm_api.donations.matching.models import matching_gifts
from crm_api.donations.matching.schemas import MatchingGiftCreate, MatchingGiftPatch
from crm_api.kit import simple
from crm_api.kit.db import ReadSession, Row, RowLike, WriteSession, prepare
from crm_api.kit.problems import Invalid, NotFound
from crm_api.kit.schemas import money_or_none
from crm_api.kit.updates import check_version, update_row

_READ = ("id", "company_contact_id", "status", "submitted_on", "version", "created_at", "updated_at")
_LOCK = prepare(
    select(matching_gifts)
    .where(matching_gifts.c.organization_id == bindparam("organization_id"), matching_gifts.c.id == bindparam("id"))
    .with_for_update(key_share=True)
)
_TAKEN = prepare(
    text(
        "SELECT coalesce(sum(received_amount), 0) FROM matching_gifts WHERE organization_id = :organization_id "
        "AND matching_gift_id = :matching_gift_id AND id <> :id"
    )
)
_EARNED = prepare(
    text(
        """
        SELECT g.contact_id, sum(m.received_amount)::bigint AS amount FROM matching_gifts m
        JOIN gifts g ON g.organization_id = :organization_id AND g.id = m.gift_id
        WHERE m.organization_id = :organization_id AND m.matching_gift_id = :matching_gift_id
            AND g.contact_id IS NOT NULL AND g.contact_id <> m.company_contact_id
        GROUP BY g.contact_id ORDER BY g.contact_id
        """
    )
)
_BROUGHT_BY_GIFT = prepare(
    text(
        "SELECT DISTINCT matching_gift_id FROM matching_gifts WHERE organization_id = :organization_id "
        "AND gift_id = :gift_id AND matching_gift_id IS NOT NULL ORDER BY 1"
    )
)
_BROUGHT_BY_CONTACTS = prepare(
    text(
        """
        SELECT DISTINCT m.matching_gift_id FROM gifts g
        JOIN matching_gifts m ON m.organization_id = :organization_id AND m.gift_id = g.id
        WHERE g.organization_id = :organization_id AND g.contact_id = ANY(CAST(:contact_ids AS uuid[]))
            AND m.matching_gift_id IS NOT NULL ORDER BY 1
        """
    )
)


def to_read(row: RowLike) -> dict[str, Any]:
    """A matching gift as the API shows it."""
    return {
        **{name: row[name] for name in _READ},
        "donation_id": row["gift_id"],
        "expected_amount": money_or_none(row["expected_amount"], row["expected_currency"]),
        "matching_donation_id": row["matching_gift_id"],
        "received_amount": money_or_none(row["received_amount"], row["received_currency"]),
    }


async def add_match(session: WriteSession, gift_id: UUID, body: MatchingGiftCreate) -> dict[str, Any]:
    """Note that an employer may match a gift, or was asked to."""
    await get_gift(session, gift_id)
    expected = body.expected_amount
    values = {
        "gift_id": gift_id,
        "company_contact_id": await _company(session, body.company_contact_id),
        "status": body.status,
        "expected_amount": expected.amount if expected else None,
        "expected_currency": expected.currency if expected else None,
        "received_amount": None,
        "received_currency": None,
        "matching_gift_id": None,
        "submitted_on": body.submitted_on,
    }
    row = simple.add(session, matching_gifts, values)
    record(session, "matching_gift.created", "matching_gift", row["id"])
    return to_read(row)


async def _company(session: WriteSession, contact_id: UUID) -> UUID:
    try:
        return await contact_to_name(session, contact_id)
    except NotFound:
        raise NotFound.reference("company_contact_id") from None


async def get_match(session: ReadSession, match_id: UUID) -> dict[str, Any]:
    """One matching gift, or 404."""
    return to_read(await simple.get(session, matching_gifts, match_id, "matching gift"))


async def patch_match(
    session: WriteSession, match_id: UUID, body: MatchingGiftPatch, *, expected: int | None
) -> dict[str, Any]:
    """Change a matching gift; once the company's gift is named, the employee is credited with it, once."""
    row = await session.fetch_row(_LOCK, id=match_id)
    if row is None:
        raise NotFound("There is no such matching gift.")
    check_version(row["version"], expected)
    changes = await _changes(session, row, body)
    changes = {name: value for name, value in changes.items() if value != row[name]}
    if not changes:
        return to_read(row)
    after = await update_row(session, matching_gifts, match_id, changes, expected=None)
    record(session, "matching_gift.updated", "matching_gift", match_id, fields=body.model_fields_set)
    if changes.keys() & {"matching_gift_id", "received_amount"}:
        both = {row["matching_gift_id"], after["matching_gift_id"]} - {None}
        await credit_employees(session, sorted(both))
    return to_read(after)


async def _changes(session: WriteSession, row: Row, body: MatchingGiftPatch) -> dict[str, Any]:
    sent = body.model_fields_set
    changes: dict[str, Any] = {}
    if "submitted_on" in sent:
        changes["submitted_on"] = body.submitted_on
    if "expected_amount" in sent:
        told = body.expected_amount
        changes |= {
            "expected_amount": told.amount if told else None,
            "expected_currency": told.currency if told else None,
        }
    gift_id = body.matching_donation_id if "matching_donation_id" in sent else row["matching_gift_id"]
    if body.status is not None and body.status != "received" and "matching_donation_id" not in sent:
        gift_id = None
    status = body.status or ("received" if gift_id else "submitted" if row["status"] == "received" else row["status"])
    if status == "received" and gift_id is None:
        said = "A match is received by naming the company's gift: send matching_donation_id."
        raise Invalid.at("/matching_donation_id", "missing", said)
    if status != "received" and gift_id is not None:
        raise Invalid.at("/status", "match_received", "A match whose gift is named is received.")
    changes |= {"status": status, "matching_gift_id": gift_id}
    if gift_id is None:
        return {**changes, "received_amount": None, "received_currency": None}
    if "received_amount" in sent or gift_id != row["matching_gift_id"]:
        changes |= await _received(session, {**dict(row), **changes}, gift_id, body)
    return changes


async def _received(session: WriteSession, match: RowLike, gift_id: UUID, body: MatchingGiftPatch) -> dict[str, Any]:
    """How much of the company's gift matches; never more than other matches leave of it."""
    try:
        gift = await evidence.lock_gift(session, gift_id)
    except NotFound:
        raise NotFound.reference("matching_donation_id") from None
    if gift["contact_id"] != match["company_contact_id"] or gift_id == match["gift_id"]:
        said = "matching_donation_id must name a gift of the company that matches."
        raise Invalid.at("/matching_donation_id", "gift_of_another", said)
    left = gift["amount"] - int(await session.fetch_val(_TAKEN, matching_gift_id=gift_id, id=match["id"]))
    told = body.received_amount
    if told is not None and told.currency != gift["currency"]:
        raise Invalid.at("/received_amount/currency", "currency_mismatch", f"The gift is in {gift['currency']}.")
    amount = left
    if told is not None:
        amount = told.amount
    elif match["expected_amount"] is not None and match["expected_currency"] == gift["currency"]:
        amount = min(match["expected_amount"], left)
    if amount > left or amount <= 0:
        said = f"Other matches leave {left} minor units of the company's gift."
        raise Invalid.at("/received_amount/amount", "exceeds_amount", said)
    return {"received_amount": amount, "received_currency": gift["currency"]}


async def credit_employees(session: WriteSession, gift_ids: Iterable[UUID]) -> None:
    """Bring the soft credits of companies' gifts in line with what they match. The same again changes nothing."""
    for gift_id in gift_ids:
        await evidence.lock_gift(session, gift_id)
        rows = await session.fetch(_EARNED, matching_gift_id=gift_id)
        await keep_matched(session, gift_id, {row["contact_id"]: row["amount"] for row in rows})


async def follow_gift(session: WriteSession, gift_id: UUID) -> None:
    """A gift is somebody else's now: so is the credit for what it brought."""
    rows = await session.fetch(_BROUGHT_BY_GIFT, gift_id=gift_id)
    await credit_employees(session, [row["matching_gift_id"] for row in rows])


async def follow_contacts(session: WriteSession, contact_ids: Iterable[UUID]) -> None:
    """Contacts were merged, or parted again: so are their credits."""
    rows = await session.fetch(_BROUGHT_BY_CONTACTS, contact_ids=sorted(contact_ids))
    await credit_employees(session, [row["matching_gift_id"] for row in rows])
