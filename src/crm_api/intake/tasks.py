"""What intake does about facts: handle deliveries, ask Meta for the answers of leads."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

from prometheus_client import Counter

from crm_api.intake import apply as applying
from crm_api.intake.deliveries import service as deliveries
from crm_api.intake.facts import IntakeReceived, LeadNamed
from crm_api.intake.kinds.meta_leads import LEADGEN, LeadUnreadable, fetch
from crm_api.intake.kinds.reading import parse_object
from crm_api.intake.sources import service as sources
from crm_api.kit import http
from crm_api.kit.db import Tenant, WriteSession
from crm_api.kit.problems import Problem
from crm_api.outbox.facts import Job, Registry, Subscriber

DELIVERIES = Counter("crm_intake_deliveries", "Deliveries of intake by kind and what became of them", ["kind", "state"])


async def apply_delivery(runner: Any, tenant: Tenant, job: Job) -> None:
    """Handle one delivery: find or make the contact, note what took place; or ignore it with a reason.

    It makes no call to the outside; it is an outside handler because deep links are checked with the server's key.
    """
    async with runner.write(tenant) as session:
        await runner.finish(session, job)
        row = await deliveries.lock_delivery(session, UUID(job.payload["delivery_id"]))
        if row["state"] in {"handled", "ignored"}:
            return
        source = await sources.get_source(session, row["source_id"])
        try:
            async with session.savepoint():
                outcome = await applying.apply(session, runner.vault, row, source)
                await session.flush()
        except Problem as problem:
            if problem.status >= 500:
                raise
            detail = "; ".join([problem.detail, *(error.detail for error in problem.errors)])
            outcome = applying.Outcome(state="failed", reason=f"{problem.code}: {detail}"[:500])
        await deliveries.mark(
            session,
            row["id"],
            outcome.state,
            reason=outcome.reason,
            handle=outcome.handle,
            reach=outcome.reach,
            contact_id=outcome.contact_id,
            interaction_id=outcome.interaction_id,
        )
        kind = row["kind"]
        session.after_commit(lambda: DELIVERIES.labels(kind, outcome.state).inc())


async def delivery_failed(session: WriteSession, job: Job) -> None:
    """The delivery cannot be handled: say so where it can be replayed."""
    reason = "see the job's last_error, then replay"
    await deliveries.mark(session, UUID(job.payload["delivery_id"]), "failed", reason=reason)


async def fetch_lead(runner: Any, tenant: Tenant, job: Job) -> None:
    """Ask for the answers of a lead that an event named, and keep them as they came."""
    delivery_id = UUID(job.payload["delivery_id"])
    async with runner.write(tenant) as session:
        row = await deliveries.lock_delivery(session, delivery_id)
        source = await sources.get_source(session, row["source_id"])
        if row["event_type"] != LEADGEN or row["state"] != "received":
            await runner.finish(session, job)
            return
        token = sources.opened(runner.vault, session, source).credentials["page_access_token"]
        lead = parse_object(row["body"]) or {}
    try:
        async with http.client("meta") as client:
            content = await fetch(client, str(lead["leadgen_id"]), token)
    except LeadUnreadable as error:
        async with runner.write(tenant) as session:
            await runner.finish(session, job)
            await deliveries.mark(session, delivery_id, "failed", reason=error.reason)
            session.after_commit(lambda: DELIVERIES.labels("meta_leads", "failed").inc())
        return
    async with runner.write(tenant) as session:
        await runner.finish(session, job)
        await deliveries.put_answers(session, delivery_id, content)


def register(registry: Registry) -> None:
    """Subscribe to facts."""
    registry.subscribe(Subscriber(deliveries.APPLY, (IntakeReceived,), outside=apply_delivery, on_dead=delivery_failed))
    registry.subscribe(
        Subscriber(
            "intake.fetch_lead",
            (LeadNamed,),
            outside=fetch_lead,
            on_dead=delivery_failed,
            timeout=timedelta(seconds=60),
        )
    )
