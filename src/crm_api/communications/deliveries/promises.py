"""Letters about what was promised and did not come: a payment of a regular gift, a regular gift that was given up, an
installment of a pledge.

Each is wanted by the organization (the dunning policy's `letters`), decided once for its fact, and looked at again when
it is sent: where money has come meanwhile, or the plan or pledge stands otherwise, it is not sent any more.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import text

from crm_api.communications.deliveries.permits import FACTS
from crm_api.communications.deliveries.queueing import queue
from crm_api.communications.deliveries.writing import return_link
from crm_api.communications.templates.render import format_date, format_money
from crm_api.donations.pledges.facts import PledgeOverdue
from crm_api.donations.pledges.service import today_of
from crm_api.donations.recurring.facts import PlanGivenUp, PlanPaymentMissed
from crm_api.kit.db import ReadSession, Row, RowLike, WriteSession, prepare
from crm_api.kit.money import Money
from crm_api.payments.dunning.policies import policy_of

MISSED, GIVEN_UP, OVERDUE = "plan_payment_missed", "plan_given_up", "pledge_overdue"
OUTDATED = "it is settled meanwhile, or stands otherwise now"
QUIET: Mapping[str, timedelta] = {MISSED: timedelta(days=7), OVERDUE: timedelta(days=2)}
"""Within so long nobody gets a second letter of the kind: several payments or installments may be late together."""
_CONTACT = prepare(
    text(
        f"SELECT c.id, c.language, {FACTS} FROM contacts c JOIN organizations o ON o.id = c.organization_id "
        "WHERE c.organization_id = :organization_id AND c.id = :id FOR NO KEY UPDATE OF c"
    )
)
_LATELY = prepare(
    text(
        "SELECT true FROM messages WHERE organization_id = :organization_id AND contact_id = :contact_id "
        "AND kind = :kind AND state NOT IN ('suppressed', 'canceled') AND created_at > :since LIMIT 1"
    )
)
# Money that came since speaks for itself, whether or not it was matched with the payment.
_MISSED_PERIOD = prepare(
    text(
        """
        SELECT p.contact_id, r.amount, r.currency, r.due_on, a.code AS campaign_code
        FROM recurring_periods r
        JOIN recurring_plans p ON p.organization_id = r.organization_id AND p.id = r.plan_id
        LEFT JOIN campaigns a ON a.organization_id = p.organization_id AND a.id = p.campaign_id
        WHERE r.organization_id = :organization_id AND r.id = :period_id AND r.state = 'missed'
            AND p.status = 'past_due'
            AND NOT EXISTS (SELECT 1 FROM gifts g WHERE g.organization_id = :organization_id
                AND g.contact_id = p.contact_id AND g.counted > 0 AND g.currency = r.currency
                AND g.gift_date >= r.due_on AND (g.plan_id IS NULL OR g.plan_id = p.id))
        """
    )
)
# Whoever has begun another regular gift since has come back already.
_GIVEN_UP_PLAN = prepare(
    text(
        """
        SELECT p.contact_id, p.amount, p.currency, p.status_at, a.code AS campaign_code,
            (SELECT g.id FROM gifts g WHERE g.organization_id = :organization_id AND g.plan_id = p.id
                AND g.status = 'failed' ORDER BY g.received_at DESC, g.id DESC LIMIT 1) AS gift_id
        FROM recurring_plans p
        LEFT JOIN campaigns a ON a.organization_id = p.organization_id AND a.id = p.campaign_id
        WHERE p.organization_id = :organization_id AND p.id = :plan_id AND p.failures > 0
            AND CASE p.status WHEN 'paused' THEN p.pause_reason WHEN 'canceled' THEN p.cancel_reason END
                LIKE 'given\\_up:%'
            AND NOT EXISTS (SELECT 1 FROM recurring_plans n WHERE n.organization_id = :organization_id
                AND n.contact_id = p.contact_id AND n.id <> p.id AND n.status IN ('pending', 'active', 'past_due')
                AND n.created_at >= p.status_at)
        """
    )
)
_OVERDUE_PLEDGE = prepare(
    text(
        """
        SELECT p.contact_id, p.kind, p.amount AS total, p.currency, p.description, a.code AS campaign_code, i.open,
            i.due_on
        FROM pledges p
        CROSS JOIN LATERAL (
            SELECT CAST(sum(i.amount - i.paid - i.written_off) AS bigint) AS open, min(i.due_on) AS due_on
            FROM pledge_installments i WHERE i.organization_id = :organization_id AND i.pledge_id = p.id AND i.is_open
                AND i.due_on < :today) i
        LEFT JOIN campaigns a ON a.organization_id = p.organization_id AND a.id = p.campaign_id
        WHERE p.organization_id = :organization_id AND p.id = :pledge_id
            AND p.status IN ('pending', 'active', 'overdue') AND i.due_on IS NOT NULL
        """
    )
)
_OPEN_INSTALLMENT = prepare(
    text(
        "SELECT true FROM pledge_installments WHERE organization_id = :organization_id AND id = :installment_id "
        "AND is_open"
    )
)


async def decide_missed(session: WriteSession, told: PlanPaymentMissed) -> None:
    """Queue the note about a payment that a standing order, or the donor, was to bring."""
    if not (await policy_of(session)).letters.payment_missed:
        return
    about = await session.fetch_row(_MISSED_PERIOD, period_id=told.period_id)
    await _queue(session, MISSED, about, str(told.period_id), plan_id=told.plan_id)


async def decide_given_up(session: WriteSession, told: PlanGivenUp) -> None:
    """Queue the letter about a regular gift that has ended because its card could not be charged."""
    if not (await policy_of(session)).letters.plan_given_up:
        return
    about = await session.fetch_row(_GIVEN_UP_PLAN, plan_id=told.plan_id)
    if about is not None:
        await _queue(session, GIVEN_UP, about, f"{told.plan_id}:{about['status_at']}", plan_id=told.plan_id)


async def decide_overdue(session: WriteSession, told: PledgeOverdue) -> None:
    """Queue the reminder of an installment: one for each day that it is to be reminded of."""
    if not (await policy_of(session)).letters.pledge_overdue:
        return
    if not await session.fetch_val(_OPEN_INSTALLMENT, installment_id=told.installment_id):
        return
    about = await session.fetch_row(_OVERDUE_PLEDGE, pledge_id=told.pledge_id, today=today_of(session))
    await _queue(session, OVERDUE, about, f"{told.installment_id}:{told.reminded_on}", pledge_id=told.pledge_id)


async def _queue(
    session: WriteSession,
    kind: str,
    about: Row | None,
    key: str,
    *,
    plan_id: UUID | None = None,
    pledge_id: UUID | None = None,
) -> None:
    """Queue a letter, once for its key; nothing where what it would say is not true, or nobody's."""
    if about is None or about["contact_id"] is None:
        return
    contact = await session.fetch_row(_CONTACT, id=about["contact_id"])
    if contact is None:
        return
    quiet, unwanted = QUIET.get(kind), None
    if quiet is not None and await session.fetch_val(
        _LATELY, contact_id=contact["id"], kind=kind, since=session.now - quiet
    ):
        unwanted = f"a letter of this kind went to this contact within {quiet.days} days"
    await queue(
        session,
        kind,
        contact,
        f"{kind}:{key}",
        language=contact["language"],
        unwanted=unwanted,
        plan_id=plan_id,
        pledge_id=pledge_id,
    )


