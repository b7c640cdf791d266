"""SQL of contacts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, Text, bindparam, func, select, text

from crm_api.contacts.keys import fold_email
from crm_api.contacts.keys import key_rows as key_rows
from crm_api.contacts.models import contact_external_ids, contact_keys, contacts
from crm_api.contacts.words import learn_words
from crm_api.kit import clock
from crm_api.kit.db import ReadSession, Row, WriteSession, prepare

_ORG: Any = bindparam("organization_id")
GET = prepare(select(contacts).where(contacts.c.organization_id == _ORG, contacts.c.id == bindparam("id")))
_LOCK = prepare(
    select(contacts)
    .where(contacts.c.organization_id == _ORG, contacts.c.id == bindparam("id"))
    .with_for_update(key_share=True)
)
TO_NAME = prepare(
    text(
        "SELECT coalesce(merged_into, id) AS survivor, erased_at FROM contacts "
        "WHERE organization_id = :organization_id AND id = :id FOR KEY SHARE"
    )
)
"""A merge of the contact waits until the row that is to name it is there, or this waits for the merge."""
_BY_EXTERNAL_ID = prepare(
    select(contacts)
    .join(
        contact_external_ids,
        (contact_external_ids.c.organization_id == contacts.c.organization_id)
        & (contact_external_ids.c.contact_id == contacts.c.id),
    )
    .where(
        contacts.c.organization_id == _ORG,
        contact_external_ids.c.organization_id == _ORG,
        contact_external_ids.c.system == bindparam("system"),
        contact_external_ids.c.external_id == bindparam("external_id"),
    )
)
_BY_EMAILS = prepare(
    select(contacts)
    .join(
        contact_keys,
        (contact_keys.c.organization_id == contacts.c.organization_id) & (contact_keys.c.contact_id == contacts.c.id),
    )
    .where(
        contacts.c.organization_id == _ORG,
        contact_keys.c.organization_id == _ORG,
        contact_keys.c.kind == "email",
        contact_keys.c.value == func.any(bindparam("addresses", type_=ARRAY(Text))),
    )
    .order_by(contacts.c.id)
    .limit(20)
)
_DROP_KEYS = prepare(
    text(
        "DELETE FROM contact_keys WHERE organization_id = :organization_id AND contact_id = :contact_id "
        "AND NOT (kind >= 'custom:' AND kind < 'custom;')"  # those are written with the values of custom fields
    )
)
_DROP_EXTERNAL_IDS = prepare(
    text(
        "DELETE FROM contact_external_ids WHERE organization_id = :organization_id AND contact_id = :contact_id "
        "AND NOT EXISTS (SELECT 1 FROM jsonb_to_recordset(:kept) AS r(system text, id text) "
        "WHERE r.system = contact_external_ids.system AND r.id = contact_external_ids.external_id)"
    )
)
_ADD_ROLE = prepare(
    text(
        """
        WITH meant AS (
            SELECT coalesce(merged_into, id) AS id FROM contacts
            WHERE organization_id = :organization_id AND id = ANY(CAST(:ids AS uuid[]))
        ), held AS MATERIALIZED (
            SELECT id FROM contacts
            WHERE organization_id = :organization_id AND id IN (SELECT id FROM meant) AND erased_at IS NULL
                AND NOT roles @> to_jsonb(CAST(:role AS text))
            ORDER BY id FOR NO KEY UPDATE
        ), changed AS (
            UPDATE contacts SET roles = roles || to_jsonb(CAST(:role AS text)),
                role_details = role_details || jsonb_build_object(
                    'role', CAST(:role AS text), 'stage', 'active', 'since', CAST(:today AS text), 'until', NULL),
                version = version + 1, updated_at = :now
            WHERE organization_id = :organization_id AND id IN (SELECT id FROM held)
                AND NOT roles @> to_jsonb(CAST(:role AS text))
            RETURNING id
        )
        INSERT INTO contact_keys (organization_id, kind, value, contact_id)
        SELECT :organization_id, 'role', :role, id FROM changed ON CONFLICT DO NOTHING
        """
    )
)
_LOCK_NAME = prepare(text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))"))


def add(session: WriteSession, contact: Mapping[str, Any]) -> None:
    """Insert a whole contact with its keys, at the end of the transaction."""
    session.later(contacts, **contact)
    add_keys(session, contact)
    add_external_ids(session, contact, contact["external_ids"])


def add_keys(session: WriteSession, contact: Mapping[str, Any]) -> None:
    """Insert the key rows of a contact."""
    keys = key_rows(contact)
    owner = contact["id"]
    session.later_rows(contact_keys, [{"kind": kind, "value": value, "contact_id": owner} for kind, value in keys])
    learn_words(session, keys)


def add_external_ids(session: WriteSession, contact: Mapping[str, Any], items: Sequence[Mapping[str, str]]) -> None:
    """Insert rows for external ids that the contact does not have yet."""
    for item in items:
        session.later(
            contact_external_ids,
            system=item["system"],
            external_id=item["id"],
            contact_id=contact["id"],
            created_at=contact["updated_at"],
        )


async def lock(session: WriteSession, contact_id: UUID) -> Row | None:
    """The contact, locked for this transaction."""
    return await session.fetch_row(_LOCK, id=contact_id)


async def replace_keys(session: WriteSession, contact: Mapping[str, Any]) -> None:
    """Write the key rows anew, those included that an earlier change in this transaction has yet to write."""
    await session.flush()
    await session.execute(_DROP_KEYS, contact_id=contact["id"])
    add_keys(session, contact)


async def drop_external_ids(session: WriteSession, contact_id: UUID, kept: list[dict[str, str]]) -> None:
    """Remove external ids that are not in `kept`."""
    await session.execute(_DROP_EXTERNAL_IDS, contact_id=contact_id, kept=kept)


async def add_role(session: WriteSession, contact_ids: Sequence[UUID], role: str) -> int:
    """Give many contacts a role, with its keys, in one statement; how many did not have it."""
    today = clock.local_date(session.now, session.tenant.timezone).isoformat()
    return await session.execute(_ADD_ROLE, ids=list(contact_ids), role=role, now=session.now, today=today)


async def by_external_id(session: ReadSession, system: str, external_id: str) -> Row | None:
    """The contact with an id in another system."""
    return await session.fetch_row(_BY_EXTERNAL_ID, system=system, external_id=external_id)


async def by_emails(session: ReadSession, addresses: Sequence[str]) -> list[Row]:
    """Contacts with any of the addresses, oldest first."""
    return await session.fetch(_BY_EMAILS, addresses=[fold_email(address) for address in addresses])


async def lock_identity(session: WriteSession, name: str) -> None:
    """Serialize work on one outside identity (an e-mail, an external id) within the organization."""
    await session.fetch(_LOCK_NAME, name=f"{session.organization_id}:{name}")
