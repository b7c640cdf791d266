"""Segments, who is in them, and who came and went."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Index

from crm_api.kit.personal import erase, nobody, retain
from crm_api.kit.tables import (
    APPEND_ONLY,
    day,
    document,
    flag,
    instant,
    number,
    one_of,
    refers,
    string,
    tenant_table,
    uid,
)

KINDS = ("dynamic", "static")
STATUSES = ("active", "archived")
STATES = ("queued", "running", "succeeded", "failed")

segments = tenant_table(
    "segments",
    string("name"),
    string("description", null=True),
    string("kind"),
    document("rule", null=True),  # as it was sent; null for a static segment
    document("reads", default="'[]'"),  # names of the sources that the rule reads
    flag("moves_with_time"),  # the rule has dates that move: it is looked at anew every night
    string("status", default="'active'"),
    string("state", default="'queued'"),  # of the last reckoning of everybody
    string("reason", null=True),
    number("size", default="0"),  # at computed_at
    instant("computed_at", null=True),
    number("version", default="1"),
    instant("created_at"),
    instant("updated_at"),
    one_of("kind", KINDS),
    one_of("status", STATUSES),
    one_of("state", STATES),
    CheckConstraint("(kind = 'dynamic') = (rule IS NOT NULL)", name="rule"),
    Index("ix_segments__created", "organization_id", "created_at", "id"),
    Index("ix_segments__name", "organization_id", "name", "id"),
    personal=nobody("rules of the organization's own; who they hold for is in segment_memberships"),
)

segment_memberships = tenant_table(
    "segment_memberships",
    uid("segment_id"),
    uid("contact_id"),
    instant("entered_at"),
    refers("segment_id", "segments", on_delete="CASCADE"),
    refers("contact_id", "contacts", on_delete="CASCADE"),
    Index("ix_segment_memberships__contact", "organization_id", "contact_id", "segment_id"),
    key=("segment_id", "contact_id"),
    personal=erase("contact_id"),
)

segment_changes = tenant_table(
    "segment_changes",
    uid("segment_id"),
    uid("contact_id"),
    string("change"),
    instant("changed_at"),
    one_of("change", ("entered", "left")),
    refers("segment_id", "segments", on_delete="CASCADE"),
    refers("contact_id", "contacts", on_delete="CASCADE"),
    Index("ix_segment_changes__segment", "organization_id", "segment_id", "changed_at", "id"),
    Index("ix_segment_changes__member", "organization_id", "segment_id", "contact_id", "changed_at", "id"),
    Index("ix_segment_changes__contact", "organization_id", "contact_id", "changed_at", "id"),
    privileges=APPEND_ONLY,
    repointable=("contact_id",),
    personal=retain("contact_id", ground="when an anonymous contact was in which segment: figures of the segment"),
)

segment_sizes = tenant_table(
    "segment_sizes",
    uid("segment_id"),
    day("day"),
    number("size"),
    refers("segment_id", "segments", on_delete="CASCADE"),
    key=("segment_id", "day"),
    personal=nobody("counts"),
)
