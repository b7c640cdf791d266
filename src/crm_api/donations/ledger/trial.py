"""The trial balance: every account at the end of a day, from the journals alone."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import date
from typing import Any
from uuid import UUID

from sqlalchemy import text

from crm_api.donations.ledger import repository
from crm_api.donations.ledger.accounts import class_of, kind_of
from crm_api.donations.ledger.chart import chart_of
from crm_api.kit import clock
from crm_api.kit.db import ReadSession, Row, prepare
from crm_api.kit.sums import exact

_PAIRS = prepare(
    text(
        """
        SELECT j.debit, j.credit, j.currency, j.fund_id, sum(j.amount) AS amount FROM ledger_journals j
        WHERE j.organization_id = :organization_id AND j.journal_date <= CAST(:as_of AS date)
        GROUP BY 1, 2, 3, 4
        """
    )
)
_FUND_SUMS = {
    "income": "income", "in_kind_income": "income", "refunds": "refunds", "chargebacks": "chargebacks",
    "fees": "fees", "pledge_income": "pledged", "write_offs": "pledged",
}  # fmt: skip


async def trial_balance(session: ReadSession, as_of: date | None) -> dict[str, Any]:
    """The books at the end of a day, of the organization's today where none is given."""
    day = as_of or clock.local_date(session.now, session.tenant.timezone)
    pairs = await session.fetch(_PAIRS, as_of=day)
    chart = await chart_of(session)
    sides: defaultdict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0])
    for row in pairs:
        sides[row["currency"], row["debit"]][0] += int(row["amount"])
        sides[row["currency"], row["credit"]][1] += int(row["amount"])
    totals: defaultdict[str, list[int]] = defaultdict(lambda: [0, 0])
    accounts = []
    for (currency, account), (debit, credit) in sorted(sides.items()):
        totals[currency][0] += debit
        totals[currency][1] += credit
        accounts.append(
            {
                "account": account,
                "kind": kind_of(account),
                "type": class_of(account),
                "code": chart.code(account),
                "name": chart.name(account),
                "currency": currency,
                "debit": exact(debit),
                "credit": exact(credit),
                "balance": exact(debit - credit),
            }
        )
    return {
        "as_of": day,
        "closed_through": await repository.closed_through(session),
        "unposted": await repository.count_unposted(session),
        "accounts": accounts,
        "totals": [
            {"currency": currency, "debit": exact(debit), "credit": exact(credit)}
            for currency, (debit, credit) in sorted(totals.items())
        ],
        "funds": _funds(pairs),
    }


def _funds(pairs: Iterable[Row]) -> list[dict[str, Any]]:
    """What each fund has received: the accounts of income and expense, by the fund of their journals."""
    sums: defaultdict[tuple[str, UUID | None], dict[str, int]] = defaultdict(
        lambda: {"income": 0, "refunds": 0, "chargebacks": 0, "fees": 0, "pledged": 0}
    )
    for row in pairs:
        for account, sign in ((row["debit"], 1), (row["credit"], -1)):
            name = _FUND_SUMS.get(kind_of(account))
            if name is not None:
                own = -sign if name in ("income", "pledged") else sign  # these grow by credit, what is taken by debit
                sums[row["currency"], row["fund_id"]][name] += own * int(row["amount"])
    found = []
    for (currency, fund_id), parts in sorted(sums.items(), key=lambda one: (one[0][0], str(one[0][1]))):
        net = parts["income"] - parts["refunds"] - parts["chargebacks"] - parts["fees"]
        amounts = {name: exact(amount) for name, amount in parts.items()}
        found.append({"fund_id": fund_id, "currency": currency, **amounts, "net": exact(net)})
    return found
