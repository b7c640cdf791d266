"""What custom fields can be filtered and sorted by."""

from __future__ import annotations

from crm_api.contacts.custom_fields.models import RESOURCES, STATUSES, TYPES, custom_fields
from crm_api.kit.fields import Catalogue, Field

CUSTOM_FIELDS = Catalogue(
    resource="custom-fields",
    table=custom_fields,
    default_sort="position",
    fields=(
        Field("id", "uuid", custom_fields.c.id, sortable=True),
        Field("resource", "choice", custom_fields.c.resource, choices=RESOURCES),
        Field("key", "text", custom_fields.c.key, description="The field's key, as defined."),
        Field("type", "choice", custom_fields.c.type, choices=TYPES),
        Field("status", "choice", custom_fields.c.status, choices=STATUSES),
        Field("filterable", "boolean", custom_fields.c.filterable),
        Field("position", "integer", custom_fields.c.position, sortable=True),
        Field("created_at", "instant", custom_fields.c.created_at, sortable=True),
    ),
)
