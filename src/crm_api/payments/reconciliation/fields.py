"""What reconciliations and their differences can be filtered and sorted by."""

from __future__ import annotations

from crm_api.kit.fields import Catalogue, Field
from crm_api.payments.reconciliation.models import (
    KINDS,
    ORIGINS,
    STATES,
    payment_reconciliations,
    reconciliation_items,
)

RECONCILIATIONS = Catalogue(
    resource="reconciliations",
    table=payment_reconciliations,
    default_sort="-created_at",
    fields=(
        Field("id", "uuid", payment_reconciliations.c.id, sortable=True),
        Field("connection_id", "uuid", payment_reconciliations.c.connection_id),
        Field("origin", "choice", payment_reconciliations.c.origin, choices=ORIGINS),
        Field("state", "choice", payment_reconciliations.c.state, choices=STATES),
        Field("created_at", "instant", payment_reconciliations.c.created_at, sortable=True),
    ),
)
_OF = Field("reconciliation_id", "uuid", reconciliation_items.c.reconciliation_id, filterable=False)
ITEMS = Catalogue(
    resource="reconciliation-items",
    table=reconciliation_items,
    default_sort="id",
    fields=(
        Field("id", "uuid", reconciliation_items.c.id, sortable=True),
        Field("kind", "choice", reconciliation_items.c.kind, choices=KINDS),
        Field("donation_id", "uuid", reconciliation_items.c.gift_id),
        Field("recurring_plan_id", "uuid", reconciliation_items.c.plan_id),
        Field("provider_payment_id", "text", reconciliation_items.c.ref),
        Field("resolved", "boolean", reconciliation_items.c.resolved),
        _OF,
    ),
)
OF = _OF
"""Of which reconciliation; said by the address."""
