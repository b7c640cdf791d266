"""What rules can ask about deals."""

from __future__ import annotations

from crm_api.kit.predicates.catalogue import Attribute, Source
from crm_api.pipelines.models import OUTCOMES

PREDICATES = (
    Source(
        "deals",
        "deals",
        "contact_id",
        (
            Attribute("pipeline_id", "uuid", "{t}.pipeline_id"),
            Attribute("stage_id", "uuid", "{t}.stage_id"),
            Attribute("status", "choice", "{t}.status", choices=OUTCOMES),
            Attribute("amount", "money", "{t}.amount", currency="{t}.currency"),
            Attribute("expected_on", "date", "{t}.expected_on"),
            Attribute("created_at", "instant", "{t}.created_at"),
            Attribute("entered_stage_at", "instant", "{t}.entered_stage_at"),
        ),
        many=True,
        scope="pipelines:read",
        facts=("DealMoved", "ContactsLoaded", "ContactsMerged", "ContactsUnmerged"),
        description="What moves through a pipeline.",
    ),
)
