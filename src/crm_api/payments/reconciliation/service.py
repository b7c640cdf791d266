"""Verbs of reconciliations. The comparison itself is in `comparing`, the worker's side in `work`."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import text

from crm_api.audit.service import record
from crm_api.kit import simple
from crm_api.kit.crypto import SecretsUnreadable, Vault
from crm_api.kit.db import ReadSession, Row, RowLike, WriteSession, prepare
from crm_api.kit.problems import Conflict, Invalid
from crm_api.kit.schemas import money_or_none
from crm_api.kit.updates import get_row
from crm_api.outbox.service import emit
from crm_api.payments.abilities import ListsPayments
from crm_api.payments.connections.service import OpenConnection, get_connection, open_connection
from crm_api.payments.providers import PROVIDERS
from crm_api.payments.reconciliation.facts import ReconciliationDue
from crm_api.payments.reconciliation.models import KINDS, payment_reconciliations
from crm_api.payments.reconciliation.schemas import ReconciliationCreate

LONGEST = timedelta(days=366)
NIGHTLY = timedelta(days=3)
"""How far back every night looks: a webhook that is late by days is seen, and refunds of these days."""
KEPT = timedelta(days=60)
"""How long nightly reconciliations are kept."""
_ACTIVE = prepare(
    text("SELECT * FROM payment_connections WHERE organization_id = :organization_id AND status = 'active' ORDER BY id")
)
_PRUNE_ITEMS = prepare(
    text(
        "DELETE FROM reconciliation_items i USING payment_reconciliations r "
        "WHERE i.organization_id = :organization_id AND r.organization_id = :organization_id "
        "AND r.id = i.reconciliation_id AND r.origin = 'nightly' AND r.created_at < :before"
    )
)
_PRUNE = prepare(
    text(
        "DELETE FROM payment_reconciliations WHERE organization_id = :organization_id AND origin = 'nightly' "
        "AND created_at < :before"
    )
)
_FORGET = prepare(text("DELETE FROM payment_reconciliations WHERE organization_id = :organization_id AND id = :id"))
_COUNTS = ("listed", "matched", *KINDS, "resolved")


def to_read(row: RowLike) -> dict[str, Any]:
    """A reconciliation as the API shows it."""
    names = (
        "id", "connection_id", "provider", "origin", "state", "since", "until", "apply", "reason", "finished_at",
        "version", "created_at", "updated_at",
    )  # fmt: skip
    return {
        **{name: row[name] for name in names},
        "progress": row["progress"] / 1000,
        "totals": {name: row["totals"].get(name, 0) for name in _COUNTS},
    }


def item_to_read(row: RowLike) -> dict[str, Any]:
    """A difference as the API shows it."""
    names = ("id", "kind", "occurred_at", "resolved", "reason")
    return {
        **{name: row[name] for name in names},
        "provider_payment_id": row["ref"],
        "donation_id": row["gift_id"],
        "recurring_plan_id": row["plan_id"],
        "provider": _side(row, "provider"),
        "ours": _side(row, "our"),
    }


def _side(row: RowLike, side: str) -> dict[str, Any] | None:
    if row[f"{side}_status"] is None:
        return None
    currency = row["currency"]
    return {
        "status": row[f"{side}_status"],
        "amount": money_or_none(row[f"{side}_amount"], currency),
        "refunded_amount": money_or_none(row[f"{side}_refunded"], currency),
        "fee_amount": money_or_none(row[f"{side}_fee"], currency),
    }


def lists(opened: OpenConnection) -> bool:
    """Whether a connection's provider can be asked for its list with these credentials."""
    provider = PROVIDERS[opened.provider]
    may: Any = getattr(provider, "lists", None)
    return isinstance(provider, ListsPayments) and (may is None or bool(may(opened.credentials)))


async def start(session: WriteSession, vault: Vault, connection_id: UUID, body: ReconciliationCreate) -> dict[str, Any]:
    """Have a connection's payments of some time compared with the provider's list."""
    row = await get_connection(session, connection_id)
    opened = open_connection(vault, session.tenant, row)
    if opened.status != "active" or not lists(opened):
        said = "This connection cannot list payments: it is disabled, or its provider or credentials do not allow it."
        raise Conflict(said, code="cannot_list")
    until = body.until or session.now
    if not body.since < until:
        raise Invalid.at("/until", "before_since", "until must lie after since.")
    if until - body.since > LONGEST:
        raise Invalid.at("/since", "too_long", "At most 366 days at a time; ask for the rest in another.")
    added = _add(session, opened, body.since, until, origin="request", apply=body.apply)
    record(session, "payment_reconciliation.requested", "payment_reconciliation", added["id"])
    return to_read(added)


def _add(
    session: WriteSession, opened: OpenConnection, since: datetime, until: datetime, *, origin: str, apply: bool
) -> dict[str, Any]:
    row = simple.add(
        session,
        payment_reconciliations,
        {
            "connection_id": opened.id,
            "provider": opened.provider,
            "origin": origin,
            "state": "queued",
            "since": since,
            "until": until,
            "apply": apply,
            "cursor": None,
            "reached_at": None,
            "all_listed": False,
            "progress": 0,
            "totals": {},
            "reason": None,
            "finished_at": None,
        },
    )
    emit(session, ReconciliationDue(reconciliation_id=row["id"]))
    return row


async def start_nightly(session: WriteSession, vault: Vault) -> None:
    """Compare the last days of every connection that can be asked. It reports, and changes nothing."""
    for row in await session.fetch(_ACTIVE):
        try:
            opened = open_connection(vault, session.tenant, row)
        except SecretsUnreadable:
            continue
        if lists(opened):
            _add(session, opened, session.now - NIGHTLY, session.now, origin="nightly", apply=False)


async def get_reconciliation(session: ReadSession, reconciliation_id: UUID) -> Row:
    """One reconciliation, or 404."""
    return await get_row(session, payment_reconciliations, reconciliation_id, "reconciliation")


async def forget(session: WriteSession, reconciliation_id: UUID) -> None:
    """Remove a reconciliation that has found nothing and could not."""
    await session.execute(_FORGET, id=reconciliation_id)


async def prune(session: WriteSession) -> None:
    """Remove what old nights have found."""
    before = session.now - KEPT
    await session.execute(_PRUNE_ITEMS, before=before)
    await session.execute(_PRUNE, before=before)
