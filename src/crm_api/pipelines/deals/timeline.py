"""Deals and their moves in a contact's timeline."""

from __future__ import annotations

from sqlalchemy import and_

from crm_api.kit.timeline import TimelineSource
from crm_api.pipelines.deals.models import deal_moves, deals

TIMELINE = (
    TimelineSource(
        kind="deal",
        scope="pipelines:read",
        resource="deals",
        contact=deals.c.contact_id,
        at=deals.c.created_at,
        id=deals.c.id,
        resource_id=deals.c.id,
        facts={
            "title": deals.c.title,
            "status": deals.c.status,
            "amount": deals.c.amount,
            "currency": deals.c.currency,
            "pipeline_id": deals.c.pipeline_id,
            "stage_id": deals.c.stage_id,
        },
    ),
    # A deal may change hands and a move is for good, so moves do not name the contact: they are found through the few
    # deals a contact has.
    TimelineSource(
        kind="deal_move",
        scope="pipelines:read",
        resource="deals",
        contact=deals.c.contact_id,
        at=deal_moves.c.moved_at,
        id=deal_moves.c.id,
        resource_id=deals.c.id,
        rows=deals.join(
            deal_moves,
            and_(deal_moves.c.organization_id == deals.c.organization_id, deal_moves.c.deal_id == deals.c.id),
        ),
        where=(deal_moves.c.from_stage_id.is_not(None),),  # the first one is the deal itself
        facts={
            "title": deals.c.title,
            "from_stage_id": deal_moves.c.from_stage_id,
            "to_stage_id": deal_moves.c.to_stage_id,
        },
    ),
)
