"""Durable work: a row per (fact, subscriber), and a row per schedule and its occurrences."""

from __future__ import annotations

from sqlalchemy import Index, UniqueConstraint, text

from crm_api.kit.personal import nobody
from crm_api.kit.tables import document, instant, number, one_of, string, tenant_table, uid

STATES = ("due", "running", "done", "waiting", "dead")

jobs = tenant_table(
    "jobs",
    string("subscriber"),
    string("fact"),
    uid("fact_id"),
    document("payload", tag="donor_sensitive"),
    string("state", default="'due'"),
    number("attempts", default="0"),
    instant("due_at"),  # when to look at it; while running: when the lease ends; while waiting: the deadline
    uid("lease", null=True),  # fencing token: a worker that lost its lease can no longer finish the row
    string("wait_key", null=True, binary=True),
    string("last_error", null=True),
    string("request_id", null=True),
    instant("created_at"),
    instant("finished_at", null=True),
    one_of("state", STATES),
    UniqueConstraint("organization_id", "fact_id", "subscriber"),
    Index("ix_jobs__due", "organization_id", "due_at", postgresql_where=text("state IN ('due', 'running', 'waiting')")),
    Index("ix_jobs__waiting", "organization_id", "wait_key", postgresql_where=text("state = 'waiting'")),
    Index("ix_jobs__done", "organization_id", "finished_at", postgresql_where=text("state = 'done'")),
    Index("ix_jobs__state", "organization_id", "state", "id"),
    personal=nobody("facts hold ids and codes only; a finished row goes after a week"),
)

schedules = tenant_table(
    "schedules",
    string("name"),
    instant("next_at"),  # in the organization's time: a movable clock moves it
    key=("name",),
)
Index("ix_schedules__next", schedules.c.organization_id, schedules.c.next_at)

schedule_occurrences = tenant_table(
    "schedule_occurrences",
    string("name"),
    instant("occurrence"),
    instant("recorded_at"),
    key=("name", "occurrence"),
)
