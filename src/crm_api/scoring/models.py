"""What scoring keeps of each donor, what donors are judged by, and the runs and fits that reckon it."""

from __future__ import annotations

from sqlalchemy import Index

from crm_api.kit.personal import erase, nobody, retain
from crm_api.kit.tables import (
    APPEND_ONLY,
    day,
    document,
    flag,
    instant,
    minor,
    number,
    one_of,
    rate,
    refers,
    string,
    tenant_table,
    uid,
)
from crm_api.scoring.status import STATUSES

RUN_STATES = ("queued", "running", "succeeded", "failed")
PARTS = ("summary", "status", "rfm", "predictions")
KINDS = ("bg_bb", "bg_nbd", "gamma_gamma")

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
    number("fiscal_year"),  # that of as_of; the three sums count back from it
    minor("this_year_total"),
    minor("last_year_total"),
    minor("previous_year_total"),
    number("streak_years"),
    number("best_year", null=True),
    minor("best_year_total", null=True),
    string("first_channel", null=True),
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

donor_status_rules = tenant_table(
    "donor_status_rules",
    number("version"),  # from 2; version 1 are the defaults, which are in no row
    document("content"),
    string("actor_kind"),
    string("actor_id"),
    instant("created_at"),
    key=("version",),
    privileges=APPEND_ONLY,
)

scoring_settings = tenant_table(
    "scoring_settings",
    string("part"),
    document("content"),
    number("version"),
    instant("updated_at"),
    one_of("part", ("ltv", "rfm")),
    key=("part",),
)

scoring_runs = tenant_table(
    "scoring_runs",
    document("parts"),
    day("as_of", null=True),
    string("state"),
    number("progress", default="0"),  # in thousandths
    string("reason", null=True),
    document("totals", null=True),
    instant("finished_at", null=True),
    number("version", default="1"),
    instant("created_at"),
    instant("updated_at"),
    one_of("state", RUN_STATES),
    Index("ix_scoring_runs__created", "organization_id", "created_at", "id"),
    personal=nobody("counts and sums over all donors"),
)

scoring_models = tenant_table(
    "scoring_models",
    string("kind"),
    day("as_of"),
    flag("is_current"),  # fitted to what was known then; not a look back from a day that was over
    document("parameters", null=True),
    rate("log_likelihood", null=True),
    number("sample_size"),
    string("reason", null=True),
    instant("fitted_at"),
    one_of("kind", KINDS),
    Index("ix_scoring_models__fitted", "organization_id", "fitted_at", "id"),
    Index("ix_scoring_models__kind", "organization_id", "kind", "fitted_at", "id"),
    privileges=APPEND_ONLY,
    personal=nobody("parameters of a whole donor base"),
)

donor_predictions = tenant_table(
    "donor_predictions",
    uid("contact_id"),
    rate("p_alive", null=True),
    rate("expected_gifts", null=True),
    minor("expected_average", null=True),
    minor("expected_value", null=True),
    rate("churn_risk", null=True),
    document("reasons", default="'{}'"),
    day("as_of"),
    instant("computed_at"),
    refers("contact_id", "contacts", on_delete="CASCADE"),
    key=("contact_id",),
    personal=erase("contact_id"),
)
donor_predictions.info["on_merge"] = "derived"
