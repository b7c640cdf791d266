"""What gifts can be filtered and sorted by."""

from __future__ import annotations

from crm_api.campaigns.appeals.models import CHANNELS
from crm_api.donations.gifts.models import METHODS, STATUSES, gifts
from crm_api.kit.fields import Catalogue, Field

GIFTS = Catalogue(
    resource="donations",
    table=gifts,
    default_sort="-received_at",
    hidden=gifts.c.superseded_by,
    expands=("contact", "fund", "campaign", "allocations", "soft_credits"),
    fields=(
        Field("id", "uuid", gifts.c.id, sortable=True),
        Field("contact_id", "uuid", gifts.c.contact_id),
        Field("status", "choice", gifts.c.status, choices=STATUSES),
        Field("method", "choice", gifts.c.method, choices=METHODS),
        Field("amount", "integer", gifts.c.amount, description="In minor units of the gift's currency."),
        Field("currency", "text", gifts.c.currency),
        Field("fund_id", "uuid", gifts.c.fund_id),
        Field("campaign_id", "uuid", gifts.c.campaign_id),
        Field("appeal_id", "uuid", gifts.c.appeal_id),
        Field("source_code", "text", gifts.c.source_code),
        Field("channel", "choice", gifts.c.channel, choices=CHANNELS),
        Field("batch_id", "uuid", gifts.c.batch_id),
        Field("is_split", "boolean", gifts.c.is_split),
        Field("plan_id", "uuid", gifts.c.plan_id),
        Field("provider", "text", gifts.c.provider),
        Field("provider_payment_id", "text", gifts.c.provider_payment_id),
        Field("gift_date", "date", gifts.c.gift_date),
        Field("received_at", "instant", gifts.c.received_at, sortable=True),
        Field("created_at", "instant", gifts.c.created_at, sortable=True),
    ),
)
