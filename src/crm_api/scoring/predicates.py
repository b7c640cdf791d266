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
            Attribute("this_fiscal_year", "money", "{t}.this_year_total", default=0),
            Attribute("last_fiscal_year", "money", "{t}.last_year_total", default=0),
            Attribute("fiscal_year_before_last", "money", "{t}.previous_year_total", default=0),
            Attribute(
                "streak_years",
                "integer",
                "{t}.streak_years",
                default=0,
                description="Consecutive fiscal years with a gift, up to the newest that has one.",
            ),
            Attribute("best_year", "integer", "{t}.best_year", description="The fiscal year of the largest sum."),
            Attribute("best_year_total", "money", "{t}.best_year_total"),
            Attribute("first_channel", "text", "{t}.first_channel", description="Channel of the first gift."),
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
    Source(
        "prediction",
        "donor_predictions",
        "contact_id",
        (
            Attribute("p_alive", "decimal", "{t}.p_alive", description="0 to 1; from the second gift on."),
            Attribute(
                "expected_gifts", "decimal", "{t}.expected_gifts", description="Gifts to expect within twelve months."
            ),
            Attribute("expected_value", "money", "{t}.expected_value"),
            Attribute(
                "churn_risk",
                "decimal",
                "{t}.churn_risk",
                description="Chance that the next fiscal year brings no gift, 0 to 1.",
            ),
        ),
        scope="scoring:read",
        facts=("ScoringRebuilt", "ContactsMerged", "ContactsUnmerged"),
        description="What the models of giving foresee, as of their last fit.",
    ),
)
