"""Verbs of receipts. Whoever issues one locks its gifts first, then the receipts concerned, then the counter."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from typing import Any
from uuid import UUID

from crm_api.audit.service import record
from crm_api.donations.receipts import statements
from crm_api.donations.receipts.facts import ReceiptVoided
from crm_api.donations.receipts.house import House, house_of
from crm_api.donations.receipts.issuing import SETTLED, Draft, deductible, donors_of, kind_of, living, obstacle, write
from crm_api.donations.receipts.schemas import ReceiptCreate, ReceiptReissue, ReceiptVoid
from crm_api.kit.db import ReadSession, Row, RowLike, WriteSession
from crm_api.kit.problems import Conflict, NotFound
from crm_api.kit.updates import check_version
from crm_api.outbox.service import emit

VERIFY_PATH = "/receipts/verify/"
_READ = (
    "id", "number", "kind", "status", "year", "contact_id", "issued_on", "issued_at", "language", "specimen",
    "by_email", "replaces", "replaced_by", "voided_at", "void_cause", "void_reason", "run_id", "version", "created_at",
    "updated_at",
)  # fmt: skip


def verify_url(public_url: str, code: str) -> str:
    """Where everybody can check a receipt."""
    return f"{public_url.rstrip('/')}{VERIFY_PATH}{code}"


def to_read(public_url: str, row: RowLike) -> dict[str, Any]:
    """A receipt as the API shows it."""
    totals = [
        {
            "amount": {"amount": one["amount"], "currency": one["currency"]},
            "deductible": {"amount": one["deductible"], "currency": one["currency"]},
        }
        for one in row["totals"]
    ]
    return {**{name: row[name] for name in _READ}, "totals": totals, "verify_url": verify_url(public_url, row["code"])}


def line_to_read(row: RowLike) -> dict[str, Any]:
    """A gift on a receipt as the API shows it."""
    return {
        "donation_id": row["gift_id"],
        "gift_date": row["gift_date"],
        "method": row["method"],
        "description": row["description"],
        "amount": {"amount": row["amount"], "currency": row["currency"]},
        "deductible": {"amount": row["deductible"], "currency": row["currency"]},
    }


async def get_receipt(session: ReadSession, receipt_id: UUID) -> Row:
    """One receipt, or 404."""
    row = await session.fetch_row(statements.GET, id=receipt_id)
    if row is None:
        raise NotFound("There is no such receipt.")
    return row


async def lines_of(session: ReadSession, receipt_id: UUID) -> list[Row]:
    """The gifts of a receipt, in its order."""
    return await session.fetch(statements.LINES, receipt_id=receipt_id)


async def issue(session: WriteSession, body: ReceiptCreate) -> dict[str, Any]:
    """Issue what was asked for by hand; its row. 409 where the organization issues none, or nothing is left to."""
    house = await house_of(session)
    if house.settings["mode"] == "none":
        raise Conflict(
            "This organization issues no receipts. Choose a mode with PUT /v1/receipt-settings.", code="receipts_off"
        )
    by_email = house.settings["by_email"] if body.by_email is None else body.by_email
    if body.donation_id is not None:
        return await issue_for_gift(session, house, body.donation_id, by_email=by_email)
    assert body.contact_id is not None
    assert body.year is not None
    return await issue_for_year(session, house, body.contact_id, body.year, by_email=by_email)


async def _locked(session: WriteSession, gift_ids: Iterable[UUID]) -> list[Row]:
    """Gifts as they are once nobody else can change them, each with the receipt that covers it. Two statements: the
    second sees what whoever held the locks has written."""
    ids = sorted(set(gift_ids))
    await session.fetch(statements.LOCK_GIFTS, ids=ids)
    return await session.fetch(statements.GIFTS, ids=ids)


async def issue_for_gift(
    session: WriteSession, house: House, gift_id: UUID, *, by_email: bool, replaces: RowLike | None = None
) -> dict[str, Any]:
    """Issue the receipt of one gift; its row. 409 where it has one, or gets none."""
    gifts = await _locked(session, [gift_id])
    if not gifts:
        raise NotFound.reference("donation_id")
    (gift,) = gifts
    problem = obstacle(gift)
    if problem is not None:
        raise problem
    donors = await donors_of(session, [gift["contact_id"]])
    living(donors.get(gift["contact_id"]), gift["contact_id"])
    draft = Draft(kind_of(gift), gift["gift_date"].year, gift["contact_id"], gifts, by_email, replaces)
    (row,) = await write(session, house, [draft], donors)
    await _link(session, row, replaces)
    return row


async def _link(session: WriteSession, row: RowLike, replaces: RowLike | None) -> None:
    if replaces is not None:
        await session.flush()
        await session.execute(statements.REPLACED, id=replaces["id"], new_id=row["id"], now=session.now)


def days_of(year: int) -> dict[str, date]:
    """The first and the last day of a year."""
    return {"first": date(year, 1, 1), "last": date(year, 12, 31)}


async def issue_for_year(
    session: WriteSession,
    house: House,
    contact_id: UUID,
    year: int,
    *,
    by_email: bool,
    replaces: RowLike | None = None,
) -> dict[str, Any]:
    """Issue a donor's annual receipt for the gifts that have none; its row. One per donor and year: what comes later
    is put on it by reissuing it."""
    donors = await donors_of(session, [contact_id])
    living(donors.get(contact_id), contact_id)
    locked = await session.fetch(statements.LOCK_GIFTS_OF_YEAR, contact_ids=[contact_id], **days_of(year))
    gifts = await session.fetch(statements.GIFTS, ids=[row["id"] for row in locked])
    have = await session.fetch_row(statements.HAVE_ANNUAL, contact_ids=[contact_id], year=year)
    if have is not None:
        raise Conflict(
            f"This donor has an annual receipt for {year}. Reissue it, and it takes in the gifts that came later.",
            code="already_receipted",
            receipt_id=str(have["id"]),
        )
    fit = [gift for gift in gifts if gift["contact_id"] == contact_id and obstacle(gift) is None]
    if not fit:
        raise Conflict(f"No gift of {year} is without a receipt and can get one.", code="nothing_to_receipt")
    (row,) = await write(session, house, [Draft("annual", year, contact_id, fit, by_email, replaces)], donors)
    await _link(session, row, replaces)
    return row


async def _void(
    session: WriteSession, row: RowLike, *, cause: str, reason: str | None, dropped: Sequence[UUID] = ()
) -> Row:
    """Void a locked receipt: its gifts are free for another. `dropped` ones were the cause."""
    await session.execute(statements.RELEASE, receipt_id=row["id"], dropped=list(dropped))
    voided = await session.fetch_row(statements.VOID, id=row["id"], cause=cause, reason=reason, now=session.now)
    assert voided is not None
    record(session, "receipt.voided", "receipt", row["id"])
    emit(session, ReceiptVoided(receipt_id=row["id"], contact_id=row["contact_id"], file=row["file"]))
    return voided


async def _lock(session: WriteSession, receipt_id: UUID, expected: int | None) -> Row:
    row = await session.fetch_row(statements.LOCK, id=receipt_id)
    if row is None:
        raise NotFound("There is no such receipt.")
    check_version(row["version"], expected)
    return row


async def void(session: WriteSession, receipt_id: UUID, body: ReceiptVoid, *, expected: int | None) -> Row:
    """Void a receipt by hand; its row. It keeps its number, and nothing is issued in its place by itself."""
    row = await _lock(session, receipt_id, expected)
    if row["status"] != "active":
        raise Conflict("This receipt is void already.", code="already_void")
    return await _void(session, row, cause="staff", reason=body.reason)


async def reissue(
    session: WriteSession, receipt_id: UUID, body: ReceiptReissue, *, expected: int | None
) -> dict[str, Any]:
    """Issue a receipt anew, by hand; the new one's row. The old one is void, if it was not already."""
    old = await get_receipt(session, receipt_id)
    by_email = old["by_email"] if body.by_email is None else body.by_email
    row = await replace(session, old, by_email=by_email, expected=expected, reason=body.reason, by_hand=True)
    assert row is not None
    return row


