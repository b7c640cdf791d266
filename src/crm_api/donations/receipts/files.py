"""The PDFs of receipts: rendered when first needed, outside any transaction, and kept in the file store."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

from crm_api.documents.storage import FileStore
from crm_api.donations.receipts import statements
from crm_api.donations.receipts.house import keep
from crm_api.donations.receipts.service import get_receipt, lines_of, verify_url
from crm_api.kit import clock
from crm_api.kit.db import Actor, Database, ReadSession, Row, RowLike, Tenant
from crm_api.kit.money import Money
from crm_api.kit.problems import NotFound, Unavailable

if TYPE_CHECKING:
    from crm_api.donations.receipts.rendering.document import Content

AREA = "receipts"
MEDIA_TYPE = "application/pdf"
_ORPHAN_AGE = timedelta(days=1)
_TRIES = 3


def filename_of(row: RowLike) -> str:
    """What the document is called: its number, made fit for every file system."""
    plain = "".join(one if one.isalnum() or one in "-." else "-" for one in row["number"])
    return f"{plain}.pdf"


async def pdf_of(
    database: Database, tenant: Tenant, actor: Actor, files: FileStore, receipt_id: UUID, *, public_url: str
) -> tuple[Row, bytes]:
    """A receipt and its PDF, from the store or rendered now. 404 where there is no such receipt."""
    session = database.read(tenant, actor)
    for _ in range(_TRIES):
        row = await get_receipt(session, receipt_id)
        if row["file"] is not None:
            try:
                return row, b"".join([piece async for piece in files.read(row["file"])])
            except NotFound:
                pass  # lost, or just replaced: made anew
        content = await _made(session, row, files, public_url)
        if await _kept(database, session, row, files, content):
            return row, content
    raise Unavailable("The receipt is being changed. Ask again in a moment.")


async def _made(session: ReadSession, row: Row, files: FileStore, public_url: str) -> bytes:
    lines = await lines_of(session, row["id"])
    from crm_api.donations.receipts.rendering.document import render  # fonts and pictures, when first needed

    logo: bytes | None = None
    if row["snapshot"]["logo"] is not None:
        try:
            logo = b"".join([piece async for piece in files.read(row["snapshot"]["logo"])])
        except NotFound:
            logo = None
    return await asyncio.to_thread(render, content_of(row, lines, logo, public_url, session.tenant.timezone))


def content_of(row: RowLike, lines: Sequence[RowLike], logo: bytes | None, public_url: str, zone: str) -> Content:
    """What a receipt shows, from its row alone: nothing that may have changed since is looked up."""
    from crm_api.donations.receipts.rendering.document import Content, Line

    told: dict[str, Any] = row["snapshot"]
    voided_at = row["voided_at"]
    return Content(
        kind=row["kind"],
        number=row["number"],
        language=row["language"],
        issued_at=row["issued_at"],
        issued_on=row["issued_on"],
        year=row["year"],
        donor_name=told["donor"]["name"],
        donor_latin_name=told["donor"]["latin_name"] or "",
        donor_address=tuple(told["donor"]["address"]),
        organization_name=told["organization"]["name"],
        organization_lines=tuple(told["organization"]["lines"]),
        legal_text=told["legal_text"],
        signatory_name=told["signatory"]["name"] or "",
        signatory_title=told["signatory"]["title"] or "",
        lines=tuple(
            Line(
                line["gift_date"],
                line["method"],
                line["description"],
                Money(line["amount"], line["currency"]),
                Money(line["deductible"], line["currency"]),
            )
            for line in lines
        ),
        totals=tuple(
            (Money(one["amount"], one["currency"]), Money(one["deductible"], one["currency"])) for one in row["totals"]
        ),
        verify_url=verify_url(public_url, row["code"]),
        logo=logo,
        specimen=row["specimen"],
        voided_on=None if voided_at is None else clock.local_date(voided_at, zone),
        replaces=told["replaces"] or "",
    )


async def _kept(database: Database, session: ReadSession, row: Row, files: FileStore, content: bytes) -> bool:
    """Store a PDF and let the row name it; false where somebody was faster, or the receipt has changed meanwhile."""
    stored = await keep(files, session, AREA, content, MEDIA_TYPE, filename_of(row))
    async with database.write(session.tenant, session.actor) as writing:
        named = await writing.execute(
            statements.KEEP_FILE, id=row["id"], version=row["version"], before=row["file"], file=stored.name
        )
    if not named:
        await files.delete(stored.name)
    return bool(named)


async def sweep(database: Database, tenant: Tenant, files: FileStore) -> int:
    """Remove PDFs that no receipt names and that are older than a day; how many."""
    removed = 0
    before = clock.utc_now() - _ORPHAN_AGE
    session = database.read(tenant)
    async for batch in files.listing(tenant.id, AREA):
        old = [one.name for one in batch if one.modified < before]
        named = {row["file"] for row in await session.fetch(statements.NAMED, files=old)} if old else set()
        for name in old:
            if name not in named:
                await files.delete(name)
                removed += 1
    return removed
