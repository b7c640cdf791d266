"""What a delivery does: who it was, what took place, what they agreed to. All of it in one transaction."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from sqlalchemy import text

from crm_api.contacts import newcomers
from crm_api.contacts.consents.schemas import ConsentCreate, EvidenceInput
from crm_api.contacts.consents.service import record_consent
from crm_api.contacts.interactions.recording import NewInteraction, Participant, record_interaction
from crm_api.contacts.newcomers import Newcomer
from crm_api.contacts.payers import find_customer
from crm_api.intake.deliveries import service as deliveries
from crm_api.intake.kinds import KINDS
from crm_api.intake.kinds.kind import Body, Reading, Settings, Touch
from crm_api.intake.people import newcomer_of
from crm_api.intake.sources.start import PAYLOAD_LENGTH, read_start
from crm_api.kit.crypto import Vault
from crm_api.kit.db import RowLike, WriteSession, prepare

_URL = re.compile(r"https?://[^\s\x00-\x1f]{1,490}")
_CONSENTED = prepare(
    text(
        "SELECT EXISTS (SELECT 1 FROM consent_events WHERE organization_id = :organization_id "
        "AND contact_id = :contact_id AND source = :source)"
    )
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of a delivery."""

    state: str
    reason: str | None = None
    contact_id: UUID | None = None
    interaction_id: UUID | None = None
    handle: str | None = None
    reach: str | None = None


def read(row: RowLike, source: RowLike) -> Reading:
    """The delivery in our words, by what the source says today."""
    body = Body(row["body"], row["media_type"], row["delivery_key"], row["event_type"], row["received_at"])
    defaults = source["defaults"]
    settings = Settings(str(source["id"]), source["name"], source["mapping"], defaults.get("country"))
    return KINDS[row["kind"]].interpret(body, settings)


async def apply(session: WriteSession, vault: Vault, row: RowLike, source: RowLike) -> Outcome:
    """Do what a delivery (locked) says. Doing it again changes nothing that is there."""
    reading = read(row, source)
    if reading.leads:
        added = await deliveries.add_leads(session, row, reading.leads)
        return Outcome(state="handled", reason=None if added else "leads_known")
    if reading.ignored is not None or reading.person is None:
        return Outcome(state="ignored", reason=reading.ignored or "nothing_to_do")
    contact_id, origin, note = await _started(session, vault, row, source, reading)
    person = newcomer_of(reading.person, source["defaults"], origin, KINDS[row["kind"]].channel)
    if not person.keys and not (person.has_name and reading.touch and reading.touch.kind == "message"):
        return Outcome(state="unmatched", reason=_why_nobody(reading, source))
    await newcomers.lock(session, person)
    handle = ":".join(person.handle) if person.handle and reading.reach else None
    reach = (await deliveries.newest_reach(session, row, handle) or reading.reach) if handle else None
    if reading.reach == "opted_out" and reading.touch is None:
        return await _left(session, person, handle, reading.reach, reach)
    if contact_id is None and row["contact_id"] is not None:  # handled before: it is who it was then
        contact_id = row["contact_id"]
        found = await newcomers.find(session, person)
        person = replace(person, external_id=None, handle=None) if found not in (None, contact_id) else person
    contact_id, _ = await newcomers.welcome(session, person, contact_id=contact_id, reach=reach)
    interaction_id = await _touch(session, row, source, reading.touch, contact_id) if reading.touch else None
    await _consent(session, row, source, reading, contact_id)
    return Outcome(
        state="handled",
        reason=note,
        contact_id=contact_id,
        interaction_id=interaction_id,
        handle=handle,
        reach=reading.reach if handle else None,
    )


def _why_nobody(reading: Reading, source: RowLike) -> str:
    person = reading.person
    if person is not None and person.phone and not source["defaults"].get("country"):
        return "phone_without_country: set defaults.country of the source, then replay"
    if person is not None and person.phone:
        return "phone_not_usable: the number is none that can be called"
    return "names_nobody: no phone, e-mail, name or id; see the source's mapping"


async def _started(
    session: WriteSession, vault: Vault, row: RowLike, source: RowLike, reading: Reading
) -> tuple[UUID | None, dict[str, str], str | None]:
    """Whom a deep link names, and where else it says somebody comes from."""
    origin = dict(reading.origin)
    payload = reading.start
    if payload is None:
        return None, origin, None
    at = row["received_at"]
    named = read_start(vault, session.organization_id, source["id"], payload, at)
    if named is not None:
        return named, origin, None
    if source["start_system"]:
        known = await find_customer(session, source["start_system"], payload)
        if known is not None:
            return known, origin, None
    if len(payload) == PAYLOAD_LENGTH or source["start_system"]:
        return None, origin, "start_link_unknown: not one of this source, or its time is over"
    return None, {"utm_campaign": payload, **origin}, None


async def _left(session: WriteSession, person: Newcomer, handle: str | None, said: str, reach: str | None) -> Outcome:
    """Somebody does not want to hear of us there any more, or did at that time."""
    contact_id = await newcomers.find(session, person)
    if contact_id is not None and person.handle is not None and reach is not None:
        await newcomers.set_reach(session, contact_id, person.handle, reach)
    reason = "handle_unknown" if contact_id is None else None
    state = "ignored" if contact_id is None else "handled"
    return Outcome(state=state, reason=reason, contact_id=contact_id, handle=handle, reach=said)


async def _touch(session: WriteSession, row: RowLike, source: RowLike, touch: Touch, contact_id: UUID) -> UUID:
    roles = {("call", "inbound"): "caller", ("call", "outbound"): "callee"}
    recorded = await record_interaction(
        session,
        NewInteraction(
            kind=touch.kind,
            participants=[Participant(contact_id=contact_id, role=roles.get((touch.kind, touch.direction), "sender"))],
            direction=touch.direction,
            channel=touch.channel,
            subject=touch.subject,
            body=touch.body,
            outcome=touch.outcome,
            at=touch.at or row["received_at"],
            duration_seconds=touch.duration_seconds,
            campaign_id=source["campaign_id"],
            external=(row["kind"], touch.external_id[:200]),
            sensitivity=source["defaults"].get("sensitivity", "donor_sensitive"),
        ),
    )
    return recorded.interaction_id


async def _consent(session: WriteSession, row: RowLike, source: RowLike, reading: Reading, contact_id: UUID) -> None:
    """The consent that the form asks for, where the answer was yes; once for each delivery."""
    asked: dict[str, Any] | None = source["defaults"].get("consent")
    if asked is None or reading.consent is None:
        return
    said_in = f"{row['kind']}:{row['delivery_key']}"[:100]
    if await session.fetch_val(_CONSENTED, contact_id=contact_id, source=said_in):
        return
    page = reading.page_url if reading.page_url and _URL.fullmatch(reading.page_url) else None
    said_at = (reading.touch.at if reading.touch else None) or row["received_at"]
    body = ConsentCreate(
        **asked,
        status="granted",
        source=said_in,
        evidence=EvidenceInput(form_url=page, note=f"{source['name']}: {reading.consent}"[:500]),
        at=min(said_at, session.now),
    )
    await record_consent(session, contact_id, body)
