"""What time does to pledges: they become overdue, and somebody is reminded."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy import text

from crm_api.donations.pledges import fulfilment, service
from crm_api.donations.pledges.facts import PledgeAlarm, PledgeChanged, PledgeOverdue
from crm_api.kit.db import WriteSession, prepare
from crm_api.outbox.service import emit
from crm_api.tasks.schemas import TaskCreate
from crm_api.tasks.service import create_task

ALARM = "pledges.alarm"
AT_ONCE = 500
_TURN = prepare(
    text(
        """
        UPDATE pledges p SET status = q.status, version = p.version + 1, updated_at = :now
        FROM (
            SELECT id, status AS before, CASE WHEN next_due_on < :today THEN 'overdue' ELSE 'active' END AS status
            FROM pledges WHERE organization_id = :organization_id AND (
                (status = 'pending' AND next_due_on <= :today) OR (status = 'active' AND next_due_on < :today))
            ORDER BY next_due_on, id LIMIT :most FOR NO KEY UPDATE SKIP LOCKED
        ) q
        WHERE p.organization_id = :organization_id AND p.id = q.id
        RETURNING p.id, p.contact_id, p.status, q.before
        """
    )
)
_DUE = prepare(
    text(
        """
        SELECT i.id, i.pledge_id, i.due_on, i.reminded_on, p.contact_id, p.reminder_days
        FROM pledge_installments i
        JOIN pledges p ON p.organization_id = i.organization_id AND p.id = i.pledge_id
        WHERE i.organization_id = :organization_id AND i.remind_on <= :today
        ORDER BY i.remind_on, i.id LIMIT :most FOR NO KEY UPDATE OF i SKIP LOCKED
        """
    )
)
_REMINDED = prepare(
    text(
        """
        UPDATE pledge_installments i SET reminded_on = :today, remind_on = r.remind_on
        FROM jsonb_to_recordset(:rows) AS r(id uuid, remind_on date)
        WHERE i.organization_id = :organization_id AND i.id = r.id
        """
    )
)


async def ring(session: WriteSession) -> None:
    """Turn pledges active and overdue whose day has come, and give a fact for every installment to be reminded of. Of
    several reminders that were missed, one is given."""
    today = service.today_of(session)
    turned = await session.fetch(_TURN, today=today, now=session.now, most=AT_ONCE)
    for row in turned:
        emit(
            session,
            PledgeChanged(
                pledge_id=row["id"],
                contact_id=row["contact_id"],
                previous_status=row["before"],
                status=row["status"],
            ),
        )
    due = await session.fetch(_DUE, today=today, most=AT_ONCE)
    rows: list[dict[str, Any]] = []
    for row in due:
        following = fulfilment.remind_on(row["due_on"], row["reminder_days"], today)
        rows.append({"id": str(row["id"]), "remind_on": None if following is None else following.isoformat()})
        emit(
            session,
            PledgeOverdue(
                pledge_id=row["pledge_id"],
                installment_id=row["id"],
                contact_id=row["contact_id"],
                due_on=row["due_on"],
                reminded_on=today,
                first=row["reminded_on"] is None,
            ),
        )
    if rows:
        await session.execute(_REMINDED, rows=rows, today=today)
    if AT_ONCE in (len(turned), len(due)):
        emit(session, PledgeAlarm(occurrence=session.now))


async def ask(session: WriteSession, told: PledgeOverdue) -> None:
    """Give staff a task about an overdue installment; one for each installment."""
    pledge = await service.get_pledge(session, UUID(str(told.pledge_id)))
    body = TaskCreate(
        title=f"An installment of a pledge due on {told.due_on} is overdue",
        body=f"/v1/pledges/{told.pledge_id}",
        contact_id=pledge["contact_id"],
        assignee_id=pledge["owner_member_id"],
        due_on=service.today_of(session),
    )
    await create_task(session, body)
