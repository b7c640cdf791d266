"""Deals: what moves through a pipeline, and every move it made."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, ForeignKeyConstraint, Index

from crm_api.kit.limits import RowLimit
from crm_api.kit.personal import anonymise, retain
from crm_api.kit.tables import (
    APPEND_ONLY,
    day,
    instant,
    minor,
    number,
    one_of,
    refers,
    string,
    tenant_table,
    uid,
)
from crm_api.pipelines.models import OUTCOMES

deals = tenant_table(
    "deals",
    uid("pipeline_id"),
    uid("stage_id"),
    uid("contact_id", null=True),
    string("title", tag="donor_sensitive"),
    minor("amount", null=True),
    string("currency", null=True),
    day("expected_on", null=True),
    uid("owner_member_id", null=True),
    string("status"),  # the outcome of its stage
    instant("entered_stage_at"),
    instant("closed_at", null=True),
    number("version", default="1"),
    instant("created_at"),
    instant("updated_at"),
    one_of("status", OUTCOMES),
    CheckConstraint("(amount IS NULL) = (currency IS NULL) AND amount > 0", name="amount"),
    CheckConstraint("(status = 'open') = (closed_at IS NULL)", name="closed_at"),
    ForeignKeyConstraint(
        ["organization_id", "pipeline_id", "stage_id"],
        ["pipeline_stages.organization_id", "pipeline_stages.pipeline_id", "pipeline_stages.id"],
    ),
    refers("contact_id", "contacts"),
    refers("owner_member_id", "members"),
    Index("ix_deals__board", "organization_id", "pipeline_id", "stage_id", "id"),
    Index("ix_deals__stage", "organization_id", "stage_id", "id"),
    Index("ix_deals__contact", "organization_id", "contact_id", "id"),
    Index("ix_deals__timeline", "organization_id", "contact_id", "created_at", "id"),
    Index("ix_deals__owner", "organization_id", "owner_member_id", "id"),
    Index("ix_deals__status", "organization_id", "status", "id"),
    Index("ix_deals__entered", "organization_id", "entered_stage_at", "id"),
    Index("ix_deals__created", "organization_id", "created_at", "id"),
    limit=RowLimit(nobodys=True),
    personal=anonymise(
        "contact_id",
        columns={"title": "'Erased'", "updated_at": ":now", "version": "t.version + 1"},
        ground="figures of the pipeline: amounts, stages and times",
    ),
)

deal_moves = tenant_table(
    "deal_moves",
    uid("deal_id"),
    uid("from_stage_id", null=True),  # null: the deal was new
    uid("to_stage_id"),
    instant("moved_at"),
    string("actor_kind"),
    string("actor_id"),
    refers("deal_id", "deals"),
    refers("from_stage_id", "pipeline_stages"),
    refers("to_stage_id", "pipeline_stages"),
    Index("ix_deal_moves__deal", "organization_id", "deal_id", "id"),
    Index("ix_deal_moves__from", "organization_id", "from_stage_id", "moved_at"),
    Index("ix_deal_moves__to", "organization_id", "to_stage_id", "moved_at"),
    privileges=APPEND_ONLY,
    personal=retain("deal_id.contact_id", ground="figures of the pipeline: stages and times"),
)
