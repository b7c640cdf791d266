"""Knowing a charge of ours by an event about it, before anybody has told us the provider's id of it."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import text

from crm_api.kit.db import WriteSession, prepare
from crm_api.payments.provider import PaymentOutcome

_NAME = prepare(
    text(
        "UPDATE charge_attempts SET provider_ref = :ref, updated_at = :now "
        "WHERE organization_id = :organization_id AND id = :id AND connection_id = :connection_id "
        "AND provider_ref IS NULL"
    )
)


async def name_charge(session: WriteSession, connection_id: UUID, outcome: PaymentOutcome) -> None:
    """Note the provider's id of the attempt whose reference the event carries, if it is one of ours. To be called
    before the payment's ids are locked: whoever settles an attempt holds it first, and the ids after it."""
    try:
        attempt_id = UUID(outcome.gift_id) if outcome.gift_id else None
    except ValueError:
        return
    if attempt_id is not None and outcome.refs:
        await session.execute(_NAME, id=attempt_id, connection_id=connection_id, ref=outcome.refs[0], now=session.now)
