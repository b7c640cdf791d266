"""What recurring plans and their periods can be filtered and sorted by."""

from __future__ import annotations

from crm_api.donations.recurring.models import METHODS, PERIOD_STATES, STATUSES, recurring_periods, recurring_plans
from crm_api.kit.fields import Catalogue, Field

PLANS = Catalogue(
    resource="recurring-plans",
    table=recurring_plans,
    default_sort="-id",
    fields=(
        Field("id", "uuid", recurring_plans.c.id, sortable=True),
        Field("contact_id", "uuid", recurring_plans.c.contact_id),
        Field("status", "choice", recurring_plans.c.status, choices=STATUSES),
        Field("method", "choice", recurring_plans.c.method, choices=METHODS),
        Field("provider_plan_id", "text", recurring_plans.c.provider_plan_id),
        Field("campaign_id", "uuid", recurring_plans.c.campaign_id),
        Field("fund_id", "uuid", recurring_plans.c.fund_id),
        Field("next_date", "date", recurring_plans.c.next_date),
        Field("created_at", "instant", recurring_plans.c.created_at, sortable=True),
    ),
)
PERIODS = Catalogue(
    resource="recurring-periods",
    table=recurring_periods,
    default_sort="-due_on",
    fields=(
        Field("id", "uuid", recurring_periods.c.id, sortable=True),
        Field("plan_id", "uuid", recurring_periods.c.plan_id),
        Field("state", "choice", recurring_periods.c.state, choices=PERIOD_STATES),
        Field("donation_id", "uuid", recurring_periods.c.gift_id),
        Field("due_on", "date", recurring_periods.c.due_on, sortable=True),
    ),
)
