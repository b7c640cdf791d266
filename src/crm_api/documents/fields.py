"""What documents can be filtered and sorted by."""

from __future__ import annotations

from crm_api.documents.models import KINDS, SENSITIVITIES, documents
from crm_api.kit.fields import Catalogue, Field

DOCUMENTS = Catalogue(
    resource="documents",
    table=documents,
    default_sort="-id",
    fields=(
        Field("id", "uuid", documents.c.id, sortable=True),
        Field("contact_id", "uuid", documents.c.contact_id),
        Field("owner_member_id", "uuid", documents.c.owner_member_id),
        Field("kind", "choice", documents.c.kind, choices=KINDS),
        Field("sensitivity", "choice", documents.c.sensitivity, choices=SENSITIVITIES),
        Field(
            "expires_on",
            "date",
            documents.c.expires_sort,
            sortable=True,
            description="The day after which it is not valid; as a sort, documents without one come last.",
        ),
        Field("created_at", "instant", documents.c.created_at, sortable=True),
    ),
)
