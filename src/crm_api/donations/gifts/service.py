"""Verbs of gifts. Whatever is known of a payment is an entry; status and balances follow from the entries."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from crm_api.audit.service import record
from crm_api.contacts.service import add_role, add_role_to_many
from crm_api.donations.allocations import service as allocations
from crm_api.donations.allocations.schemas import Allocation
from crm_api.donations.gifts import repository
from crm_api.donations.gifts.attribution import attribute, check_new
from crm_api.donations.gifts.balances import Balance, Entry, EntryKind, derive
from crm_api.donations.gifts.details import stored
from crm_api.donations.gifts.facts import GiftChanged, GiftRecorded
from crm_api.donations.gifts.models import gifts
from crm_api.donations.gifts.schemas import DonationCreate
from crm_api.kit import clock
from crm_api.kit.db import ReadSession, Row, RowLike, WriteSession
from crm_api.kit.ids import new_id
from crm_api.kit.money import MAX_MINOR, convert
from crm_api.kit.problems import Invalid, NotFound
from crm_api.kit.schemas import money_or_none
from crm_api.kit.updates import update_row
from crm_api.organizations.rates.service import newest_rate
from crm_api.outbox.service import emit


def to_read(row: RowLike) -> dict[str, Any]:
    """A gift as the API shows it."""
    currency = row["currency"]
    base = None
    if row["base_amount"] is not None:
        base = {"amount": row["base_amount"], "currency": row["base_currency"]}
    net = max(row["amount"] - row["refunded"] - row["charged_back"] - row["fee"], 0)
    rate: Decimal | None = row["base_rate"]
    return {
        "id": row["id"],
        "contact_id": row["contact_id"],
        "amount": {"amount": row["amount"], "currency": currency},
        "status": row["status"],
        "refunded_amount": {"amount": row["refunded"], "currency": currency},
        "fee_amount": {"amount": row["fee"], "currency": currency},
        "net_amount": {"amount": net, "currency": currency},
        "donor_covered_fee": money_or_none(row["donor_covered_fee"], currency),
        "deductible_amount": {"amount": max(row["counted"] - row["premium_value"], 0), "currency": currency},
        "base_amount": base,
        "base_rate": None if rate is None else format(rate.normalize(), "f"),
        "base_rate_date": row["base_rate_date"],
        "method": row["method"],
        "method_details": row["method_details"],
        "is_anonymous": row["is_anonymous"],
        "received_at": row["received_at"],
        "gift_date": row["gift_date"],
        "fund_id": row["fund_id"],
        "is_split": row["is_split"],
        "campaign_id": row["campaign_id"],
        "appeal_id": row["appeal_id"],
        "source_code": row["source_code"],
        "channel": row["channel"],
        "utm": row["utm"],
        "recurring_plan_id": row["plan_id"],
        "batch_id": row["batch_id"],
        "connection_id": row["connection_id"],
        "provider": row["provider"],
        "provider_payment_id": row["provider_payment_id"],
        "failure_reason": row["failure_reason"],
        "note": row["note"],
        "external_ids": row["external_ids"],
        "version": row["version"],
        "created_at": row["created_at"],
        "updated_at": row["updated_at"],
    }


def shown(session: ReadSession, row: RowLike) -> dict[str, Any]:
    """A gift as the API shows it to this session's organization, in a list."""
    return to_read({**dict(row), "base_currency": session.tenant.currency})


async def shown_whole(session: ReadSession, row: RowLike) -> dict[str, Any]:
    """A gift as the API shows it alone: with its parts, which are looked up only where it is split."""
    return {**shown(session, row), "allocations": (await allocations.of_gifts(session, [row]))[row["id"]]}


DETAILS: dict[str, Any] = {
    "is_split": False,
    "appeal_id": None,
    "source_code": None,
    "channel": None,
    "utm": None,
    "batch_id": None,
    "donor_covered_fee": None,
    "premium_value": 0,
    "method_details": None,
    "note": None,
}
"""Columns that most gifts leave as they are, and what they hold then; written only where they say something."""


@dataclass(frozen=True, slots=True)
class PaymentFacts:
    """What is known of a gift beside its entries."""

    amount: int
    currency: str
    method: str = "other"
    contact_id: UUID | None = None
    fund_id: UUID | None = None
    campaign_id: UUID | None = None
    plan_id: UUID | None = None
    connection_id: UUID | None = None
    provider: str | None = None
    provider_payment_id: str | None = None
    provider_customer_id: str | None = None
    payer: dict[str, Any] | None = None
    is_anonymous: bool = False
    external_ids: list[dict[str, str]] = field(default_factory=list)
    details: Mapping[str, Any] = field(default_factory=dict)
    """Values of columns in `DETAILS` that say something."""
    allocations: Sequence[Allocation] | None = None
    """A split that was checked; of several funds."""


