"""Annual receipts in bulk: some donors at a time, each step whole, so that a run goes on where it was broken off."""

from __future__ import annotations

from calendar import monthrange
from collections import defaultdict
from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any
from uuid import UUID

from crm_api.audit.service import record
from crm_api.donations.receipts import statements
from crm_api.donations.receipts.facts import ReceiptRunDue
from crm_api.donations.receipts.house import House, house_of
from crm_api.donations.receipts.issuing import Draft, donors_of, kind_of, obstacle, write
from crm_api.donations.receipts.models import receipt_runs
from crm_api.donations.receipts.service import days_of
from crm_api.kit import clock, simple
from crm_api.kit.db import ReadSession, Row, RowLike, WriteSession
from crm_api.kit.problems import Conflict, Forbidden
from crm_api.kit.updates import get_row, update_row
from crm_api.outbox.service import emit

AT_ONCE = 200
"""Donors of one step, which is one transaction."""
_NOBODY = UUID(int=0)
_CATCH_UP = timedelta(days=60)


def to_read(row: RowLike) -> dict[str, Any]:
    """A run as the API shows it."""
    names = ("id", "year", "state", "donors", "skipped", "reason", "finished_at", "version", "created_at",
             "updated_at")  # fmt: skip
    finished = row["state"] == "succeeded"
    return {
        **{name: row[name] for name in names},
        "receipts": row["issued"],
        "progress": 1.0 if finished else round(min(row["done"] / max(row["donors"], 1), 0.999), 3),
        "totals": [{"amount": {"amount": one["amount"], "currency": one["currency"]}} for one in row["totals"]],
    }


async def begin(session: WriteSession, year: int) -> dict[str, Any]:
    """Begin to issue annual receipts for a year. A year can be run again: who has a receipt gets no second one."""
    if session.limit is not None:
        raise Forbidden(
            "Annual receipts go to all donors of the organization, and you see those of your teams only. Ask an "
            "administrator to start them.",
            code="sees_a_part",
            scope="donations:write",
        )
    if (await house_of(session)).settings["mode"] == "none":
        raise Conflict(
            "This organization issues no receipts. Choose a mode with PUT /v1/receipt-settings.", code="receipts_off"
        )
    if year > clock.local_date(session.now, session.tenant.timezone).year:
        raise Conflict("That year has not begun. Ask for this one or one before.", code="year_not_begun")
    row = simple.add(
        session,
        receipt_runs,
        {
            "year": year,
            "state": "queued",
            "donors": 0,
            "done": 0,
            "issued": 0,
            "skipped": 0,
            "totals": [],
            "after_id": None,
            "reason": None,
            "finished_at": None,
        },
    )
    record(session, "receipt_run.started", "receipt_run", row["id"])
    emit(session, ReceiptRunDue(run_id=row["id"]))
    return row


async def get_run(session: ReadSession, run_id: UUID) -> Row:
    """One run, or 404."""
    return await get_row(session, receipt_runs, run_id, "annual run")


async def step(session: WriteSession, run_id: UUID) -> None:
    """Issue the receipts of the next donors, and call for the step after it."""
    run = await session.fetch_row(statements.LOCK_RUN, id=run_id)
    if run is None or run["state"] not in {"queued", "running"}:
        return
    days = days_of(run["year"])
    changes: dict[str, Any] = {"state": "running"}
    if run["state"] == "queued":
        changes["donors"] = await session.fetch_val(statements.COUNT_DONORS, **days)
    after = run["after_id"] or _NOBODY
    rows = await session.fetch(statements.NEXT_DONORS, after_id=after, most=AT_ONCE, **days)
    contact_ids = [row["contact_id"] for row in rows]
    if contact_ids:
        made = await _issue(session, run, contact_ids)
        changes |= {
            "after_id": contact_ids[-1],
            "done": run["done"] + len(contact_ids),
            "issued": run["issued"] + len(made),
            "skipped": run["skipped"] + len(contact_ids) - len(made),
            "totals": _added(run["totals"], made),
        }
    if len(contact_ids) == AT_ONCE:
        emit(session, ReceiptRunDue(run_id=run_id))
    else:
        changes |= {"state": "succeeded", "finished_at": session.now}
    await update_row(session, receipt_runs, run_id, changes, expected=None)


