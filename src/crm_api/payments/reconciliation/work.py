"""The worker's side of a reconciliation: page after page of the provider's list, each kept before the next is asked
for, so that a worker who dies loses one page."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

from crm_api.donations.ledger.payouts import service as payouts
from crm_api.kit import http
from crm_api.kit.db import Row, Tenant, WriteSession
from crm_api.kit.updates import update_row
from crm_api.outbox.facts import Job
from crm_api.outbox.service import emit
from crm_api.payments.abilities import (
    Listed,
    ListedPage,
    ListedPayout,
    ListsPayments,
    ListsPayouts,
    ListsPlans,
    Refused,
)
from crm_api.payments.apply import CurrencyMismatch, PaymentUnknown, apply, wait_key
from crm_api.payments.connections.service import OpenConnection, get_connection, open_connection
from crm_api.payments.facts import PaymentFollowUpDue
from crm_api.payments.inbox import service as inbox
from crm_api.payments.provider import Interpretation
from crm_api.payments.providers import PROVIDERS, service_of
from crm_api.payments.reconciliation import comparing, plans, service
from crm_api.payments.reconciliation.models import payment_reconciliations

if TYPE_CHECKING:
    import httpx

    from crm_api.worker import WorkerRunner

MARGIN = timedelta(hours=1)
"""How much more than the window is listed: the two sides may date a payment a little differently."""
PAYOUTS_BEFORE = timedelta(days=14)
"""How much earlier a payout may be made than it arrives."""
_LISTING_SHARE = 900
"""Thousandths of the progress that listing is."""


async def work(runner: WorkerRunner, tenant: Tenant, job: Job) -> None:
    """Carry out a reconciliation, or go on where another worker has stopped."""
    read = runner.database.read(tenant)
    row = await service.get_reconciliation(read, UUID(job.payload["reconciliation_id"]))
    connection = await get_connection(read, row["connection_id"])
    opened = open_connection(runner.vault, tenant, connection)
    listed: Sequence[ListedPayout] = ()
    if row["state"] in {"queued", "running"}:
        try:
            async with http.client(service_of(opened.provider, tenant.mode)) as client:
                while not row["all_listed"]:
                    row = await _one_page(runner, tenant, row, opened, client)
                listed = await _payouts(row, opened, client)
        except Refused as refused:
            async with runner.write(tenant) as session:
                await runner.finish(session, job)
                await _refused(session, row, refused.code)
            return
    async with runner.write(tenant) as session:
        await runner.finish(session, job)
        if row["state"] in {"queued", "running"}:
            await _ask_of_payouts(session, opened, listed)
            counts = await comparing.conclude(session, row)
            changes = {"state": "succeeded", "progress": 1000, "totals": counts, "finished_at": session.now}
            await update_row(session, payment_reconciliations, row["id"], changes, expected=None)


async def _payouts(row: Row, opened: OpenConnection, client: httpx.AsyncClient) -> Sequence[ListedPayout]:
    """The payouts that the provider lists, where it can."""
    provider = PROVIDERS[opened.provider]
    if not isinstance(provider, ListsPayouts):
        return ()
    return await provider.list_payouts(client, opened.credentials, row["since"] - PAYOUTS_BEFORE, row["until"])


async def _ask_of_payouts(session: WriteSession, opened: OpenConnection, listed: Sequence[ListedPayout]) -> None:
    """Have those asked for that no event has told of, or not all: what a provider says it has paid out is no guess, so
    nights record it, too."""
    by_ref = {one.step.ref: one for one in listed}
    known = {ref: one.failed for ref, one in by_ref.items()}
    for ref in await payouts.unheard(session, opened.id, known) if known else ():
        emit(session, PaymentFollowUpDue(connection_id=opened.id, what=by_ref[ref].step.what, ref=ref))


async def _refused(session: WriteSession, row: Row, code: str) -> None:
    """The provider says no. That a connection never had what listing needs is no news of each night."""
    if row["origin"] == "nightly" and code.endswith("_missing"):
        await service.forget(session, row["id"])
        return
    reason = f"{row['provider']} refuses to list payments ({code}): see the connection's credentials, then ask anew."
    changes = {"state": "failed", "reason": reason, "finished_at": session.now}
    await update_row(session, payment_reconciliations, row["id"], changes, expected=None)


async def _one_page(
    runner: WorkerRunner, tenant: Tenant, row: Row, opened: OpenConnection, client: httpx.AsyncClient
) -> Row:
    """Ask for a page, keep it, apply what differs where that was asked for; the reconciliation as it is then."""
    if (row["cursor"] or "").startswith(plans.CURSOR):
        return await plans.one_page(runner, tenant, row, opened, client)
    provider = PROVIDERS[opened.provider]
    assert isinstance(provider, ListsPayments)
    since, until = row["since"] - MARGIN, row["until"] + MARGIN
    page = await provider.list_payments(client, opened.credentials, since, until, row["cursor"])
    items = comparing.best_of(page.items)
    async with runner.write(tenant) as session:
        await comparing.put(session, row["id"], items)
        differing = await comparing.note(session, row, [item.ref for item in items])
    if row["apply"] and differing:
        await _apply(runner, tenant, row, opened, client, items, set(differing))
    async with runner.write(tenant) as session:
        reached = _reached(row, page)
        if reached["all_listed"] and isinstance(provider, ListsPlans):
            reached |= {"cursor": plans.CURSOR, "all_listed": False}
        return await update_row(session, payment_reconciliations, row["id"], reached, expected=None)


def _reached(row: Row, page: ListedPage) -> dict[str, Any]:
    """How far the listing is: by time, whichever way the provider's list runs."""
    share = row["progress"]
    if page.items:
        whole = (row["until"] - row["since"] + 2 * MARGIN).total_seconds()
        first, last = page.items[0].occurred_at, page.items[-1].occurred_at
        newest_first = first >= last
        done = (row["until"] + MARGIN - last) if newest_first else (last - row["since"] + MARGIN)
        share = max(share, min(int(_LISTING_SHARE * done.total_seconds() / whole), _LISTING_SHARE))
    return {
        "state": "running",
        "cursor": page.next_cursor,
        "all_listed": page.next_cursor is None,
        "reached_at": page.items[-1].occurred_at if page.items else row["reached_at"],
        "progress": _LISTING_SHARE if page.next_cursor is None else share,
    }


