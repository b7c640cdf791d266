"""Reconciliations: a provider's own list of payments against ours."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Index, UniqueConstraint, text

from crm_api.kit.personal import ACCOUNTING, nobody, retain
from crm_api.kit.tables import (
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

STATES = ("queued", "running", "succeeded", "failed")
ORIGINS = ("request", "nightly")
KINDS = (
    "missing_here",  # the provider has it, we do not
    "missing_there",  # we have it, the provider's list does not
    "amount_differs",
    "status_differs",
    "refunded_differs",
    "fee_differs",
    "plan_missing_here",  # the provider runs a plan that we were never told of
    "plan_differs",  # in its state, amount, frequency or next date
)
PLAN_KINDS = ("plan_missing_here", "plan_differs")
LISTED = "listed"
"""Kind of a row that holds what the provider lists until everything is compared."""

payment_reconciliations = tenant_table(
    "payment_reconciliations",
    uid("connection_id"),
    string("provider"),
    string("origin"),
    string("state"),
    instant("since"),
    instant("until"),
    flag("apply"),
    string("cursor", null=True),  # where to go on listing
    instant("reached_at", null=True),  # of the oldest payment listed so far
    flag("all_listed"),
    number("progress", default="0"),  # in thousandths
    document("totals", default="'{}'"),
    string("reason", null=True),
    instant("finished_at", null=True),
    number("version", default="1"),
    instant("created_at"),
    instant("updated_at"),
    one_of("origin", ORIGINS),
    one_of("state", STATES),
    CheckConstraint("since < until", name="window"),
    refers("connection_id", "payment_connections"),
    Index("ix_payment_reconciliations__created", "organization_id", "created_at", "id"),
    Index("ix_payment_reconciliations__connection", "organization_id", "connection_id", "created_at"),
    personal=nobody("counts of an organization's payments, a window of time"),
)

reconciliation_items = tenant_table(
    "reconciliation_items",
    uid("reconciliation_id"),
    string("kind"),
    string("ref", binary=True),  # the payment key, or the plan's
    uid("gift_id", null=True),
    uid("plan_id", null=True),
    instant("occurred_at"),
    string("currency", null=True),  # of a plan without a fixed amount there is none
    string("provider_status", null=True),
    minor("provider_amount", null=True),
    minor("provider_refunded", null=True),
    minor("provider_fee", null=True),
    string("our_status", null=True),
    minor("our_amount", null=True),
    minor("our_refunded", null=True),
    minor("our_fee", null=True),
    flag("resolved"),  # it is gone since: what the provider said was applied
    string("reason", null=True),  # why it could not be applied
    one_of("kind", (*KINDS, LISTED)),
    refers("reconciliation_id", "payment_reconciliations"),
    refers("gift_id", "gifts"),
    refers("plan_id", "recurring_plans"),
    UniqueConstraint("organization_id", "reconciliation_id", "ref", "kind"),
    Index("ix_reconciliation_items__gift", "organization_id", "gift_id", postgresql_where=text("gift_id IS NOT NULL")),
    Index("ix_reconciliation_items__plan", "organization_id", "plan_id", postgresql_where=text("plan_id IS NOT NULL")),
    Index("ix_reconciliation_items__kind", "organization_id", "reconciliation_id", "kind", "id"),
    personal=retain("gift_id.contact_id", "plan_id.contact_id", ground=ACCOUNTING, until="occurred_at"),
)
