"""What relationships and their types can be filtered and sorted by."""

from __future__ import annotations

from crm_api.contacts.relationships.models import KINDS, STATUSES, relationship_types, relationships
from crm_api.kit.fields import Catalogue, Field

RELATIONSHIP_TYPES = Catalogue(
    resource="relationship-types",
    table=relationship_types,
    default_sort="position",
    fields=(
        Field("id", "uuid", relationship_types.c.id, sortable=True),
        Field("code", "text", relationship_types.c.code),
        Field("kind", "choice", relationship_types.c.kind, choices=KINDS),
        Field("status", "choice", relationship_types.c.status, choices=STATUSES),
        Field("position", "integer", relationship_types.c.position, sortable=True),
    ),
)

RELATIONSHIPS = Catalogue(
    resource="relationships",
    table=relationships,
    default_sort="-id",
    fields=(
        Field("id", "uuid", relationships.c.id, sortable=True),
        Field(
            "contact_id",
            "uuid",
            sources=(
                (relationships.c.id, relationships.c.from_contact_id),
                (relationships.c.id, relationships.c.to_contact_id),
            ),
            description="Relationships of this contact, whichever side it stands on.",
        ),
        Field("from_contact_id", "uuid", relationships.c.from_contact_id),
        Field("to_contact_id", "uuid", relationships.c.to_contact_id),
        Field("type_id", "uuid", relationships.c.type_id),
        Field("kind", "choice", relationships.c.kind, choices=KINDS),
        Field("is_primary", "boolean", relationships.c.is_primary),
        Field("until", "date", relationships.c.until, description="The last day; a lasting relationship has none."),
        Field("created_at", "instant", relationships.c.created_at, sortable=True),
    ),
)
