"""What exports can be filtered and sorted by."""

from __future__ import annotations

from crm_api.kit.fields import Catalogue, Field
from crm_api.transfers.exports.models import STATES, exports

EXPORTS = Catalogue(
    resource="exports",
    table=exports,
    default_sort="-id",
    fields=(
        Field("id", "uuid", exports.c.id, sortable=True),
        Field("state", "choice", exports.c.state, choices=STATES),
        Field("resource", "text", exports.c.resource),
        Field("created_at", "instant", exports.c.created_at, sortable=True),
    ),
)
