"""What interactions can be filtered and sorted by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import literal_column, select, union_all

from crm_api.contacts.interactions.models import (
    CHANNELS,
    DIRECTIONS,
    KINDS,
    SENSITIVITIES,
    interaction_members,
    interaction_mentions,
    interaction_participants,
    interactions,
)
from crm_api.kit.fields import Catalogue, Field, Operator


def _uuid(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise ValueError("must be a UUID") from None


@dataclass(frozen=True, slots=True)
class Party(Field):
    """Whom an interaction is found by: an id in one of the tables beside it."""

    def schema(self, operator: Operator) -> dict[str, Any]:
        """JSON schema of the query parameter."""
        one = {"type": "string", "format": "uuid"}
        return one if operator == "eq" else {"type": "array", "items": one, "minItems": 1, "maxItems": 100}


def _keys() -> Any:
    """Contacts, members and mentioned members as key rows: three tables that read as one, each by its own index."""
    people, staff, called = interaction_participants.c, interaction_members.c, interaction_mentions.c
    found = [
        select(
            table.organization_id,
            literal_column(f"'{kind}'").label("kind"),
            value.label("value"),
            table.interaction_id.label("interaction_id"),
        )
        for kind, table, value in (
            ("contact", people, people.contact_id),
            ("member", staff, staff.member_id),
            ("mention", called, called.member_id),
        )
    ]
    return union_all(*found).subquery("interaction_keys")


INTERACTIONS = Catalogue(
    resource="interactions",
    table=interactions,
    default_sort="-at",
    key_table=_keys(),
    key_owner="interaction_id",
    fields=(
        Field("id", "uuid", interactions.c.id, sortable=True),
        Party("contact_id", "key", key_kind="contact", normalize=_uuid, description="A contact who took part."),
        Party("member_id", "key", key_kind="member", normalize=_uuid, description="A member who took part."),
        Party("mentions", "key", key_kind="mention", normalize=_uuid, description="A member whom a note calls in."),
        Field("kind", "choice", interactions.c.kind, choices=KINDS),
        Field("direction", "choice", interactions.c.direction, choices=DIRECTIONS),
        Field("channel", "choice", interactions.c.channel, choices=CHANNELS),
        Field("outcome", "text", interactions.c.outcome),
        Field("campaign_id", "uuid", interactions.c.campaign_id),
        Field(
            "sensitivity",
            "choice",
            interactions.c.sensitivity,
            choices=SENSITIVITIES,
            description="`beneficiary_sensitive` needs the scope contacts:read_sensitive.",
        ),
        Field("at", "instant", interactions.c.at, sortable=True),
        Field("created_at", "instant", interactions.c.created_at, sortable=True),
    ),
)
