"""What audit events can be filtered and sorted by."""

from __future__ import annotations

from crm_api.audit.models import audit_events, audit_seals
from crm_api.kit.fields import Catalogue, Field

AUDIT_EVENTS = Catalogue(
    resource="audit-events",
    table=audit_events,
    default_sort="-id",
    fields=(
        Field("id", "uuid", audit_events.c.id, sortable=True),
        Field("resource", "text", audit_events.c.resource, description="Kind of thing, such as contact."),
        Field("resource_id", "text", audit_events.c.resource_id, description="The thing's id."),
        Field("actor_kind", "choice", audit_events.c.actor_kind, choices=("api_key", "member", "system")),
        Field("actor_id", "text", audit_events.c.actor_id, description="Id of the key or member that acted."),
        Field("action", "text", audit_events.c.action, description="What was done, such as contact.updated."),
        Field("at", "instant", audit_events.c.at, sortable=True),
    ),
)

AUDIT_SEALS = Catalogue(
    resource="audit-seals",
    table=audit_seals,
    default_sort="-id",
    fields=(Field("id", "uuid", audit_seals.c.id, sortable=True),),
)