async def replace(
    session: WriteSession,
    old: RowLike,
    *,
    by_email: bool,
    expected: int | None = None,
    reason: str | None = None,
    by_hand: bool = False,
) -> dict[str, Any] | None:
    """Put a receipt that says what is true now in the place of another; the new one's row. Where nothing is left to be
    receipted the old one is voided alone, or, by hand, a 409 says so."""
    house = await house_of(session)
    before = [line["gift_id"] for line in await lines_of(session, old["id"])]
    wanted = set(before)
    if old["kind"] == "annual":
        year = days_of(old["year"])
        wanted |= {
            row["id"]
            for row in await session.fetch(statements.LOCK_GIFTS_OF_YEAR, contact_ids=[old["contact_id"]], **year)
        }
    gifts = await _locked(session, wanted)
    row = await _lock(session, old["id"], expected)
    if row["replaced_by"] is not None:
        raise Conflict(
            "This receipt was replaced already. Reissue the one that took its place.",
            code="already_replaced",
            receipt_id=str(row["replaced_by"]),
        )
    fit = [gift for gift in gifts if _still(gift, row)]
    if not fit and by_hand:
        raise Conflict("No gift of this receipt can get one now. Void it instead.", code="nothing_to_receipt")
    contact_id = fit[0]["contact_id"] if fit else row["contact_id"]
    donors = await donors_of(session, [contact_id])
    if by_hand:
        living(donors.get(contact_id), contact_id)
    elif donors[contact_id]["erased_at"] is not None:
        fit = []
    if row["status"] == "active":
        dropped = [] if by_hand else sorted(set(before) - {gift["id"] for gift in fit})
        await _void(session, row, cause="reissued" if fit else "gift_changed", reason=reason, dropped=dropped)
    if not fit:
        return None
    kind = row["kind"] if row["kind"] == "annual" else kind_of(fit[0])
    year_of = row["year"] if row["kind"] == "annual" else fit[0]["gift_date"].year
    (made,) = await write(session, house, [Draft(kind, year_of, contact_id, fit, by_email, row)], donors)
    await _link(session, made, row)
    return made


