"""What a provider said when it was asked, applied like its events."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from crm_api.kit.db import WriteSession
from crm_api.payments import apply as applying
from crm_api.payments.inbox import service as inbox
from crm_api.payments.provider import Interpretation


async def apply_found(
    session: WriteSession, connection_id: UUID, provider: str, found: Iterable[Interpretation]
) -> UUID | None:
    """Apply each meaning and wake what waited for it; the gift it is about. What it says of payments that are not known
    is left to their own events."""
    gift_id: UUID | None = None
    for said in found:
        try:
            applied = await applying.apply(session, connection_id, provider, said)
        except (applying.PaymentUnknown, applying.CurrencyMismatch):
            continue
        await session.flush()
        await inbox.wake(session, [applying.wait_key(connection_id, one) for one in applied.refs])
        gift_id = applied.gift_id or gift_id
    return gift_id
