"""Gifts in a contact's timeline."""

from __future__ import annotations

from crm_api.donations.gifts.models import gifts
from crm_api.kit.timeline import TimelineSource

TIMELINE = (
    TimelineSource(
        kind="gift",
        scope="donations:read",
        resource="donations",
        contact=gifts.c.contact_id,
        at=gifts.c.received_at,
        id=gifts.c.id,
        resource_id=gifts.c.id,
        where=(gifts.c.superseded_by.is_(None),),
        facts={
            "status": gifts.c.status,
            "amount": gifts.c.amount,
            "currency": gifts.c.currency,
            "method": gifts.c.method,
            "fund_id": gifts.c.fund_id,
            "campaign_id": gifts.c.campaign_id,
            "recurring_plan_id": gifts.c.plan_id,
        },
    ),
)
