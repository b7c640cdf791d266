"""Pipelines: named ways from a first talk to a yes or a no, and their stages."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Index, UniqueConstraint

from crm_api.kit.tables import instant, number, one_of, refers, string, tenant_table, uid

KINDS = ("major_gifts", "grants", "partnerships", "volunteers", "aid", "other")
STATUSES = ("active", "archived")
OUTCOMES = ("open", "won", "lost")

pipelines = tenant_table(
    "pipelines",
    string("name"),
    string("kind"),
    string("status", default="'active'"),
    number("version", default="1"),  # counts changes of the stages too: they are part of the resource
    instant("created_at"),
    instant("updated_at"),
    one_of("kind", KINDS),
    one_of("status", STATUSES),
    Index("ix_pipelines__created", "organization_id", "created_at", "id"),
)

pipeline_stages = tenant_table(
    "pipeline_stages",
    uid("pipeline_id"),
    string("name"),
    number("position"),  # 0 is the first; changed only under a lock on the pipeline
    string("outcome", default="'open'"),  # for good: the status of deals follows from it
    number("probability", null=True),
    instant("created_at"),
    one_of("outcome", OUTCOMES),
    CheckConstraint("position >= 0", name="position"),
    CheckConstraint("probability BETWEEN 0 AND 100", name="probability"),
    refers("pipeline_id", "pipelines"),
    UniqueConstraint("organization_id", "pipeline_id", "id"),  # a deal's stage is one of its own pipeline
    Index("ix_pipeline_stages__position", "organization_id", "position", "id"),
)
