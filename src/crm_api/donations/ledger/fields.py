"""What accounts and journals can be filtered and sorted by."""

from __future__ import annotations

from crm_api.donations.ledger.accounts import KINDS
from crm_api.donations.ledger.models import JOURNAL_KINDS, ledger_accounts, ledger_journals
from crm_api.kit.fields import Catalogue, Field

_JOURNALS = ledger_journals.c

JOURNALS = Catalogue(
    resource="ledger-journals",
    table=ledger_journals,
    default_sort="-journal_date",
    fields=(
        Field("id", "uuid", _JOURNALS.id, sortable=True),
        Field("kind", "choice", _JOURNALS.kind, choices=JOURNAL_KINDS),
        Field("donation_id", "uuid", _JOURNALS.gift_id),
        Field("payout_id", "uuid", _JOURNALS.payout_id),
        Field("pledge_id", "uuid", _JOURNALS.pledge_id),
        Field("fund_id", "uuid", _JOURNALS.fund_id),
        Field("currency", "text", _JOURNALS.currency),
        Field("journal_date", "date", _JOURNALS.journal_date, sortable=True),
        Field(
            "account",
            "text",
            sources=((_JOURNALS.id, _JOURNALS.debit), (_JOURNALS.id, _JOURNALS.credit)),
            description="Debited or credited.",
        ),
    ),
)

ACCOUNTS = Catalogue(
    resource="ledger-accounts",
    table=ledger_accounts,
    default_sort="account",
    fields=(
        Field("id", "uuid", ledger_accounts.c.id, sortable=True),
        Field("account", "text", ledger_accounts.c.account, sortable=True),
        Field("kind", "choice", ledger_accounts.c.kind, choices=KINDS),
        Field("code", "text", ledger_accounts.c.code),
    ),
)
