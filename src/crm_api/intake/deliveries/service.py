"""Deliveries: store first, understand later."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import bindparam, select, text

from crm_api.audit.service import record
from crm_api.intake.deliveries.models import ERASED, intake_deliveries
from crm_api.intake.deliveries.schemas import FormSubmission
from crm_api.intake.facts import IntakeReceived, LeadNamed
from crm_api.intake.kinds import KINDS
from crm_api.intake.kinds.kind import Envelope, Received, Refused
from crm_api.intake.kinds.meta_leads import LEAD, LEADGEN
from crm_api.intake.kinds.reading import moment
from crm_api.intake.sources.service import OpenSource, get_source
from crm_api.kit import clock
from crm_api.kit.db import Database, ReadSession, Row, RowLike, WriteSession, prepare
from crm_api.kit.ids import new_id
from crm_api.kit.problems import BadRequest, Conflict, NotFound
from crm_api.outbox.service import emit

APPLY = "intake.apply_delivery"
"""Name of the subscriber that handles a delivery."""

_ORG: Any = bindparam("organization_id")
# One statement and one trip: the tenant is set first (see kit.db.Statement.bound), the delivery is stored unless it is
# known, and only a new one gets a job.
_RECEIVE = prepare(
    text(
        f"""
        WITH _tenant AS MATERIALIZED (SELECT set_config('crm.organization_id', :tenant, true) AS v),
        stored AS (
            INSERT INTO intake_deliveries (organization_id, id, source_id, kind, delivery_key, event_type, media_type,
                body, state, occurred_at, received_at)
            SELECT CAST(:organization_id AS uuid), CAST(:id AS uuid), CAST(:source_id AS uuid), CAST(:kind AS text),
                CAST(:delivery_key AS text), CAST(:event_type AS text), CAST(:media_type AS text),
                CAST(:body AS bytea), 'received', CAST(:occurred_at AS timestamptz), CAST(:received_at AS timestamptz)
            FROM _tenant WHERE v IS NOT NULL
            ON CONFLICT (organization_id, source_id, delivery_key) DO NOTHING RETURNING id
        )
        INSERT INTO jobs (organization_id, id, subscriber, fact, fact_id, payload, due_at, created_at, request_id)
        SELECT CAST(:organization_id AS uuid), CAST(:job_id AS uuid), '{APPLY}', 'IntakeReceived',
            CAST(:fact_id AS uuid), jsonb_build_object('delivery_id', stored.id), CAST(:now AS timestamptz),
            CAST(:now AS timestamptz), CAST(:request_id AS text)
        FROM stored
        """
    )
)
_GET = prepare(
    select(intake_deliveries).where(
        intake_deliveries.c.organization_id == _ORG, intake_deliveries.c.id == bindparam("id")
    )
)
_LOCK = prepare(
    select(intake_deliveries)
    .where(intake_deliveries.c.organization_id == _ORG, intake_deliveries.c.id == bindparam("id"))
    .with_for_update(key_share=True)
)
_MARK = prepare(
    text(
        "UPDATE intake_deliveries SET state = :state, reason = :reason, handled_at = :now, "
        "handle = coalesce(:handle, handle), reach = coalesce(:reach, reach), "
        "contact_id = coalesce(:contact_id, contact_id), "
        "interaction_id = coalesce(:interaction_id, interaction_id) "
        "WHERE organization_id = :organization_id AND id = :id"
    )
)
_ADD_LEADS = prepare(
    text(
        f"""
        INSERT INTO intake_deliveries (organization_id, id, source_id, kind, delivery_key, event_type, media_type, body,
            state, occurred_at, received_at)
        SELECT :organization_id, r.id, :source_id, 'meta_leads', r.delivery_key, '{LEADGEN}', 'application/json',
            convert_to(r.body, 'UTF8'), 'received', r.occurred_at, :now
        FROM jsonb_to_recordset(:leads) AS r(id uuid, delivery_key text, body text, occurred_at timestamptz)
        ON CONFLICT (organization_id, source_id, delivery_key) DO NOTHING RETURNING id
        """
    )
)
_PUT_ANSWERS = prepare(
    text(
        f"UPDATE intake_deliveries SET body = :body, event_type = '{LEAD}', state = 'received', reason = NULL "
        "WHERE organization_id = :organization_id AND id = :id"
    )
)
_NEWEST_REACH = prepare(
    text(
        "SELECT reach FROM intake_deliveries WHERE organization_id = :organization_id AND handle = :handle "
        "AND (occurred_at, id) > (:at, :id) ORDER BY occurred_at DESC, id DESC LIMIT 1"
    )
)


async def receive(database: Database, source: OpenSource, received: Received, *, request_id: str) -> bool:
    """Verify a delivery over its raw bytes and store it once; whether it was new.

    One that is not the source's is refused with 400 and nothing is written.
    """
    now = source.tenant.now()
    verify(source, received, now)
    envelope = KINDS[source.provider].envelope(received, now)
    async with database.connection() as raw:
        tag = await raw.execute(_RECEIVE.sql, *_RECEIVE.arguments(_row(source, received, envelope, now, request_id)))
    return bool(tag == "INSERT 0 1")


def verify(source: OpenSource, received: Received, now: datetime) -> None:
    """Check a delivery against the credentials that hold now, and those they replaced within a day."""
    kind = KINDS[source.provider]
    refusal = Refused("signature_mismatch")
    for credentials in source.generations:
        try:
            kind.verify(received, credentials, now)
            return
        except Refused as error:
            refusal = error if credentials is source.generations[0] else refusal
    if source.provider == "binotel":  # the secret is a part of the address: there is nothing at another
        raise NotFound("No source listens at this address; compare it with the source's webhook_url.")
    raise BadRequest(
        "This is not from the source. Check that both sides hold the same secret, that their clocks agree, and that "
        "nothing between them changes the body.",
        code=f"signature_{refusal.code}",
    )


def _row(source: OpenSource, received: Received, envelope: Envelope, now: datetime, request_id: str) -> dict[str, Any]:
    return {
        "tenant": str(source.tenant.id),
        "organization_id": source.tenant.id,
        "id": new_id(),
        "source_id": source.id,
        "kind": source.provider,
        "delivery_key": envelope.key,
        "event_type": envelope.event_type,
        "media_type": received.media_type[:100],
        "body": received.body,
        "occurred_at": envelope.occurred_at,
        "received_at": now,
        "job_id": new_id(),
        "fact_id": new_id(),
        "now": clock.utc_now(),
        "request_id": request_id,
    }


async def submit(session: WriteSession, form_id: UUID, body: FormSubmission) -> dict[str, Any]:
    """Store a form that was sent with an API key; the delivery as the sender sees it."""
    source = await get_source(session, form_id)
    if source["kind"] != "form":
        raise NotFound("There is no such form.")
    if not source["active"]:
        raise Conflict("This form is switched off.", code="source_inactive")
    delivery_id = new_id()
    session.later(
        intake_deliveries,
        id=delivery_id,
        source_id=form_id,
        kind="form",
        delivery_key=f"submission:{delivery_id}",
        event_type="submission",
        media_type="application/json",
        body=orjson.dumps(body.model_dump(mode="json", exclude_none=True)),
        state="received",
        occurred_at=body.submitted_at,
        received_at=session.now,
    )
    emit(session, IntakeReceived(delivery_id=delivery_id))
    return {"id": delivery_id, "state": "received"}


def to_read(row: RowLike) -> dict[str, Any]:
    """A delivery as the API shows it; never its content."""
    names = (
        "id", "source_id", "kind", "delivery_key", "event_type", "state", "reason", "contact_id", "interaction_id",
        "occurred_at", "received_at", "handled_at",
    )  # fmt: skip
    return {name: row[name] for name in names}


async def get_delivery(session: ReadSession, delivery_id: UUID) -> Row:
    """One delivery, or 404."""
    return _there(await session.fetch_row(_GET, id=delivery_id))


async def lock_delivery(session: WriteSession, delivery_id: UUID) -> Row:
    """One delivery, locked for this transaction."""
    return _there(await session.fetch_row(_LOCK, id=delivery_id))


def _there(row: Row | None) -> Row:
    if row is None:
        raise NotFound("There is no such delivery.")
    return row


async def mark(
    session: WriteSession,
    delivery_id: UUID,
    state: str,
    *,
    reason: str | None = None,
    handle: str | None = None,
    reach: str | None = None,
    contact_id: UUID | None = None,
    interaction_id: UUID | None = None,
) -> None:
    """Note what became of a delivery."""
    now = session.now if state in {"handled", "ignored"} else None
    await session.execute(
        _MARK,
        id=delivery_id,
        state=state,
        reason=reason,
        handle=handle,
        reach=reach,
        contact_id=contact_id,
        interaction_id=interaction_id,
        now=now,
    )


async def newest_reach(session: ReadSession, row: RowLike, handle: str) -> str | None:
    """What was said of reaching this handle after this delivery: by the source's own clock, then by arrival."""
    if row["occurred_at"] is None:
        return None
    found: str | None = await session.fetch_val(_NEWEST_REACH, id=row["id"], handle=handle, at=row["occurred_at"])
    return found


