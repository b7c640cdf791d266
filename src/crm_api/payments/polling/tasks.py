"""What polling does about facts and time."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

from crm_api.donations.gifts.facts import GiftChanged, GiftRecorded
from crm_api.kit import http
from crm_api.kit.db import Tenant, WriteSession
from crm_api.outbox.facts import Job, Registry, Schedule, Subscriber
from crm_api.payments.connections import service as connections
from crm_api.payments.found import apply_found
from crm_api.payments.polling import service
from crm_api.payments.polling.facts import OpenPaymentsDue, PaymentAskDue
from crm_api.payments.provider import Interpretation
from crm_api.payments.providers import PROVIDERS, service_of


async def watch(session: WriteSession, job: Job) -> None:
    """Watch a gift that is pending at a provider."""
    await service.watch(session, UUID(job.payload["gift_id"]))


async def ring(session: WriteSession, job: Job) -> None:
    """Have payments asked about whose time has come."""
    await service.ring(session)


async def ask(runner: Any, tenant: Tenant, job: Job) -> None:
    """Ask the provider how a payment stands, where it can be asked, and take over what it says."""
    gift_id = UUID(job.payload["gift_id"])
    read = runner.database.read(tenant)
    row = await service.open_payment(read, gift_id)
    found: list[Interpretation] = []
    if row is not None and row["status"] in {"pending", "failed"} and row["superseded_by"] is None:
        connection = await connections.get_connection(read, row["connection_id"])
        opened = connections.open_connection(runner.vault, tenant, connection)
        provider = PROVIDERS[opened.provider]
        if opened.status == "active" and provider.fetches(opened.credentials) and row["provider_payment_id"]:
            async with http.client(service_of(opened.provider, tenant.mode)) as client:
                found = await provider.fetch_payment(client, opened.credentials, row["provider_payment_id"])
    async with runner.write(tenant) as session:
        await runner.finish(session, job)
        if row is not None:
            await apply_found(session, row["connection_id"], row["provider"], found)
        await service.look(session, gift_id)


async def gave_up(session: WriteSession, job: Job) -> None:
    """The provider could not be asked. At its end a page is closed all the same."""
    await service.look(session, UUID(job.payload["gift_id"]))


def _pending(fact: GiftRecorded | GiftChanged) -> bool:
    return fact.status == "pending"


def register(registry: Registry) -> None:
    """Subscribe to facts."""
    registry.subscribe(Subscriber("payments.watch", (GiftRecorded, GiftChanged), handle=watch, wants=_pending))
    registry.subscribe(Subscriber("payments.poll", (OpenPaymentsDue,), handle=ring))
    registry.subscribe(
        Subscriber(
            "payments.ask",
            (PaymentAskDue,),
            outside=ask,
            on_dead=gave_up,
            max_attempts=5,
            timeout=timedelta(seconds=90),
        )
    )
    registry.schedule(Schedule(service.ALARM, OpenPaymentsDue, every=timedelta(days=1), at_hour=6, alarm=True))
