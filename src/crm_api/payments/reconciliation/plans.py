"""A provider's list of recurring plans against ours: what a lost event would have told of a plan is noted, and applied
where that was asked for, by the way that events take.

Lists have no order of change, so all plans are walked, a page at a time, after the payments. A plan that ended before
we ever heard of it is nobody's news.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from sqlalchemy import text

from crm_api.kit.db import ReadSession, Row, Tenant, WriteSession, prepare
from crm_api.kit.ids import new_id
from crm_api.kit.updates import update_row
from crm_api.payments.abilities import ListedPlans, ListsPlans, Refused
from crm_api.payments.apply import apply
from crm_api.payments.connections.service import OpenConnection
from crm_api.payments.provider import Interpretation, PlanOutcome
from crm_api.payments.providers import PROVIDERS
from crm_api.payments.reconciliation.models import PLAN_KINDS, payment_reconciliations

if TYPE_CHECKING:
    import httpx

    from crm_api.worker import WorkerRunner

CURSOR = "plans:"
"""How a cursor begins that goes on in the list of plans."""
MISSING, DIFFERS = PLAN_KINDS
_FINAL = ("canceled", "completed")
_OURS = prepare(
    text(
        "SELECT id, provider_plan_id, status, amount, currency, frequency_unit, frequency_interval, next_date "
        "FROM recurring_plans WHERE organization_id = :organization_id AND connection_id = :connection_id "
        "AND provider_plan_id = ANY(CAST(:refs AS text[]))"
    )
)
_NOTE = prepare(
    text(
        """
        INSERT INTO reconciliation_items (organization_id, id, reconciliation_id, kind, ref, occurred_at, currency,
            provider_status, provider_amount, plan_id, our_status, our_amount, resolved, reason)
        SELECT :organization_id, r.id, :reconciliation_id, r.kind, r.ref, r.occurred_at, r.currency, r.provider_status,
            r.provider_amount, r.plan_id, r.our_status, r.our_amount, r.resolved, r.reason
        FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r(id uuid, kind text, ref text, occurred_at timestamptz,
            currency text, provider_status text, provider_amount bigint, plan_id uuid, our_status text,
            our_amount bigint, resolved boolean, reason text)
        ON CONFLICT (organization_id, reconciliation_id, ref, kind) DO UPDATE
            SET plan_id = excluded.plan_id, resolved = excluded.resolved, reason = excluded.reason
        """
    )
)


def differs(said: PlanOutcome, ours: Row | None) -> bool:
    """Whether the provider says something else of a plan than we have, or we have none."""
    if ours is None:
        return said.status not in (None, *_FINAL)
    if said.status is not None and said.status != ours["status"]:
        return True
    if not said.whole or said.amount is None or said.status in _FINAL:
        return False
    stated = (said.amount.amount, said.amount.currency, said.frequency_unit, said.frequency_interval, said.next_date)
    names = ("amount", "currency", "frequency_unit", "frequency_interval", "next_date")
    return stated != tuple(ours[name] for name in names)


async def one_page(
    runner: WorkerRunner, tenant: Tenant, row: Row, opened: OpenConnection, client: httpx.AsyncClient
) -> Row:
    """Ask for a page of plans, note what differs and apply it where that was asked for; the reconciliation as it is
    then. A provider that refuses this list has its payments compared nonetheless, and the reason says so."""
    provider = PROVIDERS[opened.provider]
    assert isinstance(provider, ListsPlans)
    changes: dict[str, Any] = {}
    try:
        page = await provider.list_plans(client, opened.credentials, row["cursor"][len(CURSOR) :] or None)
    except Refused as refused:
        page = ListedPlans((), None)
        changes["reason"] = (
            f"{opened.provider} refuses to list recurring plans ({refused.code}): only payments were compared. Allow "
            "the connection's key to read subscriptions, then ask anew."
        )
    following = None if page.next_cursor is None else CURSOR + page.next_cursor
    changes |= {"state": "running", "cursor": following, "all_listed": following is None}
    async with runner.write(tenant) as session:
        await _compare(session, row, opened, page.items)
        return await update_row(session, payment_reconciliations, row["id"], changes, expected=None)


async def _compare(session: WriteSession, row: Row, opened: OpenConnection, items: Sequence[PlanOutcome]) -> None:
    before = await _ours(session, opened, items)
    found = sorted((one for one in items if differs(one, before.get(one.ref))), key=lambda one: one.ref)
    after = before
    if row["apply"] and found:
        for said in found:
            await apply(session, opened.id, opened.provider, Interpretation(plan=said))
        await session.flush()
        after = await _ours(session, opened, found)
    rows = [_item(said, before.get(said.ref), after.get(said.ref), applied=row["apply"]) for said in found]
    if rows:
        await session.execute(_NOTE, reconciliation_id=row["id"], rows=rows)


async def _ours(session: ReadSession, opened: OpenConnection, items: Sequence[PlanOutcome]) -> dict[str, Row]:
    if not items:
        return {}
    rows = await session.fetch(_OURS, connection_id=opened.id, refs=[one.ref for one in items])
    return {row["provider_plan_id"]: row for row in rows}


def _item(said: PlanOutcome, before: Row | None, after: Row | None, *, applied: bool) -> dict[str, Any]:
    resolved = applied and not differs(said, after)
    # What has ended stays ended, and a newer word than the list's stands.
    reason = "not_newer" if applied and not resolved else None
    return {
        "id": str(new_id()),
        "kind": MISSING if before is None else DIFFERS,
        "ref": said.ref,
        "occurred_at": said.stated_at.isoformat(),
        "currency": said.amount.currency if said.amount else (before["currency"] if before else None),
        "provider_status": said.status,
        "provider_amount": said.amount.amount if said.amount else None,
        "plan_id": str(after["id"]) if after else None,
        "our_status": before["status"] if before else None,
        "our_amount": before["amount"] if before else None,
        "resolved": resolved,
        "reason": reason,
    }
