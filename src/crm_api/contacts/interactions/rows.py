"""SQL of interactions."""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, bindparam, literal_column, select, text

from crm_api.contacts.interactions.models import interactions
from crm_api.kit.db import prepare

_ORG: Any = bindparam("organization_id")
PARTICIPANTS: Any = literal_column(
    "(SELECT coalesce(jsonb_agg(jsonb_build_object('contact_id', a.contact_id, 'member_id', a.member_id, "
    "'role', a.role) ORDER BY a.position), '[]'::jsonb) FROM ("
    "SELECT p.contact_id, NULL::uuid AS member_id, p.role, p.position FROM interaction_participants p "
    "WHERE p.organization_id = interactions.organization_id AND p.interaction_id = interactions.id UNION ALL "
    "SELECT NULL, m.member_id, m.role, m.position FROM interaction_members m "
    "WHERE m.organization_id = interactions.organization_id AND m.interaction_id = interactions.id) a)",
    type_=JSON(),
).label("participants")
COLUMNS: tuple[Any, ...] = (*interactions.c, PARTICIPANTS)
_BY_ID = select(*COLUMNS).where(interactions.c.organization_id == _ORG, interactions.c.id == bindparam("id"))
GET = prepare(_BY_ID)
LOCK = prepare(_BY_ID.with_for_update(key_share=True, of=interactions))

# A retired contact's touches are its survivor's. The lock makes a merge of these contacts wait, or this wait for it.
SURVIVORS = prepare(
    text(
        "SELECT id, coalesce(merged_into, id) AS survivor FROM contacts "
        "WHERE organization_id = :organization_id AND id = ANY(CAST(:ids AS uuid[])) ORDER BY id FOR KEY SHARE"
    )
)
MEMBERS = prepare(
    text("SELECT id FROM members WHERE organization_id = :organization_id AND id = ANY(CAST(:ids AS uuid[]))")
)

# One statement for one interaction or thousands: what another system has named already is left out, and so are its
# participants and mentions.
RECORD = prepare(
    text(
        """
        WITH made AS (
            INSERT INTO interactions (organization_id, id, kind, direction, channel, subject, body, outcome, at,
                duration_seconds, campaign_id, external_system, external_id, sensitivity, mentions, actor_kind,
                actor_id, version, created_at, updated_at)
            SELECT :organization_id, r.id, r.kind, r.direction, r.channel, r.subject, r.body, r.outcome, r.at,
                r.duration_seconds, r.campaign_id, r.external_system, r.external_id, r.sensitivity, r.mentions,
                r.actor_kind, r.actor_id, r.version, r.created_at, r.updated_at
            FROM jsonb_to_recordset(CAST(CAST(:interactions AS text) AS jsonb)) AS r(id uuid, kind text, direction text,
                channel text, subject text, body text, outcome text, at timestamptz, duration_seconds integer,
                campaign_id uuid, external_system text, external_id text, sensitivity text, mentions jsonb,
                actor_kind text, actor_id text, version integer, created_at timestamptz, updated_at timestamptz)
            ON CONFLICT (organization_id, external_system, external_id) WHERE external_id IS NOT NULL DO NOTHING
            RETURNING id, at
        ), took_part AS (
            INSERT INTO interaction_participants (organization_id, interaction_id, contact_id, role, position, at)
            SELECT :organization_id, r.interaction_id, r.contact_id, r.role, r.position, made.at
            FROM jsonb_to_recordset(CAST(CAST(:participants AS text) AS jsonb)) AS r(interaction_id uuid,
                contact_id uuid, role text, position integer)
            JOIN made ON made.id = r.interaction_id WHERE r.contact_id IS NOT NULL
        ), attended AS (
            INSERT INTO interaction_members (organization_id, interaction_id, member_id, role, position)
            SELECT :organization_id, r.interaction_id, r.member_id, r.role, r.position
            FROM jsonb_to_recordset(CAST(CAST(:participants AS text) AS jsonb)) AS r(interaction_id uuid,
                member_id uuid, role text, position integer)
            JOIN made ON made.id = r.interaction_id WHERE r.member_id IS NOT NULL
        ), called AS (
            INSERT INTO interaction_mentions (organization_id, interaction_id, member_id, mentioned_at)
            SELECT :organization_id, r.interaction_id, r.member_id, :now
            FROM jsonb_to_recordset(CAST(CAST(:mentions AS text) AS jsonb)) AS r(interaction_id uuid, member_id uuid)
            JOIN made ON made.id = r.interaction_id
        )
        SELECT id FROM made
        """
    )
)
KNOWN = prepare(
    text(
        "SELECT i.id, i.external_system, i.external_id FROM "
        "jsonb_to_recordset(CAST(CAST(:refs AS text) AS jsonb)) AS r(system text, id text) JOIN interactions i "
        "ON i.organization_id = :organization_id AND i.external_system = r.system AND i.external_id = r.id"
    )
)
MENTION = prepare(
    text(
        "INSERT INTO interaction_mentions (organization_id, interaction_id, member_id, mentioned_at) "
        "SELECT :organization_id, :interaction_id, CAST(r.id AS uuid), :now "
        "FROM jsonb_array_elements_text(CAST(CAST(:members AS text) AS jsonb)) AS r(id) "
        "ON CONFLICT DO NOTHING RETURNING member_id"
    )
)
FORGET_PARTICIPANTS = prepare(
    text(
        "WITH members AS (DELETE FROM interaction_members WHERE organization_id = :organization_id "
        "AND interaction_id = :interaction_id) "
        "DELETE FROM interaction_participants WHERE organization_id = :organization_id "
        "AND interaction_id = :interaction_id"
    )
)
MOVE_PARTICIPANTS = prepare(
    text(
        "UPDATE interaction_participants SET at = :at WHERE organization_id = :organization_id "
        "AND interaction_id = :interaction_id"
    )
)
REMOVE = prepare(text("DELETE FROM interactions WHERE organization_id = :organization_id AND id = :id"))
