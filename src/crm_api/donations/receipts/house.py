"""What the organization says of its receipts: settings, with defaults where it never said anything."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from crm_api.audit.service import record
from crm_api.documents.service import get_document
from crm_api.documents.storage import FileStore, Stored
from crm_api.donations.receipts import statements
from crm_api.donations.receipts.rendering.words import FALLBACK
from crm_api.donations.receipts.schemas import ReceiptSettings
from crm_api.kit.db import ReadSession, Row, WriteSession
from crm_api.kit.problems import Invalid, NotFound, PreconditionFailed

LOGO_AREA = "receipt_logos"
MOST_LOGO_BYTES = 500_000
_DEFAULTS: dict[str, Any] = ReceiptSettings().model_dump(mode="json")


@dataclass(frozen=True, slots=True)
class House:
    """The organization and its settings, as receipts that are issued now take them."""

    name: str
    website: str | None
    postal_address: str | None
    settings: dict[str, Any]
    logo_file: str | None
    version: int

    def legal_text(self, language: str) -> str:
        """What the law wants said, in that language, else in English, else in any."""
        texts = {name: text for name, text in self.settings["legal_text"].items() if text}
        return str(texts.get(language) or texts.get(FALLBACK) or next(iter(texts.values()), ""))

    def wants(self, *, kind: str, method: str, worth: int | None) -> bool:
        """Whether a gift is one that receipts are issued for by themselves. `worth`: in the organization's currency;
        what has no rate yet is not held to be small."""
        chosen = self.settings
        if chosen["kinds"] is not None and kind not in chosen["kinds"]:
            return False
        if chosen["methods"] is not None and method not in chosen["methods"]:
            return False
        return self.enough(worth)

    def enough(self, worth: int | None) -> bool:
        """Whether a sum reaches the smallest one."""
        least = self.settings["minimum_amount"]
        return least is None or worth is None or worth >= least


async def house_of(session: ReadSession) -> House:
    """The organization's settings."""
    row = await session.fetch_row(statements.HOUSE)
    if row is None:
        raise NotFound("There is no such organization.")
    known = row["mode"] is not None
    return House(
        name=row["name"],
        website=row["website"],
        postal_address=row["postal_address"],
        settings={name: row[name] for name in _DEFAULTS} if known else dict(_DEFAULTS),
        logo_file=row["logo_file"],
        version=row["version"] if known else 0,
    )


def to_read(house: House) -> dict[str, Any]:
    """The settings as the API shows them."""
    return {**house.settings, "version": house.version}


async def save(
    session: WriteSession, body: ReceiptSettings, *, logo_file: str | None, expected: int | None
) -> dict[str, Any]:
    """Replace the settings. What is issued already stays as it is. 412 on another version."""
    said = body.model_dump(mode="json")
    wanted = None if expected == 0 else expected
    row: Row | None = None
    if expected is None or expected == (await house_of(session)).version:
        row = await session.fetch_row(
            statements.SAVE_SETTINGS,
            **{**said, "logo_document_id": body.logo_document_id},
            logo_file=logo_file,
            expected=wanted,
            now=session.now,
        )
    if row is None:
        raise PreconditionFailed(
            "The settings have changed. Read them again, then repeat your change with the new ETag."
        )
    record(session, "receipt_settings.changed", "receipt_settings", session.organization_id, fields=said)
    return {**said, "version": row["version"]}


async def logo_of(session: ReadSession, files: FileStore, body: ReceiptSettings) -> str | None:
    """The name of a copy of the logo's file; call it before anything is written. A receipt needs its logo for as long
    as the receipt is kept, whatever becomes of the document."""
    if body.logo_document_id is None:
        return None
    before = await house_of(session)
    if before.logo_file is not None and str(before.settings["logo_document_id"]) == str(body.logo_document_id):
        return before.logo_file
    try:
        document = await get_document(session, body.logo_document_id)
    except NotFound:
        raise NotFound.reference("logo_document_id") from None
    content = b""
    if document["size"] <= MOST_LOGO_BYTES:
        content = b"".join([piece async for piece in files.read(document["file"])])
    from crm_api.donations.receipts.rendering.document import usable_logo  # fonts and pictures, when first needed

    if not content or not usable_logo(content):
        raise Invalid.at(
            "/logo_document_id", "logo_unusable", "A logo is a PNG or JPEG of at most 500 kB and four megapixels."
        )
    return (await keep(files, session, LOGO_AREA, content, document["media_type"], document["filename"])).name


async def keep(
    files: FileStore, session: ReadSession, area: str, content: bytes, media_type: str, filename: str
) -> Stored:
    """Store bytes as a file of the organization."""

    async def pieces() -> Any:
        yield content

    name = files.new_name(session.organization_id, area)
    return await files.write(name, pieces(), max_bytes=len(content), media_type=media_type, filename=filename)
