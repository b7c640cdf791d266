"""Tasks: what somebody is to do, for whom, until when."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Index, text

from crm_api.kit.limits import RowLimit
from crm_api.kit.personal import erase
from crm_api.kit.tables import day, flag, instant, number, one_of, refers, string, tenant_table, uid

STATUSES = ("open", "done", "canceled")
PRIORITIES = ("low", "normal", "high", "urgent")

tasks = tenant_table(
    "tasks",
    string("title", tag="donor_sensitive"),
    string("body", null=True, tag="donor_sensitive"),
    string("status", default="'open'"),
    string("priority", default="'normal'"),
    uid("contact_id", null=True),
    uid("assignee_id", null=True),
    uid("deal_id", null=True),
    uid("interaction_id", null=True),
    day("due_on", null=True),
    instant("due_at", null=True),
    instant("due_by"),  # from then on it is overdue: due_at, or the end of due_on here; `service.NEVER` without either
    flag("due_told"),  # TaskDue was given for this due_by
    instant("remind_at", null=True),
    flag("reminded"),  # TaskReminder was given for this remind_at
    instant("reminded_at", null=True),
    instant("completed_at", null=True),
    string("completed_by_kind", null=True),
    string("completed_by_id", null=True),
    instant("timeline_at"),  # its place in the contact's timeline: when it was done, until then when it was made
    number("version", default="1"),
    instant("created_at"),
    instant("updated_at"),
    one_of("status", STATUSES),
    one_of("priority", PRIORITIES),
    CheckConstraint("due_on IS NULL OR due_at IS NULL", name="due"),
    CheckConstraint("(status = 'done') = (completed_at IS NOT NULL)", name="completed"),
    CheckConstraint("NOT reminded OR remind_at IS NOT NULL", name="reminded"),
    refers("contact_id", "contacts"),
    refers("assignee_id", "members"),
    refers("deal_id", "deals"),
    refers("interaction_id", "interactions", on_delete="SET NULL (interaction_id)"),
    Index("ix_tasks__created", "organization_id", "created_at", "id"),
    Index("ix_tasks__due", "organization_id", "due_by", "id"),
    Index("ix_tasks__status", "organization_id", "status", "due_by", "id"),
    Index("ix_tasks__assignee", "organization_id", "assignee_id", "status", "due_by", "id"),
    Index("ix_tasks__contact", "organization_id", "contact_id", "timeline_at", "id"),
    Index("ix_tasks__deal", "organization_id", "deal_id", postgresql_where=text("deal_id IS NOT NULL")),
    Index(
        "ix_tasks__interaction",
        "organization_id",
        "interaction_id",
        postgresql_where=text("interaction_id IS NOT NULL"),
    ),
    Index(
        "ix_tasks__to_remind",
        "organization_id",
        "remind_at",
        "id",
        postgresql_where=text("status = 'open' AND NOT reminded AND remind_at IS NOT NULL"),
    ),
    Index(
        "ix_tasks__to_tell",
        "organization_id",
        "due_by",
        "id",
        postgresql_where=text("status = 'open' AND NOT due_told"),
    ),
    personal=erase("contact_id"),
    limit=RowLimit(nobodys=True),  # work that concerns no contact is everybody's
)