def _still(gift: RowLike, old: RowLike) -> bool:
    """Whether a gift belongs on the receipt that takes another's place."""
    if obstacle(gift, instead_of=old["id"]) is not None:
        return False
    if old["kind"] != "annual":
        return True
    return bool(gift["contact_id"] == old["contact_id"] and gift["gift_date"].year == old["year"])


# What follows from a change of a gift


async def follow(session: WriteSession, gift_id: UUID) -> None:
    """Bring receipts in line with a gift: correct the one that covers it, give back one that the gift lost, or issue
    the first where that happens by itself. Doing it twice changes nothing the second time."""
    standing = await session.fetch_row(statements.STANDING, gift_id=gift_id)
    found = await session.fetch(statements.GIFTS, ids=[gift_id])
    if not found:
        return
    (gift,) = found
    if standing is not None and standing["active"]:
        if not _agrees(gift, standing):
            old = await get_receipt(session, standing["receipt_id"])
            await replace(session, old, by_email=old["by_email"])
        return
    if obstacle(gift) is not None:
        return
    house = await house_of(session)
    if standing is not None:
        if standing["dropped"]:
            await _give_back(session, house, gift, standing)
        return  # voided by hand: a person decides what comes of it
    settings = house.settings
    automatic = settings["automatic"] and settings["mode"] == "per_gift"
    wanted = automatic and house.wants(kind=kind_of(gift), method=gift["method"], worth=gift["base_counted"])
    if wanted and await _can_receive(session, gift["contact_id"]):
        await issue_for_gift(session, house, gift_id, by_email=settings["by_email"])


def _agrees(gift: RowLike, standing: RowLike) -> bool:
    """Whether a receipt still says what is true of a gift."""
    stands = gift["status"] in SETTLED and gift["superseded_by"] is None
    now = (gift["contact_id"], gift["currency"], gift["counted"], deductible(gift))
    return bool(stands and now == tuple(standing[name] for name in ("contact_id", "currency", "amount", "deductible")))


async def _can_receive(session: WriteSession, contact_id: UUID) -> bool:
    donor = (await donors_of(session, [contact_id])).get(contact_id)
    return donor is not None and bool(donor["erased_at"] is None and donor["merged_into"] is None)


async def _give_back(session: WriteSession, house: House, gift: RowLike, standing: RowLike) -> None:
    """A refund failed after all, or a dispute was won: the gift gets a receipt of the kind it had."""
    contact_id = gift["contact_id"]
    if not await _can_receive(session, contact_id):
        return
    lost = await get_receipt(session, standing["receipt_id"])
    free = lost if lost["replaced_by"] is None and lost["status"] == "void" else None
    if lost["kind"] != "annual":
        await issue_for_gift(session, house, gift["id"], by_email=lost["by_email"], replaces=free)
        return
    have = await session.fetch_row(statements.HAVE_ANNUAL, contact_ids=[contact_id], year=gift["gift_date"].year)
    if have is not None:
        await replace(session, await get_receipt(session, have["id"]), by_email=lost["by_email"])
        return
    same = free if contact_id == lost["contact_id"] and gift["gift_date"].year == lost["year"] else None
    await issue_for_year(session, house, contact_id, gift["gift_date"].year, by_email=lost["by_email"], replaces=same)


async def check_many(session: WriteSession, most: int) -> bool:
    """Compare receipts with gifts that changed in bulk; whether there may be more."""
    rows = await session.fetch(statements.UNFIT, most=most)
    for row in rows:
        await follow(session, row["gift_id"])
    return len(rows) == most
