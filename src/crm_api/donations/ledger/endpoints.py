"""HTTP of the books: trial balance, journals, accounts, export, posting again."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any
from uuid import UUID

from fastapi import Query, Response
from fastapi.responses import StreamingResponse

from crm_api.donations.gifts.service import get_gift
from crm_api.donations.ledger import chart, posting
from crm_api.donations.ledger import export as exporting
from crm_api.donations.ledger.fields import ACCOUNTS, JOURNALS
from crm_api.donations.ledger.schemas import (
    ChartPut,
    ChartRead,
    JournalPage,
    LedgerAccountPage,
    PostingRead,
    TrialBalance,
)
from crm_api.donations.ledger.trial import trial_balance
from crm_api.idempotency.boundary import json_body, list_query, reads, router, writes
from crm_api.kit.db import ReadSession, RowLike, WriteSession
from crm_api.kit.listing import ListQuery, read_page
from crm_api.kit.problems import Invalid
from crm_api.kit.reply import reply
from crm_api.kit.schemas import QueryDay

routes = router("ledger")
_CSV: dict[int | str, dict[str, Any]] = {
    200: {"content": {"text/csv": {"schema": {"type": "string"}}}, "description": "The journals' lines"}
}


def journal_to_read(row: RowLike) -> dict[str, Any]:
    """A posting as the API shows it."""
    return {
        "id": row["id"],
        "kind": row["kind"],
        "donation_id": row["gift_id"],
        "payout_id": row["payout_id"],
        "pledge_id": row["pledge_id"],
        "journal_date": row["journal_date"],
        "relates_to": None if row["movement_date"] == row["journal_date"] else row["movement_date"],
        "debit_account": row["debit"],
        "credit_account": row["credit"],
        "amount": {"amount": row["amount"], "currency": row["currency"]},
        "fund_id": row["fund_id"],
        "recorded_at": row["recorded_at"],
    }


@routes.get("/v1/ledger/trial-balance", operation_id="ledger_trial_balance", response_model=TrialBalance)
async def ledger_trial_balance(
    session: Annotated[ReadSession, reads("ledger:read")],
    as_of: Annotated[QueryDay | None, Query(description="The end of this day; today when not given.")] = None,
) -> Response:
    """Every account at the end of a day, per currency, and what each fund has received."""
    # Whole also where some contacts are hidden: a balance tells of nobody, and half of one would be wrong.
    return reply(await trial_balance(session.whole(), as_of))


@routes.get("/v1/ledger/journals", operation_id="ledger_journals_list", response_model=JournalPage)
async def ledger_journals_list(
    session: Annotated[ReadSession, reads("ledger:read")], query: Annotated[ListQuery, list_query(JOURNALS)]
) -> Response:
    """List postings, by the day of the books, newest first."""
    return await read_page(session, JOURNALS, query, journal_to_read)


@routes.get("/v1/ledger/accounts", operation_id="ledger_accounts_list", response_model=LedgerAccountPage)
async def ledger_accounts_list(
    session: Annotated[ReadSession, reads("ledger:read")], query: Annotated[ListQuery, list_query(ACCOUNTS)]
) -> Response:
    """List the accounts of the books, with their codes in the organization's own chart."""
    known = await chart.chart_of(session)
    return await read_page(session, ACCOUNTS, query, lambda row: chart.to_read(known, row))


@routes.put("/v1/ledger/accounts", operation_id="ledger_accounts_put", response_model=ChartRead)
async def ledger_accounts_put(
    session: Annotated[WriteSession, writes("ledger:write")], body: Annotated[ChartPut, json_body(ChartPut)]
) -> Response:
    """Give accounts codes and names of the organization's own chart. `income:*` stands for every account of a kind."""
    return reply(await chart.put_chart(session, body))


@routes.get("/v1/ledger/export", operation_id="ledger_export", response_class=Response, responses=_CSV)
async def ledger_export(
    session: Annotated[ReadSession, reads("ledger:read")],
    first: Annotated[QueryDay | None, Query(alias="from", description="First day of the books.")] = None,
    last: Annotated[QueryDay | None, Query(alias="to", description="Last day of the books.")] = None,
) -> Response:
    """The journals as CSV for accounting, two lines for each; no cell is taken for a formula."""
    _in_order(first, last)
    headers = {"Content-Disposition": 'attachment; filename="journals.csv"', "Cache-Control": "private, no-store"}
    return StreamingResponse(exporting.export(session, first, last), media_type="text/csv", headers=headers)


def _in_order(first: date | None, last: date | None) -> None:
    if first is not None and last is not None and first > last:
        raise Invalid.at("?to", "before_start", "to must not lie before from.")


@routes.post("/v1/donations/{donation_id}/postings", operation_id="donations_post", response_model=PostingRead)
async def donations_post(session: Annotated[WriteSession, writes("ledger:write")], donation_id: UUID) -> Response:
    """Post what the books of a gift lack, now: after a proof has named it. Nothing is written where they are right."""
    await get_gift(session, donation_id)
    return reply({"donation_id": donation_id, "posted": await posting.post_gifts(session, [donation_id])})
