"""Verbs of the chart of accounts: what the accounts of the books are called, and their codes in the organization's own
chart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import text

from crm_api.audit.service import record
from crm_api.donations.ledger.accounts import ANY, NAMES, class_of, kind_of
from crm_api.donations.ledger.schemas import ChartPut
from crm_api.kit.db import ReadSession, RowLike, WriteSession, prepare
from crm_api.kit.ids import new_id
from crm_api.kit.problems import FieldError, Invalid

_CHART = prepare(
    text("SELECT account, code, name FROM ledger_accounts WHERE organization_id = :organization_id ORDER BY account")
)
_DETAILS = prepare(
    text(
        """
        SELECT CAST(f.id AS text) AS id, f.name FROM funds f WHERE f.organization_id = :organization_id
        UNION ALL
        SELECT CAST(c.id AS text), c.name FROM payment_connections c WHERE c.organization_id = :organization_id
        """
    )
)
_PUT = prepare(
    text(
        """
        INSERT INTO ledger_accounts AS a (organization_id, id, account, kind, code, name, version, created_at,
            updated_at)
        SELECT :organization_id, r.id, r.account, r.kind, r.code, r.name, 1, :now, :now
        FROM jsonb_to_recordset(:accounts) AS r(id uuid, account text, kind text, code text, name text)
        ORDER BY r.account
        ON CONFLICT (organization_id, account) DO UPDATE SET code = excluded.code, name = excluded.name,
            version = a.version + 1, updated_at = excluded.updated_at
        RETURNING a.*
        """
    )
)


@dataclass(frozen=True, slots=True)
class Chart:
    """Codes and names by account; accounts without a code of their own have that of their kind (``income:*``)."""

    codes: Mapping[str, str | None]
    names: Mapping[str, str | None]
    details: Mapping[str, str]

    def code(self, account: str) -> str | None:
        """The organization's own code of the account."""
        return self.codes.get(account) or self.codes.get(f"{kind_of(account)}:{ANY}")

    def name(self, account: str) -> str:
        """What the account is called: the name it was given, else what it stands for."""
        kind, _, stands_for = account.partition(":")
        given = self.names.get(account)
        if given:
            return given
        plain = self.names.get(f"{kind}:{ANY}") or NAMES[kind]
        if stands_for in (ANY, "none", "payments", "payouts", "goods", "pledges"):
            return plain
        return f"{plain}: {self.details.get(stands_for, stands_for.replace('_', ' '))}"


async def chart_of(session: ReadSession) -> Chart:
    """The organization's chart."""
    rows = await session.fetch(_CHART)
    details = {row["id"]: row["name"] for row in await session.fetch(_DETAILS)}
    return Chart({row["account"]: row["code"] for row in rows}, {row["account"]: row["name"] for row in rows}, details)


def to_read(chart: Chart, row: RowLike) -> dict[str, Any]:
    """An account as the API shows it."""
    account = row["account"]
    return {
        "id": row["id"],
        "account": account,
        "kind": row["kind"],
        "type": class_of(account),
        "code": row["code"],
        "effective_code": chart.code(account),
        "name": chart.name(account),
        "version": row["version"],
        "created_at": row["created_at"],
        "updated_at": row["updated_at"],
    }


async def put_chart(session: WriteSession, body: ChartPut) -> dict[str, Any]:
    """Give accounts their codes and names in the organization's chart; accounts that are not listed keep theirs. An
    account has to be in use already, or stand for a whole kind."""
    known = (await chart_of(session)).codes
    said = "Use an account of GET /v1/ledger/accounts, or kind:*."
    wrong = [
        FieldError(f"/accounts/{place}/account", "unknown_account", said)
        for place, one in enumerate(body.accounts)
        if one.account not in known and not one.account.endswith(f":{ANY}")
    ]
    if wrong:
        raise Invalid("The chart names accounts that the books do not have; see errors.", errors=wrong)
    accounts = {
        one.account: {"id": new_id(), "kind": kind_of(one.account), **one.model_dump()} for one in body.accounts
    }
    rows = await session.fetch(_PUT, accounts=list(accounts.values()), now=session.now)
    for row in rows:
        record(session, "ledger_account.mapped", "ledger_account", row["id"], fields=["code", "name"])
    chart = await chart_of(session)
    return {"data": [to_read(chart, row) for row in sorted(rows, key=lambda one: str(one["account"]))]}
