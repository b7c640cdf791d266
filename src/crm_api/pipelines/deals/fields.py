"""What deals and their moves can be filtered and sorted by."""

from __future__ import annotations

from crm_api.kit.fields import Catalogue, Field
from crm_api.pipelines.deals.models import deal_moves, deals
from crm_api.pipelines.models import OUTCOMES

DEALS = Catalogue(
    resource="deals",
    table=deals,
    default_sort="-id",
    fields=(
        Field("id", "uuid", deals.c.id, sortable=True),
        Field("pipeline_id", "uuid", deals.c.pipeline_id),
        Field("stage_id", "uuid", deals.c.stage_id),
        Field("contact_id", "uuid", deals.c.contact_id),
        Field("owner_member_id", "uuid", deals.c.owner_member_id),
        Field("status", "choice", deals.c.status, choices=OUTCOMES),
        Field("expected_on", "date", deals.c.expected_on),
        Field("entered_stage_at", "instant", deals.c.entered_stage_at, sortable=True),
        Field("created_at", "instant", deals.c.created_at, sortable=True),
    ),
)

MOVES = Catalogue(
    resource="deal-moves",
    table=deal_moves,
    default_sort="-id",
    fields=(
        Field("id", "uuid", deal_moves.c.id, sortable=True),
        Field("deal_id", "uuid", deal_moves.c.deal_id, filterable=False),
    ),
)
