"""Verbs of consent: record what a person said, tell what holds now, keep the organization's choices."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import text

from crm_api.audit.service import record
from crm_api.contacts.consents.facts import ConsentRecorded
from crm_api.contacts.consents.models import consent_events
from crm_api.contacts.consents.policy import KEY, Policy, load, policy_of
from crm_api.contacts.consents.schemas import ConsentCreate, EvidenceRead, PrivacySettings
from crm_api.documents.service import get_document
from crm_api.kit.crypto import Vault
from crm_api.kit.db import ReadSession, RowLike, WriteSession, prepare
from crm_api.kit.ids import new_id
from crm_api.kit.problems import Invalid, Moved, NotFound
from crm_api.outbox.service import emit

_COLUMNS = tuple(str(column.name) for column in consent_events.c if column.name != "organization_id")
_WHOSE = prepare(
    text(
        """
        SELECT c.merged_into, c.erased_at, o.settings, EXISTS (SELECT 1 FROM consent_events e
            WHERE e.organization_id = c.organization_id AND e.contact_id = c.id
                AND e.purpose IS NOT DISTINCT FROM CAST(:purpose AS text)
                AND e.channel IS NOT DISTINCT FROM CAST(:channel AS text)
                AND e.list IS NOT DISTINCT FROM CAST(:list AS text) AND e.at > CAST(:at AS timestamptz)) AS superseded
        FROM contacts c JOIN organizations o ON o.id = c.organization_id
        WHERE c.organization_id = :organization_id AND c.id = :id FOR NO KEY UPDATE OF c
        """
    )
)
_SAVE = prepare(
    text(
        """
        UPDATE organizations
        SET settings = settings || jsonb_build_object(CAST(:key AS text), CAST(:value AS jsonb)),
            version = version + 1, updated_at = :now
        WHERE id = :organization_id
        """
    )
)
IS_CURRENT = """NOT EXISTS (SELECT 1 FROM consent_events n WHERE n.organization_id = consent_events.organization_id
    AND n.contact_id = consent_events.contact_id AND n.purpose IS NOT DISTINCT FROM consent_events.purpose
    AND n.channel IS NOT DISTINCT FROM consent_events.channel AND n.list IS NOT DISTINCT FROM consent_events.list
    AND (n.at, n.id) > (consent_events.at, consent_events.id))"""
"""Whether an event is the newest of its scope."""
_AHEAD = timedelta(minutes=5)


def to_read(row: RowLike) -> dict[str, Any]:
    """An event as the API shows it."""
    shown = {name: row[name] for name in (*_COLUMNS, "is_current")}
    return {**shown, "evidence": {name: row["evidence"].get(name) for name in EvidenceRead.model_fields}}


async def record_consent(
    session: WriteSession, contact_id: UUID, body: ConsentCreate, *, vault: Vault | None = None
) -> dict[str, Any]:
    """Keep what a person said; the event as the API shows it. Nothing of it can be changed afterwards."""
    at = body.at or session.now
    if at > session.now + _AHEAD:
        raise Invalid.at("/at", "in_the_future", "at lies in the future; send when the person said it.")
    found = await session.fetch_row(
        _WHOSE, id=contact_id, purpose=body.purpose, channel=body.channel, list=body.list, at=at
    )
    if found is None or found["erased_at"] is not None:
        raise NotFound("There is no such contact.")
    if found["merged_into"] is not None:
        raise Moved(contact_id, found["merged_into"])
    _check_words(policy_of(found["settings"]), body)
    if body.evidence.document_id is not None:
        await _check_document(session, body.evidence.document_id)
    evidence = body.evidence.model_dump(mode="json", exclude_none=True)
    if (address := evidence.pop("ip", None)) is not None:
        if vault is None:
            raise ValueError("an IP address can only be kept with a key to hash it")
        evidence["ip_hash"] = vault.sign(session.organization_id, "consent-ip", address.encode()).hex()
    event = {
        "id": new_id(),
        "contact_id": contact_id,
        **body.model_dump(exclude={"evidence", "at"}),
        "legal_basis": body.basis(),
        "evidence": evidence,
        "recorded_by_kind": session.actor.kind,
        "recorded_by": session.actor.id,
        "at": at,
        "recorded_at": session.now,
    }
    return keep(session, event, superseded=found["superseded"])


async def _check_document(session: WriteSession, document_id: UUID) -> None:
    try:
        await get_document(session, document_id)
    except NotFound:
        raise NotFound.reference("evidence/document_id") from None


def keep(session: WriteSession, event: dict[str, Any], *, superseded: bool = False) -> dict[str, Any]:
    """Write a whole event, with its trail."""
    session.later(consent_events, **event)
    record(session, f"consent.{event['status']}", "contact", event["contact_id"])
    emit(
        session,
        ConsentRecorded(contact_id=event["contact_id"], consent_event_id=event["id"], status=event["status"]),
    )
    return to_read({**event, "is_current": not superseded})


def _check_words(policy: Policy, body: ConsentCreate) -> None:
    if body.purpose is not None and body.purpose not in policy.purposes:
        known = ", ".join(sorted(policy.purposes))
        raise Invalid.at("/purpose", "unknown_purpose", f"Use one of {known}, or add it to the privacy settings.")
    if body.list is not None and policy.lists.get(body.list, {}).get("purpose") != body.purpose:
        detail = "There is no such list of this purpose; add it to the privacy settings (PUT /v1/privacy-settings)."
        raise Invalid.at("/list", "unknown_list", detail)


def withdrawal(
    contact_id: UUID, *, purpose: str | None, channel: str, list_: str | None, source: str, now: datetime
) -> dict[str, Any]:
    """The event of somebody who unsubscribes."""
    return {
        "id": new_id(),
        "contact_id": contact_id,
        "purpose": purpose,
        "channel": channel,
        "list": list_,
        "status": "withdrawn",
        "legal_basis": None,
        "wording": None,
        "wording_version": None,
        "language": None,
        "source": source,
        "evidence": {},
        "recorded_by_kind": "contact",
        "recorded_by": str(contact_id),
        "at": now,
        "recorded_at": now,
    }


def settings_to_read(policy: Policy) -> dict[str, Any]:
    """The organization's choices as the API shows them."""
    return {
        "purposes": [{"code": code, "legal_basis": basis} for code, basis in sorted(policy.purposes.items())],
        "lists": [{"code": code, **item} for code, item in sorted(policy.lists.items())],
        "retention_years": policy.retention_years,
    }


async def save_settings(session: WriteSession, body: PrivacySettings) -> dict[str, Any]:
    """Replace the organization's choices."""
    value = body.model_dump(mode="json")
    await session.execute(_SAVE, key=KEY, value=value, now=session.now)
    record(session, "organization.privacy_set", "organization", session.organization_id)
    return settings_to_read(policy_of({KEY: value}))


async def settings_of(session: ReadSession) -> dict[str, Any]:
    """The organization's choices."""
    return settings_to_read(await load(session))