async def _apply(
    runner: WorkerRunner,
    tenant: Tenant,
    row: Row,
    opened: OpenConnection,
    client: httpx.AsyncClient,
    items: Sequence[Listed],
    differing: set[str],
) -> None:
    """Apply what the provider says of payments that differ, by the way its events take."""
    provider = PROVIDERS[opened.provider]
    for item in items:
        if item.ref not in differing:
            continue
        said: Sequence[Interpretation] = item.meanings
        if provider.fetches(opened.credentials):  # what is fetched says more: the invoice, the disputes
            said = await provider.fetch_payment(client, opened.credentials, item.ref) or said
        async with runner.write(tenant) as session:
            await _apply_one(session, row, opened, item.ref, said)


async def _apply_one(
    session: WriteSession, row: Row, opened: OpenConnection, ref: str, said: Sequence[Interpretation]
) -> None:
    if not said:
        await comparing.refuse(session, row["id"], ref, "not_told")
    for meaning in said:
        try:
            async with session.savepoint():
                applied = await apply(session, opened.id, opened.provider, meaning)
                await session.flush()
        except PaymentUnknown:
            await comparing.refuse(session, row["id"], ref, "payment_unknown")
        except CurrencyMismatch:
            await comparing.refuse(session, row["id"], ref, "currency_mismatch")
        else:
            await inbox.wake(session, [wait_key(opened.id, one) for one in applied.refs])


async def gave_up(session: WriteSession, job: Job) -> None:
    """The job is dead: the reconciliation has failed. What was found so far stays."""
    row = await service.get_reconciliation(session, UUID(job.payload["reconciliation_id"]))
    if row["state"] in {"queued", "running"}:
        reason = "The provider's list could not be had; see GET /v1/jobs for the reason, then ask anew."
        changes = {"state": "failed", "reason": reason, "finished_at": session.now}
        await update_row(session, payment_reconciliations, row["id"], changes, expected=None)