async def told(session: ReadSession, message: RowLike, retry_url: str) -> dict[str, Any] | None:
    """What such a letter says; None where it is not true any more, nothing for letters of other kinds."""
    kind, language = message["kind"], message["language"]
    if kind not in {MISSED, GIVEN_UP, OVERDUE}:
        return {}
    about = await _about(session, message)
    if about is None:
        return None
    if kind == OVERDUE:
        return _of_pledge(about, message, retry_url)
    plan_id = message["recurring_plan_id"]
    gift_id = about["gift_id"] if kind == GIVEN_UP else None
    return {
        "gift": {
            "amount_text": format_money(Money(about["amount"], about["currency"]), language),
            "is_recurring": True,
        },
        "plan": {} if kind == GIVEN_UP else {"due_text": format_date(about["due_on"], language)},
        "retry_url": return_link(retry_url, about["campaign_code"], gift_id=gift_id, plan_id=plan_id),
    }


async def _about(session: ReadSession, message: RowLike) -> Row | None:
    if message["kind"] == OVERDUE:
        return await session.fetch_row(_OVERDUE_PLEDGE, pledge_id=message["pledge_id"], today=today_of(session))
    if message["kind"] == GIVEN_UP:
        return await session.fetch_row(_GIVEN_UP_PLAN, plan_id=message["recurring_plan_id"])
    return await session.fetch_row(_MISSED_PERIOD, period_id=UUID(message["dedupe_key"].rpartition(":")[2]))


def _of_pledge(about: Row, message: RowLike, retry_url: str) -> dict[str, Any]:
    """All of a pledge that is overdue now, since its oldest date. What is in kind has no sums, and no link to pay."""
    language = message["language"]
    pledge: dict[str, Any] = {"due_text": format_date(about["due_on"], language)}
    if about["kind"] == "in_kind":
        return {"pledge": {**pledge, "description": about["description"]}}
    currency = about["currency"]
    pledge |= {
        "amount_text": format_money(Money(about["open"], currency), language),
        "total_text": format_money(Money(about["total"], currency), language),
    }
    link = return_link(retry_url, about["campaign_code"], pledge_id=message["pledge_id"])
    return {"pledge": pledge, "retry_url": link}
