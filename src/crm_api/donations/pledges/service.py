"""Verbs of pledges: make, change, write off, cancel; and bringing their figures up to date."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, select, text

from crm_api.audit.service import record
from crm_api.contacts.service import contact_to_name
from crm_api.donations.pledges import fulfilment
from crm_api.donations.pledges.facts import PledgeChanged
from crm_api.donations.pledges.fulfilment import Installment, WriteOff
from crm_api.donations.pledges.models import pledge_installments, pledge_write_offs, pledges
from crm_api.donations.pledges.schemas import InstallmentIn, PledgeCreate, PledgePatch
from crm_api.donations.recurring import schedule
from crm_api.kit import clock, simple
from crm_api.kit.db import ReadSession, Row, RowLike, WriteSession, prepare
from crm_api.kit.ids import new_id
from crm_api.kit.problems import Conflict, Invalid, NotFound
from crm_api.kit.schemas import money_or_none
from crm_api.kit.updates import check_version, update_row
from crm_api.outbox.service import emit

OPEN = ("pending", "active", "overdue")
_READ = (
    "id", "contact_id", "kind", "status", "next_due_on", "description", "pledged_on", "auto_apply", "reminder_days",
    "fund_id", "campaign_id", "owner_member_id", "note", "canceled_at", "cancel_reason", "version", "created_at",
    "updated_at",
)  # fmt: skip
_PLAIN = ("description", "auto_apply", "reminder_days", "fund_id", "campaign_id", "owner_member_id", "note")
_ORG: Any = bindparam("organization_id")
_LOCK = prepare(
    select(pledges)
    .where(pledges.c.organization_id == _ORG, pledges.c.id == bindparam("id"))
    .with_for_update(key_share=True)
)
_INSTALLMENTS = prepare(
    select(pledge_installments)
    .where(pledge_installments.c.organization_id == _ORG, pledge_installments.c.pledge_id == bindparam("pledge_id"))
    .order_by(pledge_installments.c.number)
)
_DROP_INSTALLMENTS = prepare(
    text("DELETE FROM pledge_installments WHERE organization_id = :organization_id AND pledge_id = :pledge_id")
)
_WRITE_OFFS = prepare(
    text(
        "SELECT installment_id, amount FROM pledge_write_offs WHERE organization_id = :organization_id "
        "AND pledge_id = :pledge_id ORDER BY created_at, id"
    )
)
# A gift's portions for several pledges stand in the order they were applied in, as far as its money goes.
_RECOUNT = prepare(
    text(
        """
        UPDATE pledge_payments t SET counted = greatest(least(coalesce(t.amount, g.counted), g.counted - coalesce((
            SELECT sum(e.amount) FROM pledge_payments e WHERE e.organization_id = :organization_id
                AND e.gift_id = t.gift_id AND (e.created_at, e.id) < (t.created_at, t.id)), 0)), 0)
        FROM gifts g
        WHERE t.organization_id = :organization_id AND t.pledge_id = :pledge_id
            AND g.organization_id = :organization_id AND g.id = t.gift_id
        RETURNING t.counted
        """
    )
)
_STAND = prepare(
    text(
        """
        UPDATE pledge_installments i SET paid = r.paid, written_off = r.written_off, is_open = r.is_open,
            remind_on = r.remind_on
        FROM jsonb_to_recordset(:rows) AS r(id uuid, paid bigint, written_off bigint, is_open boolean, remind_on date)
        WHERE i.organization_id = :organization_id AND i.id = r.id
        """
    )
)


def to_read(row: RowLike) -> dict[str, Any]:
    """A pledge as the API shows it."""
    currency, amount = row["currency"], row["amount"]

    def money(value: int) -> dict[str, Any] | None:
        return None if amount is None else money_or_none(value, currency)

    return {
        **{name: row[name] for name in _READ},
        "amount": money_or_none(amount, currency),
        "paid_amount": money(row["paid"]),
        "written_off_amount": money(row["written_off"]),
        "open_amount": money((amount or 0) - row["paid"] - row["written_off"]),
        "overpaid_amount": money(row["overpaid"]),
    }


def installment_to_read(row: RowLike, currency: str | None) -> dict[str, Any]:
    """An installment as the API shows it."""
    amount = row["amount"]
    left = None if amount is None else amount - row["paid"] - row["written_off"]
    return {
        **{name: row[name] for name in ("id", "number", "due_on", "is_open", "reminded_on")},
        "amount": money_or_none(amount, currency),
        "paid_amount": None if amount is None else money_or_none(row["paid"], currency),
        "written_off_amount": None if amount is None else money_or_none(row["written_off"], currency),
        "open_amount": money_or_none(left, currency),
    }


def today_of(session: ReadSession) -> date:
    """The organization's day."""
    return clock.local_date(session.now, session.tenant.timezone)