async def add_leads(session: WriteSession, row: RowLike, leads: Sequence[Mapping[str, Any]]) -> int:
    """Keep leads that an event names, each once, and ask for their answers; how many are new."""
    wanted = [
        {
            "id": str(new_id()),
            "delivery_key": f"{LEADGEN}:{lead['leadgen_id']}",
            "body": orjson.dumps(lead).decode(),
            "occurred_at": _instant(lead["created_time"]),
        }
        for lead in leads
    ]
    added = await session.fetch(_ADD_LEADS, source_id=row["source_id"], leads=wanted, now=session.now)
    for one in added:
        emit(session, LeadNamed(delivery_id=one["id"]))
    return len(added)


def _instant(value: Any) -> str | None:
    found = moment(value)
    return None if found is None else found.isoformat()


async def put_answers(session: WriteSession, delivery_id: UUID, content: bytes) -> None:
    """Keep a lead's answers as they came, and have them handled."""
    await session.execute(_PUT_ANSWERS, id=delivery_id, body=content)
    emit(session, IntakeReceived(delivery_id=delivery_id))


async def replay(session: WriteSession, delivery_id: UUID) -> Row:
    """Handle a delivery again, by what the source says today. What is known already changes nothing: always safe."""
    row = await lock_delivery(session, delivery_id)
    if row["reason"] == ERASED:
        raise Conflict("The content of this delivery was erased with the contact.", code="erased")
    await mark(session, delivery_id, "received")
    named = row["event_type"] == LEADGEN
    emit(session, LeadNamed(delivery_id=delivery_id) if named else IntakeReceived(delivery_id=delivery_id))
    record(session, "intake_delivery.replayed", "intake_delivery", delivery_id)
    return await get_delivery(session, delivery_id)