async def _base(session: WriteSession, gift: Mapping[str, Any], balance: Balance) -> dict[str, Any]:
    """The amounts in the organization's currency; null until a rate is known."""
    target = session.tenant.currency
    if gift["currency"] == target:
        return {
            "base_amount": gift["amount"],
            "base_counted": balance.counted,
            "base_rate": Decimal(1),
            "base_rate_date": gift["gift_date"],
        }
    rate, rate_date = gift.get("base_rate"), gift.get("base_rate_date")  # stamped once, kept for good
    if rate is None:
        found = await newest_rate(session, gift["currency"], target, gift["gift_date"])
        if found is None:
            return {"base_amount": None, "base_counted": None, "base_rate": None, "base_rate_date": None}
        rate, rate_date = found
    base_amount = convert(gift["amount"], gift["currency"], target, rate)
    if base_amount > MAX_MINOR:  # no amount of the API's: left out of sums, as without a rate
        return {"base_amount": None, "base_counted": None, "base_rate": None, "base_rate_date": None}
    return {
        "base_amount": base_amount,
        "base_counted": convert(balance.counted, gift["currency"], target, rate),
        "base_rate": rate,
        "base_rate_date": rate_date,
    }


def _derived(
    session: WriteSession, entries: Sequence[Entry], balance: Balance, *, amount: int, fallback: datetime
) -> dict[str, Any]:
    """Columns that follow from the entries. A payment whose money has not arrived is dated by its earliest entry."""
    received = balance.received_at or min((entry.occurred_at for entry in entries), default=fallback)
    return {
        "amount": balance.gross or amount,
        **balance.columns(),
        "received_at": received,
        "gift_date": clock.local_date(received, session.tenant.timezone),
    }


async def record_gift(
    session: WriteSession,
    facts: PaymentFacts,
    entries: Iterable[Entry],
    *,
    refs: Sequence[str] = (),
    gift_id: UUID | None = None,
) -> dict[str, Any]:
    """Record a new gift with what is known of its payment; its columns, with `allocations` as the API shows them where
    it was split."""
    known = list(entries)
    balance = derive(known)
    now = session.now
    gift: dict[str, Any] = {
        "id": gift_id or new_id(),
        "contact_id": facts.contact_id,
        "currency": facts.currency,
        **_derived(session, known, balance, amount=facts.amount, fallback=now),
        "method": facts.method,
        "is_anonymous": facts.is_anonymous,
        "fund_id": facts.fund_id,
        "campaign_id": facts.campaign_id,
        "plan_id": facts.plan_id,
        "connection_id": facts.connection_id,
        "provider": facts.provider,
        "provider_payment_id": facts.provider_payment_id,
        "provider_customer_id": facts.provider_customer_id,
        "payer": facts.payer,
        "external_ids": facts.external_ids,
        "version": 1,
        "created_at": now,
        "updated_at": now,
    }
    gift |= await _base(session, gift, balance)
    gift |= facts.details
    if facts.allocations is not None:
        gift["is_split"] = True
    repository.add(session, gift, known, refs)
    parts = allocations.add(session, gift, facts.allocations) if facts.allocations is not None else None
    record(session, "donation.recorded", "donation", gift["id"])
    emit(session, GiftRecorded(gift_id=gift["id"], contact_id=gift["contact_id"], status=gift["status"]))
    return {**DETAILS, **gift} if parts is None else {**DETAILS, **gift, "allocations": parts}


async def restated(
    session: WriteSession, row: RowLike, entries: Sequence[Entry], changes: Mapping[str, Any]
) -> dict[str, Any]:
    """Columns of a gift that are others by these entries and `changes` of columns."""
    balance = derive(entries)
    after = {**dict(row), **changes}
    after |= _derived(session, entries, balance, amount=after["amount"], fallback=row["received_at"])
    after |= await _base(session, after, balance)
    return {name: value for name, value in after.items() if value != row[name]}


