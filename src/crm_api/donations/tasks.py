"""What donations do about facts: stamp gifts when their exchange rate arrives, date them anew when the zone changes,
let credits follow the gifts they are for, make notices of tributes due."""

from __future__ import annotations

from decimal import Decimal
from uuid import UUID

from sqlalchemy import text

from crm_api.contacts.dedupe.facts import ContactsMerged, ContactsUnmerged
from crm_api.donations.allocations.service import restate_stamped
from crm_api.donations.gifts.facts import GiftChanged, GiftsRestated
from crm_api.donations.matching import service as matching
from crm_api.donations.tributes import service as tributes
from crm_api.kit.db import WriteSession, prepare
from crm_api.kit.money import exponent
from crm_api.organizations.facts import TimezoneChanged
from crm_api.organizations.rates.facts import RateAdded, RatesAdded
from crm_api.outbox.facts import HousekeepingDue, Job, Registry, Subscriber
from crm_api.outbox.service import emit

# Half to even in whole numbers, as kit.money.convert rounds: Postgres' own round() takes halves away from zero. What
# would pass the API's largest amount stays unstamped.
_STAMP = prepare(
    text(
        """
        UPDATE gifts g SET base_rate = r.rate, base_rate_date = r.rate_date,
            base_amount = crm_half_even(g.amount * r.rate * CAST(:scale AS numeric)),
            base_counted = crm_half_even(g.counted * r.rate * CAST(:scale AS numeric)),
            version = g.version + 1, updated_at = :now
        FROM gifts b JOIN LATERAL (
            SELECT x.rate, x.rate_date FROM exchange_rates x
            WHERE x.organization_id = :organization_id AND x.source_currency = :source
                AND x.target_currency = :target AND x.rate_date <= b.gift_date
            ORDER BY x.rate_date DESC LIMIT 1
        ) r ON true
        WHERE g.organization_id = :organization_id AND b.organization_id = :organization_id AND b.id = g.id
            AND b.base_amount IS NULL AND b.currency = :source
            AND b.amount * r.rate * CAST(:scale AS numeric) <= 9007199254740991
        """
    )
)
_UNSTAMPED = prepare(
    text(
        "SELECT DISTINCT currency FROM gifts WHERE organization_id = :organization_id AND base_amount IS NULL "
        "ORDER BY currency"
    )
)
# A gift whose refund or fee alone is of another day now has changed too: its books go by that day.
_REDATE = prepare(
    text(
        """
        UPDATE gifts SET gift_date = CAST(received_at AT TIME ZONE :zone AS date),
            base_rate_date = CASE WHEN currency = :currency AND base_rate_date IS NOT NULL
                THEN CAST(received_at AT TIME ZONE :zone AS date) ELSE base_rate_date END,
            version = version + 1, updated_at = :now
        WHERE organization_id = :organization_id AND (
            gift_date <> CAST(received_at AT TIME ZONE :zone AS date)
            OR EXISTS (SELECT 1 FROM payment_entries e WHERE e.organization_id = :organization_id
                AND e.gift_id = gifts.id AND CAST(e.occurred_at AT TIME ZONE :zone AS date)
                    <> CAST(e.occurred_at AT TIME ZONE :previous AS date)))
        """
    )
)


async def _stamp(session: WriteSession, source: str) -> int:
    target = session.tenant.currency
    scale = Decimal(10) ** (exponent(target) - exponent(source))
    return await session.execute(_STAMP, source=source, target=target, scale=scale, now=session.now)


async def stamp_gifts(session: WriteSession, job: Job) -> None:
    """Give gifts without a rate their amount in the organization's currency, all in one statement."""
    if job.payload["target_currency"] != session.tenant.currency:
        return
    if await _stamp(session, job.payload["source_currency"]):
        await restate_stamped(session)
        emit(session, GiftsRestated(reason="exchange rate"))


async def stamp_stragglers(session: WriteSession, job: Job) -> None:
    """Once a day, the same for gifts that were being recorded while their rate arrived."""
    stamped = [await _stamp(session, row["currency"]) for row in await session.fetch(_UNSTAMPED)]
    if any(stamped):
        await restate_stamped(session)
        emit(session, GiftsRestated(reason="exchange rate"))


async def redate_gifts(session: WriteSession, job: Job) -> None:
    """Date every gift, and what became of its money, in the organization's new time zone."""
    tenant = session.tenant
    zones = {"zone": tenant.timezone, "previous": job.payload["previous"]}
    if await session.execute(_REDATE, **zones, currency=tenant.currency, now=session.now):
        emit(session, GiftsRestated(reason="time zone"))


async def follow_match(session: WriteSession, job: Job) -> None:
    """Let the credit for a matching gift follow the employee's gift to whoever it is from now."""
    await matching.follow_gift(session, UUID(job.payload["gift_id"]))


async def follow_merge(session: WriteSession, job: Job) -> None:
    """Let credits for matching gifts follow contacts that were merged, or parted again."""
    named = {job.payload["survivor_id"], *job.payload["retired_ids"]}
    await matching.follow_contacts(session, [UUID(one) for one in named])


async def announce_tributes(session: WriteSession, job: Job) -> None:
    """Make the notices of a gift's tributes due once its money has arrived."""
    await tributes.announce(session, UUID(job.payload["gift_id"]))


def _changes_hands(fact: GiftChanged) -> bool:
    return fact.contact_id != fact.previous_contact_id


def _arrives(fact: GiftChanged) -> bool:
    return fact.status in tributes.ARRIVED and fact.previous_status in {"pending", "failed"}


def register(registry: Registry) -> None:
    """Subscribe to facts."""
    registry.subscribe(Subscriber("donations.stamp_gifts", (RateAdded, RatesAdded), handle=stamp_gifts))
    registry.subscribe(Subscriber("donations.stamp_stragglers", (HousekeepingDue,), handle=stamp_stragglers))
    registry.subscribe(Subscriber("donations.redate_gifts", (TimezoneChanged,), handle=redate_gifts))
    registry.subscribe(
        Subscriber("donations.follow_match", (GiftChanged,), handle=follow_match, wants=_changes_hands),
    )
    registry.subscribe(
        Subscriber("donations.follow_merge", (ContactsMerged, ContactsUnmerged), handle=follow_merge),
    )
    registry.subscribe(
        Subscriber("donations.announce_tributes", (GiftChanged,), handle=announce_tributes, wants=_arrives),
    )
