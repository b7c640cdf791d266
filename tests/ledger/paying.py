"""Payments that a provider has told of, for tests of payouts."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from crm_api.donations.gifts.balances import Entry
from crm_api.donations.gifts.service import PaymentFacts, record_gift
from crm_api.kit import clock
from tests.support.world import World


async def pay(
    world: World, ref: str, amount: int, fee: int = 0, *, currency: str = "USD", at: datetime | None = None
) -> str:
    """A gift through the organization's Stripe connection; its id."""
    connection = UUID(await world.stripe_connection())
    facts = PaymentFacts(
        amount=amount, currency=currency, method="card", connection_id=connection, provider="stripe",
        provider_payment_id=ref,
    )  # fmt: skip
    when = at or clock.utc_now()
    entries = [Entry("charge", f"charge:{ref}", when, amount)]
    if fee:
        entries.append(Entry("fee", f"fee:{ref}", when, fee, ref=f"txn_{ref}"))
    async with world.database.write(world.tenant) as session:
        gift = await record_gift(session, facts, entries, refs=[ref])
    return str(gift["id"])