async def settle(
    session: WriteSession, row: Row, changes: Mapping[str, Any] | None = None, *, touched: Sequence[str] = ()
) -> dict[str, Any]:
    """Derive a locked gift's state anew from its entries and write what changed, with other `changes` of columns.
    `touched` names members that changed in other tables: then the gift has changed in any case."""
    entries = [repository.entry_of(entry) for entry in await repository.entry_rows(session, row["id"])]
    changed = await restated(session, row, entries, changes or {})
    if not changed and not touched:
        return dict(row)
    written = dict(await update_row(session, gifts, row["id"], changed, expected=None))
    if written["is_split"]:
        await allocations.restate(session, [row["id"]])
    record(session, "donation.updated", "donation", row["id"], fields={*changed, *touched})
    emit(
        session,
        GiftChanged(
            gift_id=row["id"],
            contact_id=written["contact_id"],
            previous_contact_id=row["contact_id"],
            previous_status=row["status"],
            status=written["status"],
            refunded_more=written["refunded"] > row["refunded"],
        ),
    )
    return written


async def record_by_hand(session: WriteSession, body: DonationCreate) -> dict[str, Any]:
    """Record money that has arrived outside any provider; the gift as the API shows it."""
    check_new(body)
    said: Mapping[str, Any] = {"campaign_id": body.campaign_id, "channel": body.channel}
    if body.appeal_id is not None or body.source_code is not None:
        said = await attribute(session, {**said, "appeal_id": body.appeal_id, "source_code": body.source_code})
    return shown_new(session, await record_said(session, body, said))


def shown_new(session: ReadSession, gift: RowLike) -> dict[str, Any]:
    """A gift that has just been recorded, as the API shows it alone."""
    parts = gift["allocations"] if gift["is_split"] else allocations.whole_of(gift)
    return {**shown(session, gift), "allocations": parts}


async def record_said(
    session: WriteSession,
    body: DonationCreate,
    said: Mapping[str, Any],
    *,
    batch_id: UUID | None = None,
    contact_id: UUID | None = None,
) -> dict[str, Any]:
    """Record a gift that was checked (`attribution.check_new`), attributed as `said`; its columns as `record_gift`
    gives them. A gift of an open batch is pending. `contact_id`: who it is from, where that is not the body's."""
    received = body.received_at or session.now
    if received > session.now + timedelta(days=366):
        raise Invalid.at("/received_at", "in_future", "A gift cannot be received more than a year from now.")
    amount = body.amount.amount
    kind: EntryKind = "charge" if batch_id is None else "pending"
    entry = Entry(kind=kind, key=f"{kind}:staff", occurred_at=received, amount=amount)
    parts = body.allocations
    facts = PaymentFacts(
        amount=amount,
        currency=body.amount.currency,
        method=body.method,
        contact_id=contact_id or body.contact_id,
        fund_id=parts[0].fund_id if parts is not None and len(parts) == 1 else body.fund_id,
        campaign_id=said["campaign_id"],
        is_anonymous=body.is_anonymous,
        external_ids=[item.model_dump() for item in body.external_ids],
        details=_details(body, said, batch_id),
        allocations=parts if parts is not None and len(parts) > 1 else None,
    )
    return await record_gift(session, facts, [entry])


def _details(body: DonationCreate, said: Mapping[str, Any], batch_id: UUID | None) -> dict[str, Any]:
    """Columns of `DETAILS` that the body says something of; none for a plain gift."""
    values = {
        "appeal_id": said.get("appeal_id"),
        "source_code": said.get("source_code"),
        "channel": said["channel"],
        "utm": stored(body.utm),
        "batch_id": batch_id,
        "donor_covered_fee": body.donor_covered_fee.amount if body.donor_covered_fee is not None else None,
        "method_details": stored(body.method_details),
        "note": body.note,
    }
    return {name: value for name, value in values.items() if value is not None}


async def get_gift(session: ReadSession, gift_id: UUID) -> Row:
    """One gift, or 404."""
    row = await session.fetch_row(repository.GET, id=gift_id)
    if row is None:
        raise NotFound("There is no such donation.")
    return row


async def get_by_external_id(session: ReadSession, system: str, external_id: str) -> Row:
    """The gift with an id in another system, or 404."""
    found = await repository.by_external_id(session, system, external_id)
    if found is None:
        raise NotFound("There is no such donation.")
    return await get_gift(session, found)


async def note_donor(session: WriteSession, contact_id: UUID) -> None:
    """A contact with a counted gift is a donor."""
    await add_role(session, contact_id, "donor")


async def note_donors(session: WriteSession, contact_ids: Sequence[UUID]) -> int:
    """The same for many contacts at once; how many were not known as donors."""
    return await add_role_to_many(session, contact_ids, "donor")
