"""What payment connections can be filtered and sorted by."""

from __future__ import annotations

from crm_api.kit.fields import Catalogue, Field
from crm_api.payments.connections.models import payment_connections

CONNECTIONS = Catalogue(
    resource="payment-connections",
    table=payment_connections,
    default_sort="-id",
    fields=(
        Field("id", "uuid", payment_connections.c.id, sortable=True),
        Field("provider", "text", payment_connections.c.provider),
        Field("status", "choice", payment_connections.c.status, choices=("active", "disabled")),
        Field("created_at", "instant", payment_connections.c.created_at, sortable=True),
    ),
)
