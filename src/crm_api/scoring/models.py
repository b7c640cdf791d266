"""What scoring keeps of each donor, and the borders donors are scored against."""

from __future__ import annotations

from sqlalchemy import Index

from crm_api.kit.personal import retain
from crm_api.kit.tables import (
    APPEND_ONLY,
    day,
    document,
    flag,
    instant,
    minor,
    number,
    one_of,
    refers,
    string,
    tenant_table,
    uid,
)
from crm_api.scoring.status import STATUSES

donor_summaries = tenant_table(
    "donor_summaries",
    uid("contact_id"),
    number("gift_count"),
    number("gifts_without_rate"),
    minor("total_given"),
    minor("average_gift", null=True),
    minor("largest_gift", null=True),
    minor("total_last_365_days"),
    instant("first_gift_at", null=True),
    instant("last_gift_at", null=True),
    day("first_gift_date", null=True),
    day("last_gift_date", null=True),
    string("donor_status"),
    flag("is_new"),
    flag("is_major"),
    flag("is_recurring"),
    number("rules_version"),
    number("rfm_recency", null=True),
    number("rfm_frequency", null=True),
    number("rfm_monetary", null=True),
    day("as_of"),
    instant("computed_at"),
    one_of("donor_status", STATUSES),
    refers("contact_id", "contacts", on_delete="CASCADE"),
    Index("ix_donor_summaries__status", "organization_id", "donor_status", "contact_id"),
    Index("ix_donor_summaries__rfm", "organization_id", "rfm_recency", "rfm_frequency", "rfm_monetary", "contact_id"),
    key=("contact_id",),
    personal=retain("contact_id", ground="figures of gifts that are kept; the contact they belong to is anonymous"),
)

donor_status_changes = tenant_table(
    "donor_status_changes",
    uid("contact_id"),
    string("previous_status", null=True),
    string("status"),
    number("rules_version"),
    document("reasons", null=True, tag="donor_sensitive"),
    day("as_of"),
    instant("changed_at"),
    one_of("status", STATUSES),
    refers("contact_id", "contacts", on_delete="CASCADE"),
    Index("ix_donor_status_changes__contact", "organization_id", "contact_id", "id"),
    Index("ix_donor_status_changes__timeline", "organization_id", "contact_id", "changed_at", "id"),
    privileges=APPEND_ONLY,
    repointable=("contact_id",),
    personal=retain("contact_id", ground="figures of gifts that are kept; the contact they belong to is anonymous"),
)

rfm_borders = tenant_table(
    "rfm_borders",
    number("n"),
    *(number(f"{part}_{k}", big=True) for part in ("recency", "frequency", "monetary") for k in range(1, 5)),
    day("as_of"),
    instant("computed_at"),
    key=("as_of",),
)
