"""Recurring plans in a contact's timeline: each at the newest change of its status."""

from __future__ import annotations

from crm_api.donations.recurring.models import recurring_plans as plans
from crm_api.kit.timeline import TimelineSource

TIMELINE = (
    TimelineSource(
        kind="recurring_plan",
        scope="donations:read",
        resource="recurring-plans",
        contact=plans.c.contact_id,
        at=plans.c.status_at,
        id=plans.c.id,
        resource_id=plans.c.id,
        facts={
            "status": plans.c.status,
            "amount": plans.c.amount,
            "currency": plans.c.currency,
            "frequency_unit": plans.c.frequency_unit,
            "frequency_interval": plans.c.frequency_interval,
            "started_at": plans.c.started_at,
            "ended_at": plans.c.ended_at,
        },
    ),
)
