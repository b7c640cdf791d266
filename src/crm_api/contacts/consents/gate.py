"""The gate that everything asks before it contacts a person: one statement reads the contact and all it said."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text

from crm_api.contacts.consents.policy import Policy, policy_of
from crm_api.contacts.consents.rules import Verdict, can_contact, event_of, person_of
from crm_api.kit.db import ReadSession, prepare
from crm_api.kit.problems import Moved, NotFound

FACTS = """c.emails, c.phones, c.addresses, c.handles, c.do_not_contact, c.deceased, c.erased_at,
    o.settings AS organization_settings,
    (SELECT coalesce(jsonb_agg(jsonb_build_object('id', e.id, 'purpose', e.purpose, 'channel', e.channel,
            'list', e.list, 'status', e.status, 'legal_basis', e.legal_basis, 'at', e.at)), '[]')
        FROM consent_events e WHERE e.organization_id = c.organization_id AND e.contact_id = c.id) AS consent_events"""
"""Columns of a statement over ``contacts c`` and ``organizations o`` that `verdict` reads."""

_ONE = prepare(
    text(
        f"SELECT c.id, c.merged_into, {FACTS} FROM contacts c JOIN organizations o ON o.id = c.organization_id "
        "WHERE c.organization_id = :organization_id AND c.id = :id"
    )
)


def verdict(
    row: Mapping[str, Any] | Any, channel: str, purpose: str, now: datetime, *, list_: str | None = None
) -> Verdict:
    """May the contact of a row with `FACTS` be contacted?"""
    policy = policy_of(row["organization_settings"])
    return can_contact(
        person_of(row),
        [event_of(item) for item in row["consent_events"]],
        channel,
        purpose,
        now,
        list_=list_,
        default_basis=policy.purposes.get(purpose),
    )


async def ask(
    session: ReadSession, contact_id: UUID, channel: str, purpose: str, *, list_: str | None = None
) -> tuple[Verdict, Policy]:
    """The verdict on one contact, with the policy it rests on; 404 for none, `Moved` for a merged one."""
    row = await session.fetch_row(_ONE, id=contact_id)
    if row is None:
        raise NotFound("There is no such contact.")
    if row["merged_into"] is not None:
        raise Moved(contact_id, row["merged_into"])
    return verdict(row, channel, purpose, session.now, list_=list_), policy_of(row["organization_settings"])
