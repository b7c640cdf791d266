"""Letters that bring a receipt: one for each, with the document attached."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy import text

from crm_api.communications.channels.channel import Attachment
from crm_api.communications.deliveries.permits import FACTS
from crm_api.communications.deliveries.queueing import queue
from crm_api.communications.templates.render import format_date, format_money
from crm_api.donations.receipts import files
from crm_api.kit.db import SYSTEM, RowLike, Tenant, WriteSession, prepare
from crm_api.kit.money import Money
from crm_api.outbox.facts import Job

_KIND = "receipt"
_RECEIPT = prepare(
    text(
        f"SELECT r.status, r.language AS receipt_language, c.id, {FACTS} FROM receipts r "
        "JOIN contacts c ON c.organization_id = r.organization_id AND c.id = r.contact_id "
        "JOIN organizations o ON o.id = r.organization_id "
        "WHERE r.organization_id = :organization_id AND r.id = :id FOR NO KEY UPDATE OF c"
    )
)


async def decide(session: WriteSession, receipt_id: UUID) -> None:
    """Queue the letter of a receipt whose document is there, unless the receipt is void or the donor cannot be
    written to. In the receipt's own language."""
    row = await session.fetch_row(_RECEIPT, id=receipt_id)
    if row is None or row["status"] != "active":
        return
    key = f"{_KIND}:{receipt_id}"
    await queue(session, _KIND, row, key, language=row["receipt_language"], receipt_id=receipt_id)


async def attached(runner: Any, tenant: Tenant, job: Job) -> tuple[Attachment, ...]:
    """The document that goes with a letter; most have none."""
    receipt_id = job.payload.get("receipt_id")
    if receipt_id is None:
        return ()
    row, content = await files.pdf_of(
        runner.database, tenant, SYSTEM, runner.files, UUID(receipt_id), public_url=runner.settings.public_url
    )
    return (Attachment(files.filename_of(row), files.MEDIA_TYPE, content),)


def told(row: RowLike) -> dict[str, Any]:
    """What the letter says of its receipt."""
    if row["receipt_number"] is None:
        return {}
    language = row["language"]
    sums = [format_money(Money(one["amount"], one["currency"]), language) for one in row["totals"]]
    return {
        "number": row["receipt_number"],
        "date_text": format_date(row["issued_on"], language),
        "amount_text": ", ".join(sums),
        "year": str(row["receipt_year"]) if row["receipt_kind"] == "annual" else None,
    }
