"""What the payments tier does about facts: handle inbox events, ask providers for payments we have not heard of."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from crm_api.kit import http
from crm_api.kit.db import Tenant, WriteSession
from crm_api.outbox.facts import Job, Registry, Subscriber, Wait
from crm_api.outbox.service import emit
from crm_api.payments import apply as applying
from crm_api.payments.connections import service as connections
from crm_api.payments.facts import PaymentEventReceived, PaymentFollowUpDue, PaymentMissing
from crm_api.payments.found import apply_found
from crm_api.payments.inbox import service as inbox
from crm_api.payments.matching import queue as unmatched
from crm_api.payments.provider import FollowUp
from crm_api.payments.providers import PROVIDERS, service_of

UNMATCHED_AFTER_SECONDS = 3600.0
AT_ONCE = 100
"""Meanings that are applied in one transaction."""


async def apply_event(session: WriteSession, job: Job) -> None:
    """Handle one inbox event: apply it, ignore it with a reason, or let it wait for its payment."""
    event = await inbox.lock_event(session, UUID(job.payload["event_id"]))
    if event["state"] in {"handled", "ignored"}:
        return
    provider = PROVIDERS[event["provider"]]
    envelope = provider.envelope(event["body"])
    if envelope.mode is not None and envelope.mode != session.tenant.mode:
        reason = f"{envelope.mode}_event_in_{session.tenant.mode}_organization"
        await inbox.mark(session, event["id"], "ignored", reason=reason)
        return
    try:
        payload = provider.parse(event["body"])
    except ValueError:
        await inbox.mark(session, event["id"], "ignored", reason="not_json")
        return
    said = provider.interpret_at(payload, received_at=event["received_at"])
    meanings = [one for one in (said, *said.also) if one.payment or one.plan or one.payout]
    if not meanings:
        await inbox.mark(session, event["id"], "ignored", reason=said.ignored or "nothing_to_do")
        _follow_up_later(session, event, provider.follow_ups(payload))
        return
    gift_id: UUID | None = None
    refs: list[str] = []
    try:
        for one in meanings:
            applied = await applying.apply(session, event["connection_id"], event["provider"], one)
            await session.flush()
            gift_id, refs = gift_id or applied.gift_id, [*refs, *applied.refs]
    except applying.PaymentUnknown as unknown:
        await _wait(session, job, event, unknown.ref)
        return
    except applying.CurrencyMismatch as mismatch:
        await inbox.mark(session, event["id"], "failed", reason=str(mismatch))
        return
    await inbox.mark(session, event["id"], "handled", gift_id=gift_id)
    _follow_up_later(session, event, provider.follow_ups(payload))
    if refs:
        await inbox.wake(session, [applying.wait_key(event["connection_id"], ref) for ref in refs])


def _follow_up_later(session: WriteSession, event: Any, steps: Sequence[FollowUp]) -> None:
    for step in steps:
        emit(
            session,
            PaymentFollowUpDue(
                event_id=event["id"], connection_id=event["connection_id"], what=step.what, ref=step.ref
            ),
        )


async def _wait(session: WriteSession, job: Job, event: Any, ref: str) -> None:
    key = applying.wait_key(event["connection_id"], ref)
    if job.expired_wait:
        await inbox.mark(session, event["id"], "unmatched", reason="the payment it names has not arrived", wait_key=key)
        await unmatched.note_event(session, event["id"])
        return
    if event["state"] != "waiting":
        missing = PaymentMissing(event_id=event["id"], connection_id=event["connection_id"], ref=ref)
        emit(session, missing, delay=timedelta(seconds=1))
    await inbox.mark(session, event["id"], "waiting", reason=f"waits for {ref}", wait_key=key)
    raise Wait(key, UNMATCHED_AFTER_SECONDS)


async def event_failed(session: WriteSession, job: Job) -> None:
    """The event cannot be handled: say so in the inbox, where it can be replayed."""
    await inbox.mark(session, UUID(job.payload["event_id"]), "failed", reason="see the job's last_error, then replay")


async def fetch_payment(runner: Any, tenant: Tenant, job: Job) -> None:
    """Ask the provider for a payment that an event names, where it can be asked."""
    connection_id, ref = UUID(job.payload["connection_id"]), job.payload["ref"]
    async with runner.write(tenant) as session:
        event = await inbox.get_event(session, UUID(job.payload["event_id"]))
        row = await connections.get_connection(session, connection_id)
        opened = connections.open_connection(runner.vault, tenant, row)
        provider = PROVIDERS[opened.provider]
        if event["state"] != "waiting" or not provider.fetches(opened.credentials):
            await runner.finish(session, job)
            return
    async with http.client(service_of(opened.provider, tenant.mode)) as client:
        found = await provider.fetch_payment(client, opened.credentials, ref)
    async with runner.write(tenant) as session:
        await runner.finish(session, job)
        await apply_found(session, connection_id, opened.provider, found)


async def follow_up(runner: Any, tenant: Tenant, job: Job) -> None:
    """Ask the provider for what an event left out, or do there what it calls for."""
    connection_id = UUID(job.payload["connection_id"])
    async with runner.write(tenant) as session:
        row = await connections.get_connection(session, connection_id)
        opened = connections.open_connection(runner.vault, tenant, row)
        if opened.status != "active":
            await runner.finish(session, job)
            return
    step = FollowUp(job.payload["what"], job.payload["ref"])
    async with http.client(service_of(opened.provider, tenant.mode)) as client:
        found = await PROVIDERS[opened.provider].follow_up(client, opened.credentials, step)
    while len(found) > AT_ONCE:  # what is in a payout: gifts are not kept from others until all of them are done
        async with runner.write(tenant) as session:
            await apply_found(session, connection_id, opened.provider, found[:AT_ONCE])
        found = found[AT_ONCE:]
    async with runner.write(tenant) as session:
        await runner.finish(session, job)
        gift_id = await apply_found(session, connection_id, opened.provider, found)
        if gift_id is not None and job.payload.get("event_id"):
            await inbox.mark(session, UUID(job.payload["event_id"]), "handled", gift_id=gift_id)


def register(registry: Registry) -> None:
    """Subscribe to facts."""
    registry.subscribe(
        Subscriber(inbox.APPLY, (PaymentEventReceived,), handle=apply_event, on_dead=event_failed, max_attempts=15)
    )
    registry.subscribe(
        Subscriber("payments.fetch_payment", (PaymentMissing,), outside=fetch_payment, timeout=timedelta(seconds=90))
    )
    registry.subscribe(
        Subscriber("payments.follow_up", (PaymentFollowUpDue,), outside=follow_up, timeout=timedelta(minutes=15))
    )
