"""Our own id in a provider's reference field, as one of the ids that name a payment.

Only a checkout's id is one: a charity may put ids of its own there that look like ours, and use one for many payments.
"""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

from sqlalchemy import text

from crm_api.kit.db import ReadSession, prepare
from crm_api.payments.provider import PaymentOutcome

_IS_OURS = prepare(
    text(
        "SELECT 1 FROM checkouts WHERE organization_id = :organization_id AND id = :id "
        "AND connection_id = :connection_id"
    )
)
OURS = "uuid:"
"""How such an id begins. It sorts behind the kinds that providers use, so it never is a payment's key (`canonical`)."""


def our_ref(checkout_id: UUID) -> str:
    """The checkout's id among the ids of its payment."""
    return f"{OURS}{checkout_id}"


async def named(session: ReadSession, connection_id: UUID, outcome: PaymentOutcome) -> PaymentOutcome:
    """The outcome with our id among its ids, where it carries that of a checkout on this connection."""
    try:
        checkout_id = UUID(outcome.gift_id) if outcome.gift_id else None
    except ValueError:
        checkout_id = None
    if checkout_id is None or not await session.fetch_val(_IS_OURS, id=checkout_id, connection_id=connection_id):
        return outcome
    return replace(outcome, refs=tuple(dict.fromkeys((*outcome.refs, our_ref(checkout_id)))))
