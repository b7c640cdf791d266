"""Documents in a contact's timeline."""

from __future__ import annotations

from crm_api.documents.models import documents
from crm_api.kit.timeline import TimelineSource

TIMELINE = (
    TimelineSource(
        kind="document",
        scope="documents:read",
        resource="documents",
        contact=documents.c.contact_id,
        at=documents.c.created_at,
        id=documents.c.id,
        resource_id=documents.c.id,
        facts={
            "title": documents.c.title,
            "kind": documents.c.kind,
            "filename": documents.c.filename,
            "media_type": documents.c.media_type,
            "expires_on": documents.c.expires_on,
        },
        open_rows=documents.c.sensitivity != "beneficiary_sensitive",
    ),
)
