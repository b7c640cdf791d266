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
from crm_api.donations.gifts import repository
from crm_api.donations.gifts.balances import Balance, Entry, derive
from crm_api.donations.gifts.facts import GiftChanged, GiftRecorded
from crm_api.donations.gifts.models import gifts
from crm_api.donations.gifts.schemas import DonationCreate, RefundCreate
from crm_api.kit import clock
from crm_api.kit.db import ReadSession, Row, RowLike, WriteSession
from crm_api.kit.ids import new_id
from crm_api.kit.money import MAX_MINOR, convert
from crm_api.kit.problems import Conflict, Invalid, NotFound
from crm_api.kit.updates import check_version, update_row
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
        "base_amount": base,
        "base_rate": None if rate is None else format(rate.normalize(), "f"),
        "base_rate_date": row["base_rate_date"],
        "method": row["method"],
        "is_anonymous": row["is_anonymous"],
        "received_at": row["received_at"],
        "gift_date": row["gift_date"],
        "fund_id": row["fund_id"],
        "campaign_id": row["campaign_id"],
        "recurring_plan_id": row["plan_id"],
        "connection_id": row["connection_id"],
        "provider": row["provider"],
        "provider_payment_id": row["provider_payment_id"],
        "failure_reason": row["failure_reason"],
        "external_ids": row["external_ids"],
        "version": row["version"],
        "created_at": row["created_at"],
        "updated_at": row["updated_at"],
    }


def shown(session: ReadSession, row: RowLike) -> dict[str, Any]:
    """A gift as the API shows it to this session's organization."""
    return to_read({**dict(row), "base_currency": session.tenant.currency})


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
        "status": balance.status,
        "refunded": balance.refunded,
        "fee": balance.fee,
        "charged_back": balance.charged_back,
        "counted": balance.counted,
        "failure_reason": balance.failure_reason,
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
    """Record a new gift with what is known of its payment; its columns."""
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
    repository.add(session, gift, known, refs)
    record(session, "donation.recorded", "donation", gift["id"])
    emit(session, GiftRecorded(gift_id=gift["id"], contact_id=gift["contact_id"], status=gift["status"]))
    return gift


async def settle(session: WriteSession, row: Row, changes: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Derive a locked gift's state anew from its entries and write what changed, with other `changes` of columns."""
    entries = [repository.entry_of(entry) for entry in await repository.entry_rows(session, row["id"])]
    balance = derive(entries)
    after = {**dict(row), **(changes or {})}
    after |= _derived(session, entries, balance, amount=after["amount"], fallback=row["received_at"])
    after |= await _base(session, after, balance)
    changed = {name: value for name, value in after.items() if value != row[name]}
    if not changed:
        return dict(row)
    written = dict(await update_row(session, gifts, row["id"], changed, expected=None))
    record(session, "donation.updated", "donation", row["id"], fields=changed)
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
    received = body.received_at or session.now
    if received > session.now + timedelta(days=366):
        raise Invalid.at("/received_at", "in_future", "A gift cannot be received more than a year from now.")
    gift_id = new_id()
    entry = Entry(kind="charge", key="charge:staff", occurred_at=received, amount=body.amount.amount)
    facts = PaymentFacts(
        amount=body.amount.amount,
        currency=body.amount.currency,
        method=body.method,
        contact_id=body.contact_id,
        fund_id=body.fund_id,
        campaign_id=body.campaign_id,
        is_anonymous=body.is_anonymous,
        external_ids=[item.model_dump() for item in body.external_ids],
    )
    return shown(session, await record_gift(session, facts, [entry], gift_id=gift_id))


async def get_gift(session: ReadSession, gift_id: UUID) -> Row:
    """One gift, or 404."""
    row = await session.fetch_row(repository.GET, id=gift_id)
    if row is None:
        raise NotFound("There is no such donation.")
    return row


async def refund_by_hand(
    session: WriteSession, gift_id: UUID, body: RefundCreate, *, expected: int | None
) -> dict[str, Any]:
    """Record that money of a gift was given back; the gift as the API shows it."""
    row = await repository.lock(session, gift_id)
    if row is None:
        raise NotFound("There is no such donation.")
    check_version(row["version"], expected)
    if row["provider"] is not None:
        raise Conflict(
            f"This gift was paid through {row['provider']}. Refund it there: its webhook records the refund here.",
            code="refund_at_provider",
        )
    if row["status"] not in {"succeeded", "partially_refunded"}:
        raise Conflict(f"A gift that is {row['status']} cannot be refunded.", code="not_refundable")
    left = row["amount"] - row["refunded"]
    if body.amount is not None and body.amount.currency != row["currency"]:
        raise Invalid.at("/amount/currency", "currency_mismatch", f"The gift is in {row['currency']}; refund in that.")
    amount = body.amount.amount if body.amount is not None else left
    if amount > left:
        raise Invalid.at("/amount/amount", "exceeds_balance", f"At most {left} minor units are left to refund.")
    refund_id = new_id()
    at = body.refunded_at or session.now
    entry = Entry(
        kind="refund",
        key=f"refund:{refund_id}:succeeded",
        occurred_at=at,
        amount=amount,
        ref=str(refund_id),
        status="succeeded",
        started_at=at,
        reason="staff",
    )
    await repository.add_entries(session, gift_id, [entry])
    return shown(session, await settle(session, row))


async def note_donor(session: WriteSession, contact_id: UUID) -> None:
    """A contact with a counted gift is a donor."""
    await add_role(session, contact_id, "donor")


async def note_donors(session: WriteSession, contact_ids: Sequence[UUID]) -> int:
    """The same for many contacts at once; how many were not known as donors."""
    return await add_role_to_many(session, contact_ids, "donor")
