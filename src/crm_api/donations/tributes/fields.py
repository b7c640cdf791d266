"""What notices of tributes can be filtered and sorted by."""

from __future__ import annotations

from crm_api.donations.tributes.models import NOTICE_STATUSES, tribute_notices
from crm_api.kit.fields import Catalogue, Field

TRIBUTE_NOTICES = Catalogue(
    resource="tribute-notices",
    table=tribute_notices,
    default_sort="-id",
    fields=(
        Field("id", "uuid", tribute_notices.c.id, sortable=True),
        Field("tribute_id", "uuid", tribute_notices.c.tribute_id),
        Field("contact_id", "uuid", tribute_notices.c.contact_id),
        Field("status", "choice", tribute_notices.c.status, choices=NOTICE_STATUSES),
    ),
)