async def get_pledge(session: ReadSession, pledge_id: UUID) -> Row:
    """One pledge, or 404."""
    return await simple.get(session, pledges, pledge_id, "pledge")


async def lock_pledge(session: WriteSession, pledge_id: UUID, *, expected: int | None = None) -> Row:
    """One pledge, locked for this transaction, or 404; 412 on another version."""
    row = await session.fetch_row(_LOCK, id=pledge_id)
    if row is None:
        raise NotFound("There is no such pledge.")
    check_version(row["version"], expected)
    return row


async def installments_of(session: ReadSession, pledge: RowLike) -> list[dict[str, Any]]:
    """The installments of a pledge, in order."""
    rows = await session.fetch(_INSTALLMENTS, pledge_id=pledge["id"])
    return [installment_to_read(row, pledge["currency"]) for row in rows]


def check_open(pledge: RowLike, verb: str) -> None:
    """409 for a pledge that was canceled."""
    if pledge["status"] == "canceled":
        raise Conflict(f"A pledge that is canceled cannot be {verb}; record a new one.", code="pledge_canceled")


def _parts(body: PledgeCreate) -> list[tuple[date, int | None]]:
    """Due dates and amounts of a new pledge."""
    if body.amount is None:
        assert body.due_date is not None
        return [(body.due_date, None)]
    if body.installments is not None:
        return _given(body.installments, body.amount.amount, body.amount.currency)
    if body.schedule is None:
        assert body.due_date is not None
        return [(body.due_date, body.amount.amount)]
    plan = body.schedule
    if plan.count > body.amount.amount:
        raise Invalid.at("/schedule/count", "too_many", "There are more installments than minor units to share out.")
    anchor = None if plan.frequency_unit in {"day", "week"} else plan.anchor_day
    rhythm = schedule.begin(plan.frequency_unit, plan.frequency_interval, plan.start_date, anchor)
    amounts = schedule.split(body.amount.amount, plan.count)
    return [(rhythm.nth(number), amount) for number, amount in enumerate(amounts)]


def _given(items: Sequence[InstallmentIn], total: int, currency: str) -> list[tuple[date, int | None]]:
    for number, item in enumerate(items):
        if item.amount.currency != currency:
            pointer = f"/installments/{number}/amount/currency"
            raise Invalid.at(pointer, "currency_mismatch", f"The pledge is in {currency}; so must its parts be.")
    found = sum(item.amount.amount for item in items)
    if found != total:
        raise Invalid.at(
            "/installments", "sum_mismatch", f"The installments come to {found} minor units, the pledge to {total}."
        )
    return [(item.due_on, item.amount.amount) for item in sorted(items, key=lambda item: item.due_on)]


def _add_installments(session: WriteSession, pledge_id: UUID, parts: Sequence[tuple[date, int | None]]) -> None:
    rows = [
        {"id": new_id(), "pledge_id": pledge_id, "number": number, "due_on": due_on, "amount": amount, "paid": 0,
         "written_off": 0, "is_open": True, "reminded_on": None, "remind_on": None}
        for number, (due_on, amount) in enumerate(parts, start=1)
    ]  # fmt: skip
    session.later_rows(pledge_installments, rows)


