"""What rules can ask about a contact as a donor."""

from __future__ import annotations

from crm_api.kit.predicates.catalogue import Attribute, Source
from crm_api.scoring.status import STATUSES

PREDICATES = (
    Source(
        "donor",
        "donor_summaries",
        "contact_id",
        (
            Attribute("status", "choice", "{t}.donor_status", default="prospect", choices=STATUSES),
            Attribute("gift_count", "integer", "{t}.gift_count", default=0),
            Attribute("total_given", "money", "{t}.total_given", default=0),
            Attribute("average_gift", "money", "{t}.average_gift"),
            Attribute("largest_gift", "money", "{t}.largest_gift"),
            Attribute("total_last_365_days", "money", "{t}.total_last_365_days", default=0),
            Attribute("first_gift_date", "date", "{t}.first_gift_date"),
            Attribute("last_gift_date", "date", "{t}.last_gift_date"),
            Attribute("is_new", "boolean", "{t}.is_new", default=False),
            Attribute("is_major", "boolean", "{t}.is_major", default=False),
            Attribute("is_recurring", "boolean", "{t}.is_recurring", default=False),
            Attribute("recency", "integer", "{t}.rfm_recency", description="RFM score, 5 is best."),
            Attribute("frequency", "integer", "{t}.rfm_frequency"),
            Attribute("monetary", "integer", "{t}.rfm_monetary"),
        ),
        scope="scoring:read",
        facts=("DonorsRefreshed", "ScoringRebuilt", "ContactsMerged", "ContactsUnmerged"),
        description="Figures, status and scores, as last computed.",
    ),
)
