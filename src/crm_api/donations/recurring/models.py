"""Recurring plans: a donor's standing promise to give, what changed in it, and the periods of our own schedules."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Column, Index, LargeBinary, UniqueConstraint, text

from crm_api.kit.personal import ACCOUNTING, anonymise, retain
from crm_api.kit.tables import day, instant, minor, number, one_of, refers, string, tenant_table, uid

STATUSES = ("pending", "active", "past_due", "paused", "canceled", "completed")
UNITS = ("day", "week", "month", "year")
METHODS = ("provider", "monobank", "bank_standing_order", "manual")
"""Who sees to the payments: the provider's own subscription; or we, by charging a stored card, or by waiting for the
money that the donor's bank or the donor sends."""
PERIOD_STATES = (
    "due", "charging", "unknown", "retrying", "expected", "paid", "failed", "missed", "skipped",
)  # fmt: skip
CHANGES = (
    "upgrade", "downgrade", "change", "pause", "resume", "skip", "cancel", "reactivate", "complete",
)  # fmt: skip
_OURS = "t.method <> 'provider' AND t.status NOT IN ('canceled', 'completed')"

recurring_plans = tenant_table(
    "recurring_plans",
    uid("contact_id", null=True),
    string("status"),
    instant("status_at"),  # the provider's time of the newest statement about the status
    minor("amount", null=True),
    string("currency", null=True),
    string("frequency_unit", null=True),
    number("frequency_interval", null=True),
    instant("described_at", null=True),  # of the newest statement about amount and frequency
    instant("started_at", null=True),
    day("next_date", null=True),
    instant("ended_at", null=True),
    uid("campaign_id", null=True),
    uid("connection_id", null=True),
    string("provider", null=True),
    string("provider_plan_id", null=True, binary=True),
    string("provider_customer_id", null=True, binary=True),
    string("method", default="'provider'"),
    uid("fund_id", null=True),
    string("note", null=True, tag="donor_sensitive"),
    # Of our own schedules only. The series of dates is counted from `anchor_on`; `next_date` is the first of it that no
    # period has been made for, and no retry moves it.
    day("start_on", null=True),
    day("anchor_on", null=True),
    number("anchor_day", null=True),
    number("installments", null=True),  # after so many paid periods the plan is complete
    day("end_on", null=True),
    day("resume_on", null=True),
    string("pause_reason", null=True, tag="donor_sensitive"),
    string("cancel_reason", null=True, tag="donor_sensitive"),
    number("failures", default="0"),  # failed attempts and missed periods since money last came
    Column("card_token", LargeBinary, nullable=True, info={"sensitivity": "secret"}),  # sealed, see kit.crypto
    string("card_mask", null=True, tag="donor_sensitive"),
    day("card_expires_on", null=True, tag="donor_sensitive"),  # the last day it is good for
    day("expiry_told_on", null=True),  # CardExpiring was given for a card that is good until then
    number("version", default="1"),
    instant("created_at"),
    instant("updated_at"),
    one_of("status", STATUSES),
    one_of("frequency_unit", UNITS, null=True),
    one_of("method", METHODS),
    CheckConstraint(
        "method = 'provider' OR (provider_plan_id IS NULL AND amount > 0 AND num_nulls(currency, frequency_unit, "
        "frequency_interval, start_on, anchor_on, anchor_day) = 0)",
        name="own",
    ),
    CheckConstraint("installments IS NULL OR end_on IS NULL", name="end"),
    refers("contact_id", "contacts"),
    refers("fund_id", "funds"),
    refers("campaign_id", "campaigns"),
    refers("connection_id", "payment_connections"),
    Index("ix_recurring_plans__created", "organization_id", "created_at", "id"),
    Index("ix_recurring_plans__contact", "organization_id", "contact_id", "status"),
    Index("ix_recurring_plans__timeline", "organization_id", "contact_id", "status_at", "id"),
    Index("ix_recurring_plans__campaign", "organization_id", "campaign_id"),
    Index(
        "uq_recurring_plans__provider",
        "organization_id",
        "connection_id",
        "provider_plan_id",
        unique=True,
        postgresql_where=text("connection_id IS NOT NULL"),
    ),
    Index("ix_recurring_plans__provider_plan_id", "organization_id", "provider_plan_id"),
    Index("ix_recurring_plans__status", "organization_id", "status", "id"),
    Index("ix_recurring_plans__fund", "organization_id", "fund_id", postgresql_where=text("fund_id IS NOT NULL")),
    Index(
        "ix_recurring_plans__due",
        "organization_id",
        "next_date",
        "id",
        postgresql_where=text("method <> 'provider' AND status IN ('pending', 'active', 'past_due')"),
    ),
    Index(
        "ix_recurring_plans__resume",
        "organization_id",
        "resume_on",
        "id",
        postgresql_where=text("status = 'paused' AND resume_on IS NOT NULL"),
    ),
    Index(
        "ix_recurring_plans__expiry",
        "organization_id",
        "card_expires_on",
        "id",
        postgresql_where=text("card_expires_on IS NOT NULL AND status IN ('pending', 'active', 'past_due')"),
    ),
    # Without its contact: were it still charged, the next payment would come from somebody new. What we charge
    # ourselves ends here, and its card is forgotten.
    personal=anonymise(
        "contact_id",
        columns={
            **dict.fromkeys(
                (
                    "contact_id",
                    "provider_customer_id",
                    "note",
                    "pause_reason",
                    "cancel_reason",
                    "card_token",
                    "card_mask",
                    "card_expires_on",
                    "resume_on",
                ),
                "NULL",
            ),
            "status": f"CASE WHEN {_OURS} THEN 'canceled' ELSE t.status END",
            "status_at": f"CASE WHEN {_OURS} THEN :now ELSE t.status_at END",
            "ended_at": f"CASE WHEN {_OURS} THEN :now ELSE t.ended_at END",
            "next_date": f"CASE WHEN {_OURS} THEN NULL ELSE t.next_date END",
            "updated_at": ":now",
        },
        ground=ACCOUNTING,
        until="created_at",
        traces=("t.provider_plan_id", "t.provider_customer_id"),
    ),
)