async def create_pledge(session: WriteSession, body: PledgeCreate) -> Row:
    """Record a promise with its installments."""
    parts = _parts(body)
    pledge = simple.add(
        session,
        pledges,
        {
            "contact_id": await contact_to_name(session, body.contact_id),
            "kind": body.kind,
            "status": "pending",
            "amount": body.amount.amount if body.amount is not None else None,
            "currency": body.amount.currency if body.amount is not None else None,
            "paid": 0,
            "written_off": 0,
            "overpaid": 0,
            "pledged_on": body.pledged_on or today_of(session),
            **{name: getattr(body, name) for name in _PLAIN},
        },
    )
    _add_installments(session, pledge["id"], parts)
    record(session, "pledge.created", "pledge", pledge["id"])
    await session.flush()
    return await settle(session, await lock_pledge(session, pledge["id"]), fresh=True)


async def patch_pledge(session: WriteSession, pledge_id: UUID, body: PledgePatch, *, expected: int | None) -> Row:
    """Change a pledge; new installments take the place of all, and what was paid is spread over them."""
    pledge = await lock_pledge(session, pledge_id, expected=expected)
    sent = {name: getattr(body, name) for name in body.model_fields_set}
    if not sent:
        return pledge
    check_open(pledge, "changed")
    changes = {name: sent[name] for name in _PLAIN if name in sent}
    if "amount" in sent or "installments" in sent:
        pledge = await _renegotiate(session, pledge, body)
    record(session, "pledge.updated", "pledge", pledge_id, fields=sent)
    return await settle(session, pledge, changes)


async def _renegotiate(session: WriteSession, pledge: Row, body: PledgePatch) -> Row:
    if pledge["amount"] is None:
        raise Invalid.at("/amount", "in_kind", "A pledge in kind has no amounts.")
    if body.installments is None:
        raise Invalid.at("/installments", "missing", "Send the installments that add up to the new amount.")
    if body.amount is not None and body.amount.currency != pledge["currency"]:
        raise Invalid.at("/amount/currency", "currency_mismatch", f"The pledge is in {pledge['currency']} for good.")
    total = body.amount.amount if body.amount is not None else pledge["amount"]
    parts = _given(body.installments, total, pledge["currency"])
    # The figures must fit meanwhile: they are put together anew at once.
    cleared = {"paid": 0, "written_off": 0, "overpaid": 0, "amount": total}
    renewed = await update_row(session, pledges, pledge["id"], cleared, expected=None)
    await session.execute(_DROP_INSTALLMENTS, pledge_id=pledge["id"])
    _add_installments(session, pledge["id"], parts)
    await session.flush()
    return renewed


async def write_off(
    session: WriteSession, pledge_id: UUID, reason: str, installment_id: UUID | None, *, expected: int | None
) -> Row:
    """Give up what is open: of one installment, or of all."""
    pledge = await lock_pledge(session, pledge_id, expected=expected)
    check_open(pledge, "written off")
    if pledge["status"] not in OPEN:
        raise Conflict(f"Nothing of this pledge is open: it is {pledge['status']}.", code="nothing_open")
    amount = None
    if pledge["amount"] is not None:
        amount = pledge["amount"] - pledge["paid"] - pledge["written_off"]
    if installment_id is not None:
        rows = await session.fetch(_INSTALLMENTS, pledge_id=pledge_id)
        found = next((row for row in rows if row["id"] == installment_id), None)
        if found is None:
            raise NotFound.reference("installment_id")
        if not found["is_open"]:
            raise Conflict("Nothing of this installment is open.", code="nothing_open")
        if found["amount"] is not None:
            amount = found["amount"] - found["paid"] - found["written_off"]
    session.later(
        pledge_write_offs,
        id=new_id(),
        pledge_id=pledge_id,
        installment_id=installment_id,
        amount=amount,
        written_off_on=today_of(session),
        reason=reason,
        actor_kind=session.actor.kind,
        actor_id=session.actor.id,
        created_at=session.now,
    )
    await session.flush()
    record(session, "pledge.written_off", "pledge", pledge_id)
    return await settle(session, pledge)


