"""Pledges in a contact's timeline: each when it was recorded."""

from __future__ import annotations

from crm_api.donations.pledges.models import pledges
from crm_api.kit.timeline import TimelineSource

TIMELINE = (
    TimelineSource(
        kind="pledge",
        scope="donations:read",
        resource="pledges",
        contact=pledges.c.contact_id,
        at=pledges.c.created_at,
        id=pledges.c.id,
        resource_id=pledges.c.id,
        facts={
            "status": pledges.c.status,
            "amount": pledges.c.amount,
            "currency": pledges.c.currency,
            "pledge_kind": pledges.c.kind,
            "pledged_on": pledges.c.pledged_on,
            "next_due_on": pledges.c.next_due_on,
        },
    ),
)
