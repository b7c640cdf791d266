"""Payments that two connections tell of: a platform (Donorbox) names the processor's id of the same money.

The platform's ids of such a gift include that name (``stripe:ch_…``), so whichever of the two speaks first, the other
one finds the gift. It then belongs to the processor's connection, where the money is and is given back.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import text

from crm_api.donations.gifts import evidence
from crm_api.donations.gifts.balances import Entry
from crm_api.kit.db import ReadSession, Row, WriteSession, prepare
from crm_api.payments.provider import PaymentOutcome
from crm_api.payments.providers.platform import PLATFORM_FEE

PLATFORMS = ("donorbox", "generic", "monobank_personal")
"""Providers that may name the processor's id of a payment."""
PROCESSORS = ("stripe", "paypal", "monobank")
"""Providers whose ids they name."""

# The second half looks at nothing but the organization's few connections where none is of the other kind: the lateral
# part, which OFFSET keeps as it is, cannot be begun from the ids.
_NAMED = prepare(
    text(
        """
        SELECT r.gift_id FROM gift_payment_refs r
        WHERE r.organization_id = :organization_id AND r.connection_id = :connection_id AND r.ref = ANY(:refs)
        UNION
        SELECT t.gift_id FROM payment_connections c, LATERAL (
            SELECT r.gift_id FROM gift_payment_refs r
            WHERE r.organization_id = :organization_id AND r.connection_id = c.id AND r.ref = ANY(:twins) OFFSET 0
        ) t
        WHERE c.organization_id = :organization_id AND c.provider = ANY(:providers)
        """
    )
)
_CONNECTIONS = prepare(
    text(
        "SELECT id, provider FROM payment_connections WHERE organization_id = :organization_id "
        "AND provider = ANY(:providers) ORDER BY id"
    )
)
_REFS = prepare(
    text(
        """
        SELECT r.connection_id, c.provider, r.gift_id, r.ref FROM gift_payment_refs r JOIN payment_connections c
            ON c.organization_id = r.organization_id AND c.id = r.connection_id
        WHERE r.organization_id = :organization_id AND r.gift_id = ANY(:gift_ids)
        ORDER BY r.connection_id, r.ref
        """
    )
)


def split(twin: str) -> tuple[str, str]:
    """Provider and id of a name such as ``stripe:ch_1``."""
    provider, _, ref = twin.partition(":")
    return provider, ref


def is_twin(ref: str) -> bool:
    """Whether an id is another provider's."""
    return split(ref)[0] in PROCESSORS and ":" in ref


async def gifts_named(session: ReadSession, connection_id: UUID, provider: str, outcome: PaymentOutcome) -> list[UUID]:
    """The gifts that any id of a payment names, at this connection or at one of the other kind."""
    if outcome.twins:
        pairs = [split(twin) for twin in outcome.twins]
        providers, twins = [one for one, _ in pairs], [ref for _, ref in pairs]
    elif provider in PROCESSORS:
        providers, twins = list(PLATFORMS), [f"{provider}:{ref}" for ref in outcome.refs]
    else:
        return await evidence.gifts_named(session, connection_id, outcome.refs)
    rows = await session.fetch(
        _NAMED, connection_id=connection_id, refs=list(outcome.refs), providers=providers, twins=twins
    )
    return sorted(row["gift_id"] for row in rows)


async def lock(session: WriteSession, outcome: PaymentOutcome) -> None:
    """Wait for whoever works on the same money at its processor's connection, and let others wait for us."""
    pairs = [split(twin) for twin in outcome.twins]
    if not pairs:
        return
    for row in await session.fetch(_CONNECTIONS, providers=sorted({provider for provider, _ in pairs})):
        refs = [ref for provider, ref in pairs if provider == row["provider"]]
        await evidence.lock_ids(session, row["id"], refs)


async def lock_gifts(session: WriteSession, gift_ids: Sequence[UUID]) -> dict[UUID, list[str]]:
    """Lock every id of some gifts, each at its own connection; the ids."""
    rows = await session.fetch(_REFS, gift_ids=list(gift_ids))
    found: dict[UUID, list[str]] = {gift_id: [] for gift_id in gift_ids}
    by_connection: dict[UUID, list[str]] = {}
    for row in rows:
        found[row["gift_id"]].append(row["ref"])
        by_connection.setdefault(row["connection_id"], []).append(row["ref"])
    for connection_id, refs in by_connection.items():
        await evidence.lock_ids(session, connection_id, refs)
    return found


async def owned(session: WriteSession, row: Row, outcome: PaymentOutcome, connection_id: UUID) -> dict[str, Any]:
    """Of a gift that two connections tell of: whose it is, as columns (without the payment key), and that one's own
    ids. The processor's, as soon as it has spoken."""
    rows = await session.fetch(_REFS, gift_ids=[row["id"]])
    first = min(rows, key=lambda one: (one["provider"] in PLATFORMS, str(one["connection_id"])))
    owner = first["connection_id"]
    customer = row["provider_customer_id"] if row["connection_id"] == owner else None
    if connection_id == owner:
        customer = customer or outcome.payer.customer_ref
    refs = [one["ref"] for one in rows if one["connection_id"] == owner and not is_twin(one["ref"])]
    columns = {"connection_id": owner, "provider": first["provider"], "provider_customer_id": customer}
    return {"columns": columns, "refs": refs}


async def yield_fee(session: WriteSession, gift_id: UUID) -> None:
    """A fee that only the platform tells of counts for nothing once the processor tells its own."""
    fees = [entry for entry in await evidence.entries_of(session, gift_id) if entry.kind == "fee"]
    platform = [entry for entry in fees if (entry.ref or "").startswith(PLATFORM_FEE)]
    if not platform or len(platform) == len(fees):
        return
    await evidence.add_evidence(
        session,
        gift_id,
        [
            Entry(
                kind="fee",
                key=f"{entry.key}:yielded",
                occurred_at=entry.occurred_at + timedelta(seconds=1),
                amount=0,
                ref=entry.ref,
            )
            for entry in platform
            if not entry.key.endswith(":yielded")
        ],
    )