async def cancel(session: WriteSession, pledge_id: UUID, reason: str, *, expected: int | None) -> Row:
    """Take a pledge back. Gifts that paid it stay gifts."""
    pledge = await lock_pledge(session, pledge_id, expected=expected)
    check_open(pledge, "canceled")
    record(session, "pledge.canceled", "pledge", pledge_id)
    return await settle(session, pledge, {"canceled_at": session.now, "cancel_reason": reason})


async def settle(
    session: WriteSession, pledge: RowLike, changes: Mapping[str, Any] | None = None, *, fresh: bool = False
) -> Row:
    """Put a locked pledge's figures and status together anew, with other changes of columns."""
    after = {**dict(pledge), **(changes or {})}
    rows = await session.fetch(_INSTALLMENTS, pledge_id=pledge["id"])
    write_offs = await session.fetch(_WRITE_OFFS, pledge_id=pledge["id"])
    counted = [row["counted"] for row in await session.fetch(_RECOUNT, pledge_id=pledge["id"])]
    canceled = after["canceled_at"] is not None
    figures: dict[str, Any] = {}
    if after["amount"] is None:
        given = any(counted)
        still = [not (given or write_offs)] * len(rows)
        paid, lost = [0] * len(rows), [0] * len(rows)
        given_up = bool(write_offs) and not given
    else:
        places = {row["id"]: place for place, row in enumerate(rows)}
        standing = fulfilment.fulfil(
            [Installment(row["due_on"], row["amount"]) for row in rows],
            sum(counted),
            [WriteOff(row["amount"], places.get(row["installment_id"])) for row in write_offs],
        )
        still = [left > 0 for left in standing.open]
        paid, lost = list(standing.paid), list(standing.written_off)
        given, given_up = sum(paid) > 0, sum(lost) > 0
        figures = {"paid": sum(paid), "written_off": sum(lost), "overpaid": standing.overpaid}
    dates = [row["due_on"] for row, is_open in zip(rows, still, strict=True) if is_open]
    status = fulfilment.status(
        canceled=canceled, paid=given, given_up=given_up, open_dates=dates, today=today_of(session)
    )
    await _stand(session, rows, after, paid, lost, [one and not canceled for one in still])
    values = {**(changes or {}), **figures, "status": status, "next_due_on": min(dates, default=None)}
    if canceled:
        values["next_due_on"] = None
    return await _write(session, pledge, values, fresh=fresh)


async def _stand(
    session: WriteSession, rows: Sequence[Row], pledge: RowLike, paid: list[int], lost: list[int], still: list[bool]
) -> None:
    """Write what has changed of the installments, in one statement."""
    changed = []
    for row, got, gone, is_open in zip(rows, paid, lost, still, strict=True):
        remind = fulfilment.remind_on(row["due_on"], pledge["reminder_days"], row["reminded_on"]) if is_open else None
        now = (got, gone, is_open, remind)
        if now != (row["paid"], row["written_off"], row["is_open"], row["remind_on"]):
            remind_on = None if remind is None else remind.isoformat()
            changed.append(
                {"id": str(row["id"]), "paid": got, "written_off": gone, "is_open": is_open, "remind_on": remind_on}
            )
    if changed:
        await session.execute(_STAND, rows=changed)


async def _write(session: WriteSession, pledge: RowLike, values: Mapping[str, Any], *, fresh: bool) -> Row:
    changed = {name: value for name, value in values.items() if value != pledge[name]}
    after = await update_row(session, pledges, pledge["id"], changed, expected=None) if changed else None
    row = after or await get_pledge(session, pledge["id"])
    if fresh or changed.keys() & {"status", "paid", "written_off", "amount"}:
        emit(
            session,
            PledgeChanged(
                pledge_id=row["id"],
                contact_id=row["contact_id"],
                previous_status=None if fresh else pledge["status"],
                status=row["status"],
            ),
        )
    return row
