"""Policies of what follows a failed charge, and every attempt to charge a card that we keep a token of."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Index, UniqueConstraint, text

from crm_api.kit.personal import ACCOUNTING, retain
from crm_api.kit.tables import document, instant, minor, number, one_of, refers, string, tenant_table, uid

ATTEMPT_STATES = ("sending", "pending", "unknown", "succeeded", "declined", "not_made")
_OPEN = "state IN ('sending', 'pending', 'unknown')"

dunning_policies = tenant_table(
    "dunning_policies",
    number("version"),
    document("content"),
    string("actor_kind"),
    string("actor_id"),
    instant("created_at"),
    key=("version",),
    privileges=("SELECT", "INSERT"),
)

charge_attempts = tenant_table(
    "charge_attempts",
    uid("period_id"),
    uid("plan_id"),
    number("number"),  # 1 for the first attempt of its period
    string("state"),
    minor("amount"),
    string("currency"),
    uid("connection_id"),
    string("provider_ref", null=True, binary=True),
    string("decline_class", null=True),
    string("decline_code", null=True),
    number("looks", default="0"),  # how often the provider was asked what became of it
    instant("sent_at"),
    instant("settled_at", null=True),
    number("version", default="1"),
    instant("created_at"),
    instant("updated_at"),
    one_of("state", ATTEMPT_STATES),
    CheckConstraint("amount > 0", name="amount"),
    CheckConstraint(f"({_OPEN}) = (settled_at IS NULL)", name="settled"),
    refers("period_id", "recurring_periods"),
    refers("plan_id", "recurring_plans"),
    refers("connection_id", "payment_connections"),
    UniqueConstraint("organization_id", "period_id", "number"),
    # Of one period at most one attempt is under way or has succeeded.
    Index(
        "uq_charge_attempts__one",
        "organization_id",
        "period_id",
        unique=True,
        postgresql_where=text("state IN ('sending', 'pending', 'unknown', 'succeeded')"),
    ),
    Index("ix_charge_attempts__plan", "organization_id", "plan_id", "id"),
    Index("ix_charge_attempts__ref", "organization_id", "connection_id", "provider_ref"),
    Index("ix_charge_attempts__state", "organization_id", "state", "id"),
    personal=retain("plan_id.contact_id", ground=ACCOUNTING, until="sent_at", traces=("t.provider_ref",)),
)
