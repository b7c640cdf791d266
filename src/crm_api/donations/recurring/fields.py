"""What recurring plans can be filtered and sorted by."""

from __future__ import annotations

from crm_api.donations.recurring.models import STATUSES, recurring_plans
from crm_api.kit.fields import Catalogue, Field

PLANS = Catalogue(
    resource="recurring-plans",
    table=recurring_plans,
    default_sort="-id",
    fields=(
        Field("id", "uuid", recurring_plans.c.id, sortable=True),
        Field("contact_id", "uuid", recurring_plans.c.contact_id),
        Field("status", "choice", recurring_plans.c.status, choices=STATUSES),
        Field("provider_plan_id", "text", recurring_plans.c.provider_plan_id),
        Field("campaign_id", "uuid", recurring_plans.c.campaign_id),
        Field("created_at", "instant", recurring_plans.c.created_at, sortable=True),
    ),
)
