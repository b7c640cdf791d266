"""Verbs of closed periods. Who closes waits for whoever posts, and the other way round."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy import text

from crm_api.audit.service import record
from crm_api.donations.ledger import repository
from crm_api.donations.ledger.models import ledger_periods
from crm_api.donations.ledger.periods.schemas import LedgerPeriodClose, LedgerPeriodReopen
from crm_api.kit import clock, simple
from crm_api.kit.db import ReadSession, WriteSession, prepare
from crm_api.kit.problems import Conflict
from crm_api.kit.updates import update_row

_FROM = prepare(
    text(
        "SELECT id FROM ledger_periods WHERE organization_id = :organization_id AND state = 'closed' "
        "AND through >= :through ORDER BY through DESC"
    )
)


async def close_period(session: WriteSession, body: LedgerPeriodClose) -> dict[str, Any]:
    """Close the books up to and with a day: what is dated there and comes later is posted on the first open day."""
    await repository.lock_alone(session)
    if body.through >= clock.local_date(session.now, session.tenant.timezone):
        raise Conflict("Only days that are over can be closed. Choose one before today.", code="period_not_over")
    closed = await repository.closed_through(session)
    if closed is not None and body.through <= closed:
        raise Conflict(f"The books are closed through {closed} already.", code="period_closed")
    values = {"through": body.through, "state": "closed", "reason": None, "closed_at": session.now, "reopened_at": None}
    row = simple.add(session, ledger_periods, values)
    record(session, "ledger_period.closed", "ledger_period", row["id"])
    return row


async def get_period(session: ReadSession, period_id: UUID) -> dict[str, Any]:
    """One closing, or 404."""
    return simple.to_read(ledger_periods, await simple.get(session, ledger_periods, period_id, "closed period"))


async def reopen_period(session: WriteSession, period_id: UUID, body: LedgerPeriodReopen) -> dict[str, Any]:
    """Open a closed period again, and every later one with it, since the books cannot be open behind closed days. What
    was posted on later days on its account stays there."""
    await repository.lock_alone(session)
    row = await simple.get(session, ledger_periods, period_id, "closed period")
    if row["state"] != "closed":
        raise Conflict("This period was reopened already.", code="period_open")
    changes = {"state": "reopened", "reason": body.reason, "reopened_at": session.now}
    after = row
    for one in await session.fetch(_FROM, through=row["through"]):
        after = await update_row(session, ledger_periods, one["id"], changes, expected=None)
        record(session, "ledger_period.reopened", "ledger_period", one["id"], fields=["state", "reason"])
    return simple.to_read(ledger_periods, after)
