"""What donations do about facts: stamp gifts when their exchange rate arrives."""

from __future__ import annotations

from sqlalchemy import text

from crm_api.donations.gifts.facts import GiftsRestated
from crm_api.kit.db import WriteSession, prepare
from crm_api.kit.money import exponent
from crm_api.organizations.rates.facts import RateAdded, RatesAdded
from crm_api.outbox.facts import Job, Registry, Subscriber
from crm_api.outbox.service import emit

# Half to even in whole numbers, as kit.money.convert rounds: Postgres' own round() takes halves away from zero.
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
        """
    )
)


async def stamp_gifts(session: WriteSession, job: Job) -> None:
    """Give gifts without a rate their amount in the organization's currency, all in one statement."""
    source, target = job.payload["source_currency"], job.payload["target_currency"]
    if target != session.tenant.currency:
        return
    from decimal import Decimal

    scale = Decimal(10) ** (exponent(target) - exponent(source))
    if await session.execute(_STAMP, source=source, target=target, scale=scale, now=session.now):
        emit(session, GiftsRestated(reason="exchange rate"))


def register(registry: Registry) -> None:
    """Subscribe to facts."""
    registry.subscribe(Subscriber("donations.stamp_gifts", (RateAdded, RatesAdded), handle=stamp_gifts))
