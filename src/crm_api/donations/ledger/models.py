"""The books: journals that balance by their shape, what each gift has had posted, and the chart of accounts.

A journal is one row with one account debited and one credited by the same amount: it cannot be unbalanced. Rows are
never changed or removed; what turns out wrong is posted back by a new one.
"""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Index, UniqueConstraint, text

from crm_api.donations.ledger.accounts import KINDS
from crm_api.kit.personal import ACCOUNTING, retain
from crm_api.kit.tables import APPEND_ONLY, day, instant, minor, number, one_of, refers, string, tenant_table, uid

JOURNAL_KINDS = (
    "gift", "refund", "chargeback", "fee", "payout", "payout_fee", "pledge", "pledge_payment", "pledge_canceled",
    "write_off",
)  # fmt: skip

ledger_journals = tenant_table(
    "ledger_journals",
    string("kind"),
    uid("gift_id", null=True),
    uid("payout_id", null=True),
    uid("pledge_id", null=True),
    number("revision"),  # of the gift's, payout's or pledge's books: counts up with every posting
    number("line"),  # place within that posting
    day("journal_date"),  # the day of the books, never in a period that was closed when it was posted
    day("movement_date"),  # the day of the money
    string("debit", binary=True),
    string("credit", binary=True),
    minor("amount"),
    string("currency"),
    uid("fund_id", null=True),
    instant("recorded_at"),
    one_of("kind", JOURNAL_KINDS),
    CheckConstraint("amount > 0 AND debit <> credit", name="pair"),
    CheckConstraint("journal_date >= movement_date", name="dates"),
    refers("gift_id", "gifts"),
    refers("payout_id", "payouts"),
    refers("pledge_id", "pledges"),
    refers("fund_id", "funds"),
    Index(
        "uq_ledger_journals__gift",
        "organization_id",
        "gift_id",
        "revision",
        "line",
        unique=True,
        postgresql_where=text("gift_id IS NOT NULL"),
    ),
    Index(
        "uq_ledger_journals__payout",
        "organization_id",
        "payout_id",
        "revision",
        "line",
        unique=True,
        postgresql_where=text("payout_id IS NOT NULL"),
    ),
    Index(
        "uq_ledger_journals__pledge",
        "organization_id",
        "pledge_id",
        "revision",
        "line",
        unique=True,
        postgresql_where=text("pledge_id IS NOT NULL"),
    ),
    Index("ix_ledger_journals__date", "organization_id", "journal_date", "id"),
    Index("ix_ledger_journals__debit", "organization_id", "debit", "journal_date"),
    Index("ix_ledger_journals__credit", "organization_id", "credit", "journal_date"),
    Index("ix_ledger_journals__fund", "organization_id", "fund_id", postgresql_where=text("fund_id IS NOT NULL")),
    privileges=APPEND_ONLY,
    personal=retain("gift_id.contact_id", "pledge_id.contact_id", ground=ACCOUNTING, until="recorded_at"),
)

ledger_gifts = tenant_table(
    "ledger_gifts",
    uid("gift_id"),
    number("gift_version"),  # the version of the gift that is posted
    number("revision"),  # how often it was looked at
    instant("posted_at"),
    refers("gift_id", "gifts"),
    key=("gift_id",),
    personal=retain("gift_id.contact_id", ground=ACCOUNTING, until="posted_at", export=False),
)

ledger_accounts = tenant_table(
    "ledger_accounts",
    string("account", binary=True),
    string("kind"),
    string("code", null=True),  # the organization's own account
    string("name", null=True),
    number("version", default="1"),
    instant("created_at"),
    instant("updated_at"),
    one_of("kind", KINDS),
    UniqueConstraint("organization_id", "account"),
    Index("ix_ledger_accounts__account", "organization_id", "account", "id"),
)

ledger_periods = tenant_table(
    "ledger_periods",
    day("through"),
    string("state"),
    string("reason", null=True),  # why it was reopened
    instant("closed_at"),
    instant("reopened_at", null=True),
    number("version", default="1"),
    instant("created_at"),
    instant("updated_at"),
    one_of("state", ("closed", "reopened")),
    Index(
        "uq_ledger_periods__through",
        "organization_id",
        "through",
        unique=True,
        postgresql_where=text("state = 'closed'"),
    ),
    Index("ix_ledger_periods__created", "organization_id", "created_at", "id"),
)
