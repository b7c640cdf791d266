"""Changing what a plan says: amount, dates, end, card, and whom and what it is for."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy import text

from crm_api.contacts.service import contact_to_name
from crm_api.donations.recurring import changes, own, schedule
from crm_api.donations.recurring.schemas import PlanPatch
from crm_api.kit.crypto import Vault
from crm_api.kit.db import Row, RowLike, WriteSession, prepare
from crm_api.kit.problems import Conflict, Invalid

_OURS_OF_ALL = frozenset({"contact_id", "fund_id", "campaign_id", "note", "reason"})
_PLAIN = ("fund_id", "campaign_id", "note", "installments")
_MONTHLY = ("month", "year")
_RHYTHM = frozenset({"frequency_unit", "frequency_interval", "anchor_day"})
# What is claimed already and not sent is charged with the new amount.
_REPRICE = prepare(
    text(
        "UPDATE recurring_periods SET amount = :amount, currency = :currency, version = version + 1, updated_at = :now "
        "WHERE organization_id = :organization_id AND plan_id = :plan_id AND state IN ('due', 'retrying', 'expected')"
    )
)


async def patch_plan(
    session: WriteSession, vault: Vault, plan_id: UUID, body: PlanPatch, *, expected: int | None
) -> Row:
    """Apply a merge patch; 409 for what only the provider of a plan can change."""
    plan = await own.lock_plan(session, plan_id, expected=expected)
    sent = {name: getattr(body, name) for name in body.model_fields_set}
    if sent.keys() - _OURS_OF_ALL:
        own.check_own(plan)
        if plan["status"] in own.OVER:
            raise own.refuse(plan, "changed")
    values = {name: sent[name] for name in _PLAIN if name in sent}
    if "contact_id" in sent:
        values["contact_id"] = await contact_to_name(session, sent["contact_id"])
    if "end_date" in sent:
        values["end_on"] = sent["end_date"]
    for taken, other in (("installments", "end_on"), ("end_on", "installments")):
        if values.get(taken) is not None and plan[other] is not None:
            values[other] = None
    if "card" in sent:
        own.takes_card(plan)
        values |= own.card_columns(session, vault, plan_id, sent["card"])
    if "amount" in sent:
        values |= {"amount": sent["amount"].amount, "currency": sent["amount"].currency}
    values |= await _dates(session, {**dict(plan), **values}, sent, plan)
    values = {name: value for name, value in values.items() if value != plan[name]}
    if not values:
        return plan
    if values.keys() & {"amount", "currency"}:
        after = {**dict(plan), **values}
        await session.execute(
            _REPRICE, plan_id=plan_id, amount=after["amount"], currency=after["currency"], now=session.now
        )
    told = values.keys() & {"amount", "currency", "frequency_unit", "frequency_interval"}
    kind = changes.kind_of(plan, {**dict(plan), **values}) if told else None
    written = await changes.change(session, plan, values, kind, body.reason)
    if "next_date" in values:
        await own.arm(session, values["next_date"])
    return written


async def _dates(session: WriteSession, wanted: RowLike, sent: dict[str, Any], plan: RowLike) -> dict[str, Any]:
    """The series and the next date that follow from a change of frequency, day or end."""
    if not (sent.keys() & _RHYTHM or "end_date" in sent) or plan["method"] == "provider":
        return {}
    unit: Any = sent.get("frequency_unit", plan["frequency_unit"])
    interval: Any = sent.get("frequency_interval", plan["frequency_interval"])
    if unit in {"day", "week"} and "anchor_day" in sent:
        raise Invalid.at("/anchor_day", "not_here", "anchor_day belongs to months and years.")
    before, today = own.rhythm_of(plan), own.today_of(session)
    next_date = plan["next_date"] or before.on_or_after(today)
    rhythm = before
    if (unit, interval) != (before.unit, before.interval):
        by_month = before.unit in _MONTHLY and unit in _MONTHLY
        rhythm = schedule.Rhythm(unit, interval, next_date, before.anchor_day if by_month else next_date.day)
    if "anchor_day" in sent and sent["anchor_day"] != before.anchor_day:
        rhythm = schedule.moved(rhythm, next_date, sent["anchor_day"], today)
    found = await own.following(session, wanted, next_date if rhythm == before else rhythm.origin, rhythm)
    if found is None and plan["status"] in own.RUNNING and "end_date" in sent:
        raise Conflict("Nothing would be due any more; cancel the plan instead.", code="plan_over")
    return {
        "frequency_unit": unit,
        "frequency_interval": interval,
        "anchor_on": rhythm.origin,
        "anchor_day": rhythm.anchor_day,
        "next_date": found,
    }
