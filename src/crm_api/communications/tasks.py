"""Which facts call for a letter, and the sending of it."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID

from crm_api.communications.deliveries import plans, promises, receipts, service
from crm_api.communications.facts import LetterQueued
from crm_api.contacts.privacy.facts import ContactErased
from crm_api.donations.gifts.facts import GiftChanged, GiftRecorded
from crm_api.donations.pledges.facts import PledgeOverdue
from crm_api.donations.receipts.facts import ReceiptReady
from crm_api.donations.recurring.facts import CardExpiring, PlanChargeFailed, PlanGivenUp, PlanPaymentMissed
from crm_api.kit.db import Tenant, WriteSession
from crm_api.outbox.facts import Job, Registry, Subscriber

_SETTLED = {"succeeded", "partially_refunded"}
_REFUNDED = {"refunded", "partially_refunded"}


def _wanted(previous: str | None, status: str, *, refunded_more: bool) -> list[str]:
    """Letters that a change of a gift calls for; each is looked at again when it is decided, and written once."""
    wanted = []
    if previous not in _SETTLED and status in _SETTLED:
        wanted.append("thanks")
    if status == "failed" and previous != "failed":
        wanted.append("payment_failed")
    if refunded_more and status in _REFUNDED:
        wanted.append("refund_confirmed")
    return wanted


def _of_fact(fact: GiftRecorded | GiftChanged) -> list[str]:
    if isinstance(fact, GiftRecorded) or fact.previous_contact_id is None:
        # A gift whose donor is found later gets its letters then.
        return _wanted(None, fact.status, refunded_more=fact.status in _REFUNDED)
    return _wanted(fact.previous_status, fact.status, refunded_more=fact.refunded_more)


async def write_letter(session: WriteSession, job: Job) -> None:
    """Decide the letters of a gift's change."""
    payload = job.payload
    fact = GiftChanged(**payload) if "previous_status" in payload else GiftRecorded(**payload)
    for wanted in _of_fact(fact):
        if wanted == "payment_failed" and await plans.decides_itself(session, UUID(payload["gift_id"])):
            continue
        await service.decide_letter(session, UUID(payload["gift_id"]), wanted)


async def write_of_charge(session: WriteSession, job: Job) -> None:
    """Tell a donor that the card of a regular gift could not be charged, where the dunning policy wants it."""
    await service.decide_letter(session, UUID(job.payload["gift_id"]), "payment_failed")


async def write_of_card(session: WriteSession, job: Job) -> None:
    """Tell a donor that the card of a regular gift runs out."""
    await plans.decide(session, CardExpiring(**job.payload))


async def write_of_missed(session: WriteSession, job: Job) -> None:
    """Tell a donor kindly that the money of a regular gift has not come."""
    await promises.decide_missed(session, PlanPaymentMissed(**job.payload))


async def write_of_given_up(session: WriteSession, job: Job) -> None:
    """Tell a donor that a regular gift has ended, and how to come back."""
    await promises.decide_given_up(session, PlanGivenUp(**job.payload))


async def write_of_pledge(session: WriteSession, job: Job) -> None:
    """Remind a donor of a pledge."""
    await promises.decide_overdue(session, PledgeOverdue(**job.payload))


async def write_receipt(session: WriteSession, job: Job) -> None:
    """Decide the letter that brings a receipt."""
    await receipts.decide(session, UUID(job.payload["receipt_id"]))


def _wants(fact: GiftRecorded | GiftChanged) -> bool:
    return fact.contact_id is not None and bool(_of_fact(fact))


async def remove_letters(runner: Any, tenant: Tenant, job: Job) -> None:
    """Remove the files that letters to an erased person were written as, where letters are written as files."""
    folder = runner.settings.mail_directory
    if folder is not None:
        ids = [UUID(one) for one in job.payload["contact_ids"]]
        for message_id in await service.messages_to(runner.database.read(tenant), ids):
            await asyncio.to_thread((folder / f"{message_id}.eml").unlink, missing_ok=True)
    async with runner.write(tenant) as session:
        await runner.finish(session, job)


def register(registry: Registry) -> None:
    """Subscribe to facts."""
    registry.subscribe(Subscriber("communications.remove_letters", (ContactErased,), outside=remove_letters))
    registry.subscribe(
        Subscriber("communications.write_letter", (GiftRecorded, GiftChanged), handle=write_letter, wants=_wants)
    )
    registry.subscribe(
        Subscriber(
            "communications.write_of_charge",
            (PlanChargeFailed,),
            handle=write_of_charge,
            wants=lambda fact: fact.letter and fact.gift_id is not None,
        )
    )
    registry.subscribe(Subscriber("communications.write_of_card", (CardExpiring,), handle=write_of_card))
    for name, fact, handle in (
        ("communications.write_of_missed", PlanPaymentMissed, write_of_missed),
        ("communications.write_of_given_up", PlanGivenUp, write_of_given_up),
        ("communications.write_of_pledge", PledgeOverdue, write_of_pledge),
    ):
        registry.subscribe(Subscriber(name, (fact,), handle=handle, wants=lambda fact: fact.contact_id is not None))
    registry.subscribe(Subscriber("communications.write_receipt", (ReceiptReady,), handle=write_receipt))
    registry.subscribe(
        Subscriber(
            "communications.send_letter", (LetterQueued,), outside=service.send_letter, timeout=timedelta(seconds=120)
        )
    )
