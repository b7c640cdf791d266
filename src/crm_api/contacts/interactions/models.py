"""Interactions: calls, meetings, messages, visits and notes, with everybody who took part.

An interaction's time stands in its participants' rows too: a contact's timeline is a range of their index.
"""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Index, text

from crm_api.kit.limits import RowLimit
from crm_api.kit.personal import anonymise, erase, nobody
from crm_api.kit.tables import document, instant, number, one_of, refers, string, tenant_table, uid

KINDS = ("call", "meeting", "email", "message", "visit", "note")
DIRECTIONS = ("inbound", "outbound", "none")
CHANNELS = (
    "phone", "email", "sms", "telegram", "viber", "whatsapp", "signal", "facebook", "instagram", "in_person", "video",
    "mail", "web", "other",
)  # fmt: skip
ROLES = ("participant", "organizer", "caller", "callee", "sender", "recipient", "about")
SENSITIVITIES = ("donor_sensitive", "beneficiary_sensitive")

_THEIRS = (
    "EXISTS (SELECT 1 FROM interaction_participants p WHERE p.organization_id = t.organization_id "
    "AND p.interaction_id = t.id AND p.contact_id = ANY(:ids))"
)
_OTHERS = (
    "EXISTS (SELECT 1 FROM interaction_participants o WHERE o.organization_id = t.organization_id "
    "AND o.interaction_id = t.id AND o.contact_id <> ALL(:ids))"
)

interactions = tenant_table(
    "interactions",
    string("kind"),
    string("direction", default="'none'"),
    string("channel", null=True),
    string("subject", null=True, tag="donor_sensitive"),
    string("body", null=True, tag="donor_sensitive"),
    string("outcome", null=True),
    instant("at"),
    number("duration_seconds", null=True),
    uid("campaign_id", null=True),
    string("external_system", null=True, binary=True),  # what another system calls it: delivered twice, it is one row
    string("external_id", null=True, binary=True),
    string("sensitivity", default="'donor_sensitive'"),  # of the whole row
    document("mentions", default="'[]'"),  # ids of members, as shown; who was told is in interaction_mentions
    string("actor_kind"),  # who recorded it
    string("actor_id"),
    number("version", default="1"),
    instant("created_at"),
    instant("updated_at"),
    one_of("kind", KINDS),
    one_of("direction", DIRECTIONS),
    one_of("channel", CHANNELS, null=True),
    one_of("sensitivity", SENSITIVITIES),
    CheckConstraint("duration_seconds >= 0", name="duration_seconds"),
    CheckConstraint("(external_system IS NULL) = (external_id IS NULL)", name="external"),
    refers("campaign_id", "campaigns"),
    Index("ix_interactions__at", "organization_id", "at", "id"),
    Index("ix_interactions__created", "organization_id", "created_at", "id"),
    Index(
        "ix_interactions__campaign",
        "organization_id",
        "campaign_id",
        postgresql_where=text("campaign_id IS NOT NULL"),
    ),
    Index(
        "uq_interactions__external",
        "organization_id",
        "external_system",
        "external_id",
        unique=True,
        postgresql_where=text("external_id IS NOT NULL"),
    ),
    limit=RowLimit(seen_through="interaction_participants"),
    personal=(
        erase(where=f"{_THEIRS} AND NOT {_OTHERS}"),
        anonymise(
            where=f"{_THEIRS} AND {_OTHERS}",
            columns={"subject": "NULL", "body": "NULL", "external_system": "NULL", "external_id": "NULL"},
            ground="another person took part: that it took place is their history too",
        ),
    ),
)

interaction_participants = tenant_table(
    "interaction_participants",
    uid("interaction_id"),
    uid("contact_id"),
    string("role", default="'participant'"),
    number("position"),  # among all who took part, members included
    instant("at"),  # the interaction's
    one_of("role", ROLES),
    refers("interaction_id", "interactions", on_delete="CASCADE"),
    refers("contact_id", "contacts"),
    Index(
        "ix_interaction_participants__timeline",
        "organization_id",
        "contact_id",
        "at",
        "interaction_id",
        postgresql_include=["role"],
    ),
    key=("interaction_id", "contact_id"),
    limit=RowLimit(past=("interaction_id",)),
    personal=erase("contact_id"),
)

interaction_members = tenant_table(
    "interaction_members",
    uid("interaction_id"),
    uid("member_id"),
    string("role", default="'participant'"),
    number("position"),
    one_of("role", ROLES),
    refers("interaction_id", "interactions", on_delete="CASCADE"),
    refers("member_id", "members"),
    Index("ix_interaction_members__member", "organization_id", "member_id", "interaction_id"),
    key=("interaction_id", "member_id"),
    limit=RowLimit(together=("interaction_id",)),
    personal=nobody("names members of staff only; the rows go with their interaction"),
)

interaction_mentions = tenant_table(
    "interaction_mentions",
    uid("interaction_id"),
    uid("member_id"),
    instant("mentioned_at"),
    refers("interaction_id", "interactions", on_delete="CASCADE"),
    refers("member_id", "members"),
    Index("ix_interaction_mentions__member", "organization_id", "member_id", "interaction_id"),
    key=("interaction_id", "member_id"),
    limit=RowLimit(together=("interaction_id",)),
    personal=nobody("names members of staff only; the rows go with their interaction"),
)
