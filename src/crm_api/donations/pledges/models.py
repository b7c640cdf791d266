"""Pledges: promises of a total, with installments, the gifts that pay them, and what was written off."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Index, UniqueConstraint, text

from crm_api.kit.personal import ACCOUNTING, anonymise, retain
from crm_api.kit.tables import day, document, flag, instant, minor, number, one_of, refers, string, tenant_table, uid

KINDS = ("money", "in_kind")
STATUSES = ("pending", "active", "overdue", "fulfilled", "written_off", "canceled")
_OPEN = "t.status IN ('pending', 'active', 'overdue')"

pledges = tenant_table(
    "pledges",
    uid("contact_id"),
    string("kind"),
    string("status"),  # this and the figures below follow from installments, payments, write-offs and the day
    minor("amount", null=True),
    string("currency", null=True),
    minor("paid", default="0"),
    minor("written_off", default="0"),
    minor("overpaid", default="0"),
    day("next_due_on", null=True),  # of the oldest installment that is open
    string("description", null=True, tag="donor_sensitive"),
    string("note", null=True, tag="donor_sensitive"),
    day("pledged_on"),
    flag("auto_apply", default=True),
    document("reminder_days", default="'[]'"),
    uid("fund_id", null=True),
    uid("campaign_id", null=True),
    uid("owner_member_id", null=True),
    instant("canceled_at", null=True),
    string("cancel_reason", null=True, tag="donor_sensitive"),
    number("version", default="1"),
    instant("created_at"),
    instant("updated_at"),
    one_of("kind", KINDS),
    one_of("status", STATUSES),
    CheckConstraint("(kind = 'money') = (amount IS NOT NULL AND currency IS NOT NULL) AND amount > 0", name="amount"),
    CheckConstraint(
        "paid >= 0 AND written_off >= 0 AND overpaid >= 0 AND paid + written_off <= amount", name="figures"
    ),
    CheckConstraint("(status = 'canceled') = (canceled_at IS NOT NULL)", name="canceled"),
    refers("contact_id", "contacts"),
    refers("fund_id", "funds"),
    refers("campaign_id", "campaigns"),
    refers("owner_member_id", "members"),
    Index("ix_pledges__created", "organization_id", "created_at", "id"),
    Index("ix_pledges__contact", "organization_id", "contact_id", "created_at", "id"),
    Index("ix_pledges__status", "organization_id", "status", "next_due_on", "id"),
    Index("ix_pledges__fund", "organization_id", "fund_id", postgresql_where=text("fund_id IS NOT NULL")),
    Index("ix_pledges__campaign", "organization_id", "campaign_id", postgresql_where=text("campaign_id IS NOT NULL")),
    Index(
        "ix_pledges__owner",
        "organization_id",
        "owner_member_id",
        postgresql_where=text("owner_member_id IS NOT NULL"),
    ),
    personal=anonymise(
        "contact_id",
        columns={
            **dict.fromkeys(("description", "note", "cancel_reason"), "NULL"),
            "status": f"CASE WHEN {_OPEN} THEN 'canceled' ELSE t.status END",
            "canceled_at": f"CASE WHEN {_OPEN} THEN :now ELSE t.canceled_at END",
            "auto_apply": "false",
            "updated_at": ":now",
        },
        ground=ACCOUNTING,
        until="pledged_on",
    ),
)

pledge_installments = tenant_table(
    "pledge_installments",
    uid("pledge_id"),
    number("number"),
    day("due_on"),
    minor("amount", null=True),  # nothing for what is promised in kind
    minor("paid", default="0"),
    minor("written_off", default="0"),
    flag("is_open", default=True),
    day("reminded_on", null=True),
    day("remind_on", null=True),
    refers("pledge_id", "pledges"),
    CheckConstraint("paid >= 0 AND written_off >= 0 AND paid + written_off <= amount", name="figures"),
    CheckConstraint("remind_on IS NULL OR is_open", name="remind_on"),
    UniqueConstraint("organization_id", "pledge_id", "number"),
    Index(
        "ix_pledge_installments__remind",
        "organization_id",
        "remind_on",
        "id",
        postgresql_where=text("remind_on IS NOT NULL"),
    ),
    personal=retain("pledge_id.contact_id", ground=ACCOUNTING, until="due_on"),
)

pledge_payments = tenant_table(
    "pledge_payments",
    uid("pledge_id"),
    uid("gift_id"),
    minor("amount", null=True),  # at most so much of the gift is for this pledge; nothing for what came in kind
    minor("counted", default="0"),  # of that, what stands after refunds
    string("applied_by"),
    instant("created_at"),
    one_of("applied_by", ("rule", "staff")),
    refers("pledge_id", "pledges"),
    refers("gift_id", "gifts"),
    UniqueConstraint("organization_id", "pledge_id", "gift_id"),
    Index("ix_pledge_payments__gift", "organization_id", "gift_id"),
    personal=retain("pledge_id.contact_id", "gift_id.contact_id", ground=ACCOUNTING, until="created_at"),
)

pledge_write_offs = tenant_table(
    "pledge_write_offs",
    uid("pledge_id"),
    uid("installment_id", null=True),  # of this one; of whatever is open where there is none
    minor("amount", null=True),
    day("written_off_on"),
    string("reason", null=True, tag="donor_sensitive"),
    string("actor_kind"),
    string("actor_id"),
    instant("created_at"),
    refers("pledge_id", "pledges"),
    refers("installment_id", "pledge_installments", on_delete="SET NULL (installment_id)"),
    Index("ix_pledge_write_offs__pledge", "organization_id", "pledge_id", "created_at", "id"),
    Index(
        "ix_pledge_write_offs__installment",
        "organization_id",
        "installment_id",
        postgresql_where=text("installment_id IS NOT NULL"),
    ),
    privileges=("SELECT", "INSERT"),
    personal=anonymise("pledge_id.contact_id", columns={"reason": "NULL"}, ground=ACCOUNTING, until="written_off_on"),
)
