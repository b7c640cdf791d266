"""Whole families of Stripe events about one payment, and everything an organization knows in the end."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import text

from crm_api.kit.db import prepare
from tests.support.stripe_events import START, Event, stripe_event
from tests.support.world import World

HOUR, DAY = 3600, 86400
AMOUNT, FIRST, SECOND = 10_000, 3_000, 2_000
FAR = START + timedelta(days=60)
"""A clock that stands behind every event."""


def one_off(seed: str, *, verdict: str = "won") -> list[Event]:
    """A one-off gift in the order in which it happened: refused once, paid, refunded twice (one of them fails in the
    end), disputed. Every object knows the payer a little differently."""

    def told(event_type: str, after: float, number: int = 0, **changes: Any) -> Event:
        return stripe_event(event_type, seed=seed, after=after, number=number, **{"currency": "usd", **changes})

    card: dict[str, Any] = {"type": "card", "card": {"brand": "visa", "wallet": {"type": "apple_pay"}}}
    known: dict[str, Any] = {
        "email": "olena@example.org",
        "name": "Olena K",
        "phone": None,
        "address": {"city": None, "country": "UA"},
    }
    typed: dict[str, Any] = {
        "email": "olena.kovalchuk@example.org",
        "name": "Олена Ковальчук",
        "phone": "+380 50 123 45 67",
        "address": {"city": "Львів", "country": "UA"},
    }
    charge: dict[str, Any] = {
        "amount": AMOUNT,
        "amount_captured": AMOUNT,
        "billing_details": known,
        "payment_method_details": card,
        "metadata": {},
    }
    intent: dict[str, Any] = {"amount": AMOUNT, "metadata": {"language": "en"}, "receipt_email": "post@example.org"}
    fee: dict[str, Any] = {"id": "txn_1", "fee": 320, "currency": "usd", "created": int(START.timestamp()) + 60}
    first: dict[str, Any] = {"id": "re_1", "amount": FIRST, "created": int(START.timestamp()) + HOUR}
    second: dict[str, Any] = {"id": "re_2", "amount": SECOND, "created": int(START.timestamp()) + 2 * HOUR}
    before: dict[str, Any] = {"amount_refunded": 0, "refunded": False}
    return [
        told("payment_intent.processing", 0, **intent),
        told("charge.failed", 10, id="ch_refused", **{**charge, "amount_captured": 0}),
        told("payment_intent.payment_failed", 10, **intent),
        told("payment_intent.succeeded", 60, amount_received=AMOUNT, **intent),
        told("charge.succeeded", 60, **charge),
        told(
            "checkout.session.completed",
            61,
            amount_total=AMOUNT,
            customer_details=typed,
            locale="uk",
            metadata={},
            payment_method_types=["card", "link"],
        ),
        told("charge.updated", 90, **charge, balance_transaction=fee, previous={"balance_transaction": None}),
        told("refund.created", HOUR, status="succeeded", **first),
        told("charge.refunded", HOUR, **charge, amount_refunded=FIRST, previous=before),
        told("refund.created", 2 * HOUR, 1, status="pending", **second),
        told("charge.refunded", 2 * HOUR, 1, **charge, amount_refunded=FIRST + SECOND, previous=before),
        told("refund.failed", 2 * DAY, status="failed", **second),
        told("charge.dispute.created", 3 * DAY, amount=AMOUNT - FIRST),
        told("charge.dispute.funds_withdrawn", 3 * DAY, amount=AMOUNT - FIRST),
        told("charge.dispute.closed", 30 * DAY, amount=AMOUNT - FIRST, status=verdict),
    ]


def subscription(
    seed: str,
    *,
    joined: bool = True,
    refused: bool = False,
    email: str = "olena@example.org",
    start: datetime = START,
) -> list[Event]:
    """The first gift of a monthly plan, as current API versions tell it: no object but `invoice_payment` names both the
    invoice and the intent. `refused`: the first attempt fails and the card is charged three days later."""
    paid_at = 3 * DAY if refused else 0

    def told(event_type: str, after: float, number: int = 0, **changes: Any) -> Event:
        return stripe_event(
            event_type, seed=seed, after=after, number=number, start=start, **{"currency": "usd", **changes}
        )

    stamp = int(start.timestamp())
    price: dict[str, Any] = {
        "currency": "usd",
        "unit_amount": AMOUNT,
        "recurring": {"interval": "month", "interval_count": 1},
    }
    item: dict[str, Any] = {"id": "si_1", "current_period_end": stamp + 30 * DAY, "price": price, "quantity": 1}
    plan: dict[str, Any] = {"items": {"object": "list", "data": [item], "has_more": False}}
    person: dict[str, Any] = {
        "customer_email": email,
        "customer_name": "Olena Kovalchuk",
        "customer_address": None,
    }
    due: dict[str, Any] = {"amount_due": AMOUNT, **person}
    paid: dict[str, Any] = {
        **due,
        "amount_paid": AMOUNT,
        "status_transitions": {"finalized_at": stamp, "paid_at": stamp + paid_at, "voided_at": None},
    }
    address: dict[str, Any] = {"city": "Kyiv", "country": "UA"}
    known: dict[str, Any] = {"email": email, "name": "OLENA KOVALCHUK", "phone": None, "address": address}
    intent: dict[str, Any] = {"amount": AMOUNT, "metadata": {}, "receipt_email": None}
    charge: dict[str, Any] = {"amount": AMOUNT, "billing_details": known, "metadata": {}, "created": stamp + paid_at}
    events = [
        told("customer.subscription.created", 0, status="incomplete", **plan),
        told("payment_intent.succeeded", paid_at, amount_received=AMOUNT, **intent),
        told("charge.succeeded", paid_at, amount_captured=AMOUNT, **charge),
        told("invoice.paid", paid_at, **paid),
        told("invoice.payment_succeeded", paid_at, **paid),
        told("customer.subscription.updated", paid_at, status="active", **plan),
    ]
    if refused:
        events[1:1] = [
            told("payment_intent.payment_failed", 0, **intent),
            told("charge.failed", 0, **{**charge, "id": "ch_refused", "created": stamp}),
            told("invoice.payment_failed", 0, **due),
            told("customer.subscription.updated", 0, 1, status="past_due", **plan),
        ]
    if joined:
        transitions = {"canceled_at": None, "paid_at": stamp + paid_at}
        events.append(told("invoice_payment.paid", paid_at, amount_paid=AMOUNT, status_transitions=transitions))
    return events


async def settle(world: World) -> None:
    """Drain until nothing is due, a job that had to make way for another included; nothing may wait or be given up."""
    for _ in range(20):
        await world.drain()
        open_jobs = [job for job in await world.jobs() if job["state"] != "done"]
        if {job["subscriber"] for job in open_jobs} <= {"payments.fetch_payment"}:
            return
    raise AssertionError([(job["subscriber"], job["state"], job["last_error"]) for job in open_jobs])


_REFS = prepare(text("SELECT ref, gift_id FROM gift_payment_refs WHERE organization_id = :organization_id"))
_IDS = ("id", "contact_id", "recurring_plan_id", "connection_id", "campaign_id", "created_at", "updated_at", "version")


def _bare(found: dict[str, Any], *more: str) -> dict[str, Any]:
    return {name: value for name, value in found.items() if name not in {*_IDS, *more}}


async def known(world: World) -> dict[str, Any]:
    """Everything an organization knows of its donors and gifts, without ids and times of our own making."""
    contacts = {one["id"]: one for one in (await world.get("/v1/contacts", params={"limit": 200}))["data"]}
    shown = {}
    for contact in contacts.values():
        bare = _bare(contact)
        for name in ("emails", "external_ids", "roles"):
            bare[name] = sorted(bare[name], key=str)
        shown[contact["id"]] = bare
    plans = (await world.get("/v1/recurring-plans"))["data"]
    gifts = (await world.get("/v1/donations"))["data"]
    refs = await world.database.read(world.tenant).fetch(_REFS)
    return {
        "contacts": sorted(shown.values(), key=str),
        "gifts": [
            {
                **_bare(gift),
                "donor": shown.get(gift["contact_id"]),
                "plan": next((p["provider_plan_id"] for p in plans if p["id"] == gift["recurring_plan_id"]), None),
                "entries": await _entries(world, gift["id"]),
                "refs": sorted(row["ref"] for row in refs if str(row["gift_id"]) == gift["id"]),
            }
            for gift in gifts
        ],
        "plans": [{**_bare(plan), "donor": shown.get(plan["contact_id"])} for plan in plans],
        "profiles": [_bare(await world.profile(one), "computed_at") for one in contacts],
    }


async def _entries(world: World, gift_id: str) -> list[Any]:
    found = (await world.get(f"/v1/donations/{gift_id}/entries"))["data"]
    return sorted((_bare(entry, "recorded_at") for entry in found), key=str)


async def letters_of_gifts(world: World) -> list[tuple[str, str]]:
    """Gift and family of every letter that was written or is to be."""
    found = (await world.get("/v1/messages", params={"limit": 200}))["data"]
    return [(letter["donation_id"], letter["kind"]) for letter in found]