recurring_plan_changes = tenant_table(
    "recurring_plan_changes",
    uid("plan_id"),
    string("kind"),
    instant("changed_at"),
    minor("previous_amount", null=True),
    string("previous_currency", null=True),
    string("previous_frequency_unit", null=True),
    number("previous_frequency_interval", null=True),
    minor("amount", null=True),
    string("currency", null=True),
    string("frequency_unit", null=True),
    number("frequency_interval", null=True),
    string("previous_status", null=True),
    string("status"),
    string("reason", null=True, tag="donor_sensitive"),
    string("actor_kind"),
    string("actor_id"),
    one_of("kind", CHANGES),
    one_of("status", STATUSES),
    refers("plan_id", "recurring_plans"),
    Index("ix_recurring_plan_changes__plan", "organization_id", "plan_id", "changed_at", "id"),
    privileges=("SELECT", "INSERT"),
    personal=anonymise(
        "plan_id.contact_id",
        columns={"reason": "NULL"},
        ground=ACCOUNTING,
        until="changed_at",
    ),
)

recurring_periods = tenant_table(
    "recurring_periods",
    uid("plan_id"),
    day("due_on"),
    string("state"),
    minor("amount"),
    string("currency"),
    number("attempts", default="0"),
    string("decline_class", null=True),
    day("failed_on", null=True),  # of the first attempt that failed: what days of retries are counted from
    day("retry_on", null=True),
    instant("look_at", null=True),  # when the alarm must see to it again; nothing for what is settled
    uid("gift_id", null=True),
    string("reason", null=True),
    instant("settled_at", null=True),
    number("version", default="1"),
    instant("created_at"),
    instant("updated_at"),
    one_of("state", PERIOD_STATES),
    CheckConstraint("amount > 0", name="amount"),
    CheckConstraint("(state IN ('paid', 'failed', 'missed', 'skipped')) = (settled_at IS NOT NULL)", name="settled"),
    refers("plan_id", "recurring_plans"),
    refers("gift_id", "gifts"),
    UniqueConstraint("organization_id", "plan_id", "due_on"),  # the claim: whoever makes this row may charge
    Index("ix_recurring_periods__due", "organization_id", "due_on", "id"),
    Index("ix_recurring_periods__state", "organization_id", "state", "id"),
    Index(
        "ix_recurring_periods__look",
        "organization_id",
        "look_at",
        "id",
        postgresql_where=text("look_at IS NOT NULL"),
    ),
    Index(
        "uq_recurring_periods__gift",
        "organization_id",
        "gift_id",
        unique=True,
        postgresql_where=text("gift_id IS NOT NULL"),
    ),
    personal=retain("plan_id.contact_id", ground=ACCOUNTING, until="due_on"),
)
