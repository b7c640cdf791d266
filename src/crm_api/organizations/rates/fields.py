"""What exchange rates can be filtered and sorted by."""

from __future__ import annotations

from crm_api.kit.fields import Catalogue, Field
from crm_api.organizations.models import exchange_rates

RATES = Catalogue(
    resource="exchange-rates",
    table=exchange_rates,
    default_sort="-rate_date",
    fields=(
        Field("id", "uuid", exchange_rates.c.id, sortable=True),
        Field("source_currency", "text", exchange_rates.c.source_currency),
        Field("target_currency", "text", exchange_rates.c.target_currency),
        Field("rate_date", "date", exchange_rates.c.rate_date, sortable=True),
    ),
)
