"""What closings can be filtered and sorted by."""

from __future__ import annotations

from crm_api.donations.ledger.models import ledger_periods
from crm_api.kit.fields import Catalogue, Field

PERIODS = Catalogue(
    resource="ledger-periods",
    table=ledger_periods,
    default_sort="-created_at",
    fields=(
        Field("id", "uuid", ledger_periods.c.id, sortable=True),
        Field("state", "choice", ledger_periods.c.state, choices=("closed", "reopened")),
        Field("through", "date", ledger_periods.c.through),
        Field("created_at", "instant", ledger_periods.c.created_at, sortable=True),
    ),
)