async def _issue(session: WriteSession, run: Row, contact_ids: Sequence[UUID]) -> list[dict[str, Any]]:
    """Receipts of some donors: the gifts that nothing covers, of those who have no annual receipt."""
    days = days_of(run["year"])
    locked = await session.fetch(statements.LOCK_GIFTS_OF_YEAR, contact_ids=list(contact_ids), **days)
    gifts = await session.fetch(statements.GIFTS, ids=[row["id"] for row in locked])
    have = await session.fetch(statements.HAVE_ANNUAL, contact_ids=list(contact_ids), year=run["year"])
    done = {row["contact_id"] for row in have}
    donors = await donors_of(session, contact_ids)
    house = await house_of(session)
    of_donor: defaultdict[UUID, list[Row]] = defaultdict(list)
    for gift in gifts:
        if obstacle(gift) is None and house.wants(kind=kind_of(gift), method=gift["method"], worth=None):
            of_donor[gift["contact_id"]].append(gift)
    drafts = []
    for contact_id in contact_ids:
        donor, fit = donors.get(contact_id), of_donor.get(contact_id)
        if not fit or contact_id in done or donor is None or donor["erased_at"] or donor["merged_into"]:
            continue
        if _enough(house, fit):
            by_email = house.settings["by_email"]
            drafts.append(Draft("annual", run["year"], contact_id, fit, by_email, run_id=run["id"]))
    return await write(session, house, drafts, donors)


def _enough(house: House, gifts: Sequence[Row]) -> bool:
    """Whether a donor's sum reaches the smallest one; a gift without a rate speaks for the donor."""
    known = [gift["base_counted"] for gift in gifts]
    return house.enough(None if None in known else sum(known))


def _added(totals: Sequence[dict[str, Any]], made: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Sums of each currency with those of new receipts."""
    sums = {one["currency"]: int(one["amount"]) for one in totals}
    for row in made:
        for one in row["totals"]:
            sums[one["currency"]] = sums.get(one["currency"], 0) + one["amount"]
    return [{"currency": code, "amount": amount} for code, amount in sums.items()]


async def gave_up(session: WriteSession, run_id: UUID) -> None:
    """The work died: the run has failed, and can be begun anew."""
    run = await session.fetch_row(statements.LOCK_RUN, id=run_id)
    if run is not None and run["state"] in {"queued", "running"}:
        reason = (
            "A step could not be done; see GET /v1/jobs for the reason. Start the year again: it goes on from here."
        )
        changes = {"state": "failed", "reason": reason, "finished_at": session.now}
        await update_row(session, receipt_runs, run_id, changes, expected=None)


def day_has_come(today: date, annual_on: str) -> bool:
    """Whether it is the day of annual receipts, or not long after it: a worker may have stood still, but nobody who
    switches this on in summer wants the year before sent to everybody at once."""
    month, day = map(int, annual_on.split("-"))
    last = monthrange(today.year, month)[1]
    begins = date(today.year, month, min(day, last))
    return begins <= today <= begins + _CATCH_UP


async def begin_by_itself(session: WriteSession) -> None:
    """Begin the run of the year before, on the day that the settings name or the first one after it; once."""
    settings = (await house_of(session)).settings
    if settings["mode"] != "annual" or not settings["automatic"]:
        return
    today = clock.local_date(session.now, session.tenant.timezone)
    if not day_has_come(today, settings["annual_on"]):
        return
    if await session.fetch_val(statements.RUN_OF_YEAR, year=today.year - 1) is None:
        await begin(session, today.year - 1)
