"""The inbox: store first, understand later."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, select, text

from crm_api.audit.service import record
from crm_api.kit import clock
from crm_api.kit.db import Database, ReadSession, Row, RowLike, WriteSession, prepare
from crm_api.kit.ids import new_id
from crm_api.kit.problems import BadRequest, NotFound, Unavailable
from crm_api.outbox import service as outbox
from crm_api.outbox.service import emit
from crm_api.payments.connections.service import OpenConnection
from crm_api.payments.facts import PaymentEventReceived
from crm_api.payments.inbox.models import provider_events
from crm_api.payments.inbox.scrub import scrub
from crm_api.payments.matching import queue
from crm_api.payments.outside import OUTSIDE
from crm_api.payments.provider import Answer, CheckUnavailable, Delivery, SignatureInvalid
from crm_api.payments.providers import PROVIDERS

APPLY = "payments.apply_event"
"""Name of the subscriber that handles an inbox row."""

# One statement and one trip: the tenant is set first (see kit.db.Statement.bound), the event is stored unless it is
# known, and only a new event gets a job.
_RECEIVE = prepare(
    text(
        f"""
        WITH _tenant AS MATERIALIZED (SELECT set_config('crm.organization_id', :tenant, true) AS v),
        stored AS (
            INSERT INTO provider_events (organization_id, id, connection_id, provider, provider_event_id, event_type,
                body, state, occurred_at, received_at)
            SELECT CAST(:organization_id AS uuid), CAST(:id AS uuid), CAST(:connection_id AS uuid),
                CAST(:provider AS text), CAST(:event_id AS text), CAST(:event_type AS text), CAST(:body AS bytea),
                'received', CAST(:occurred_at AS timestamptz), CAST(:received_at AS timestamptz)
            FROM _tenant WHERE v IS NOT NULL
            ON CONFLICT (organization_id, connection_id, provider_event_id) DO NOTHING RETURNING id
        )
        INSERT INTO jobs (organization_id, id, subscriber, fact, fact_id, payload, due_at, created_at, request_id)
        SELECT CAST(:organization_id AS uuid), CAST(:job_id AS uuid), '{APPLY}', 'PaymentEventReceived',
            CAST(:fact_id AS uuid), jsonb_build_object('event_id', stored.id), CAST(:now AS timestamptz),
            CAST(:now AS timestamptz), CAST(:request_id AS text)
        FROM stored
        """
    )
)
_LOCK = prepare(
    select(provider_events)
    .where(provider_events.c.organization_id == bindparam("organization_id"), provider_events.c.id == bindparam("id"))
    .with_for_update(key_share=True)
)
_GET = prepare(
    select(provider_events).where(
        provider_events.c.organization_id == bindparam("organization_id"), provider_events.c.id == bindparam("id")
    )
)
_MARK = prepare(
    text(
        "UPDATE provider_events SET state = :state, reason = :reason, wait_key = :wait_key, "
        "gift_id = coalesce(:gift_id, gift_id), handled_at = :now "
        "WHERE organization_id = :organization_id AND id = :id RETURNING EXISTS (SELECT 1 FROM gifts g "
        "JOIN contacts c ON c.organization_id = g.organization_id AND c.id = g.contact_id "
        "WHERE g.organization_id = :organization_id AND g.id = :gift_id AND c.erased_at IS NOT NULL) AS of_erased"
    )
)
# What comes late about somebody who was erased is not kept.
_FORGET_PAYER = prepare(
    text(
        "UPDATE gifts SET payer = NULL, provider_customer_id = NULL "
        "WHERE organization_id = :organization_id AND id = :gift_id"
    )
)
_REPLACE_BODY = prepare(
    text("UPDATE provider_events SET body = :body WHERE organization_id = :organization_id AND id = :id")
)
_MOVE = prepare(
    text("UPDATE provider_events SET gift_id = :target WHERE organization_id = :organization_id AND gift_id = :source")
)
_REVIVE = prepare(
    text(
        "UPDATE provider_events SET state = 'received', reason = NULL WHERE organization_id = :organization_id "
        "AND state = 'unmatched' AND wait_key = ANY(:keys) RETURNING id"
    )
)


async def receive(
    database: Database, connection: OpenConnection, delivery: Delivery, *, request_id: str
) -> tuple[bool, Answer]:
    """Check a delivery over its raw bytes and store it once; whether it was new, and the answer the provider wants.

    A wrong signature is refused with 400 and nothing is written.
    """
    provider = PROVIDERS[connection.provider]
    tenant = connection.tenant
    now = tenant.now()
    try:
        await provider.check(delivery, connection.accounts, now=now, outside=OUTSIDE)
    except CheckUnavailable:
        raise Unavailable(
            f"What signatures are checked with cannot be had from {connection.provider} just now. Send it again later.",
            retry_after=30,
        ) from None
    except SignatureInvalid as error:
        raise BadRequest(
            "The signature does not fit. Check that the connection holds this endpoint's own signing secret "
            "and that nothing between the provider and us changes the body.",
            code=f"signature_{error.code}",
        ) from None
    envelope = provider.envelope(delivery.body)
    async with database.connection() as raw:
        tag = await raw.execute(
            _RECEIVE.sql,
            *_RECEIVE.arguments(
                {
                    "tenant": str(tenant.id),
                    "organization_id": tenant.id,
                    "id": new_id(),
                    "connection_id": connection.id,
                    "provider": connection.provider,
                    "event_id": envelope.event_id,
                    "event_type": envelope.event_type,
                    "body": delivery.body,
                    "occurred_at": envelope.occurred_at,
                    "received_at": now,
                    "job_id": new_id(),
                    "fact_id": new_id(),
                    "now": clock.utc_now(),
                    "request_id": request_id,
                }
            ),
        )
    return bool(tag == "INSERT 0 1"), provider.answer(delivery, connection.credentials, now=now)


def to_read(row: RowLike) -> dict[str, Any]:
    """An event as the API shows it; never its body."""
    names = (
        "id", "connection_id", "provider", "provider_event_id", "event_type", "state", "reason", "occurred_at",
        "received_at", "handled_at",
    )  # fmt: skip
    return {**{name: row[name] for name in names}, "donation_id": row["gift_id"]}


async def get_event(session: ReadSession, event_id: UUID) -> Row:
    """One event, or 404."""
    row = await session.fetch_row(_GET, id=event_id)
    if row is None:
        raise NotFound("There is no such provider event.")
    return row


async def lock_event(session: WriteSession, event_id: UUID) -> Row:
    """One event, locked for this transaction."""
    row = await session.fetch_row(_LOCK, id=event_id)
    if row is None:
        raise NotFound("There is no such provider event.")
    return row


async def move_events(session: WriteSession, source: UUID, target: UUID) -> None:
    """Let the events of one gift be known as those of another."""
    await session.execute(_MOVE, source=source, target=target)


async def mark(
    session: WriteSession,
    event_id: UUID,
    state: str,
    *,
    reason: str | None = None,
    wait_key: str | None = None,
    gift_id: UUID | None = None,
) -> None:
    """Note what became of an event. One about a gift of somebody who was erased keeps nothing personal."""
    now = session.now if state in {"handled", "ignored"} else None
    of_erased = await session.fetch_val(
        _MARK, id=event_id, state=state, reason=reason, wait_key=wait_key, gift_id=gift_id, now=now
    )
    if of_erased:
        event = await get_event(session, event_id)
        await session.execute(_REPLACE_BODY, id=event_id, body=scrub(event["body"]))
        await session.execute(_FORGET_PAYER, gift_id=gift_id)


async def wake(session: WriteSession, keys: list[str]) -> None:
    """A payment has arrived: events that waited for it, or were given up as unmatched, are looked at again."""
    await outbox.wake(session, keys)
    revived = await session.fetch(_REVIVE, keys=keys)
    for row in revived:
        emit(session, PaymentEventReceived(event_id=row["id"]))
    await queue.forget_events(session, [row["id"] for row in revived])


async def replay(session: WriteSession, event_id: UUID) -> Row:
    """Handle an event again. What it says is known already changes nothing, so this is always safe."""
    await lock_event(session, event_id)
    await mark(session, event_id, "received")
    await queue.forget_events(session, [event_id])
    emit(session, PaymentEventReceived(event_id=event_id))
    record(session, "provider_event.replayed", "provider_event", event_id)
    return await get_event(session, event_id)
