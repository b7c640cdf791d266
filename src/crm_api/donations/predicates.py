"""What rules can ask about giving."""

from __future__ import annotations

from crm_api.donations.gifts.models import METHODS, STATUSES
from crm_api.donations.recurring.models import STATUSES as PLAN_STATUSES
from crm_api.donations.recurring.models import UNITS
from crm_api.kit.predicates.catalogue import Attribute, Source

PREDICATES = (
    Source(
        "gifts",
        "gifts",
        "contact_id",
        (
            Attribute("status", "choice", "{t}.status", choices=STATUSES),
            Attribute("counts", "boolean", "({t}.counted > 0)", description="Settled, and not wholly given back."),
            Attribute("amount", "money", "{t}.amount", currency="{t}.currency", description="As it was given."),
            Attribute(
                "counted", "money", "{t}.counted", currency="{t}.currency", description="Net of refunds and disputes."
            ),
            Attribute(
                "base_amount", "money", "{t}.base_counted", description="Counted, in the organization's currency."
            ),
            Attribute("gift_date", "date", "{t}.gift_date"),
            Attribute("received_at", "instant", "{t}.received_at"),
            Attribute("method", "choice", "{t}.method", choices=METHODS),
            Attribute("fund_id", "uuid", "{t}.fund_id", description="Of a gift for one fund; see allocations."),
            Attribute("campaign_id", "uuid", "{t}.campaign_id"),
            Attribute("appeal_id", "uuid", "{t}.appeal_id"),
            Attribute("source_code", "text", "{t}.source_code"),
            Attribute("channel", "text", "{t}.channel"),
            Attribute("recurring_plan_id", "uuid", "{t}.plan_id"),
            Attribute("is_anonymous", "boolean", "{t}.is_anonymous"),
        ),
        many=True,
        where="{t}.superseded_by IS NULL",
        scope="donations:read",
        facts=("DonorsRefreshed", "ScoringRebuilt", "ContactsMerged", "ContactsUnmerged"),
        description="The contact's gifts, whatever became of them: ask for counts = true to leave out what failed.",
    ),
    Source(
        "plans",
        "recurring_plans",
        "contact_id",
        (
            Attribute("status", "choice", "{t}.status", choices=PLAN_STATUSES),
            Attribute("amount", "money", "{t}.amount", currency="{t}.currency"),
            Attribute("frequency_unit", "choice", "{t}.frequency_unit", choices=UNITS),
            Attribute("started_at", "instant", "{t}.started_at"),
            Attribute("ended_at", "instant", "{t}.ended_at"),
            Attribute("next_date", "date", "{t}.next_date"),
            Attribute("campaign_id", "uuid", "{t}.campaign_id"),
        ),
        many=True,
        scope="donations:read",
        facts=("DonorsRefreshed", "ScoringRebuilt", "ContactsMerged", "ContactsUnmerged"),
        description="Recurring plans.",
    ),
)
