"""Everything that is kept of a person in one archive: JSON per table, the files, and a page to read it by.

The page is in the person's language. What belongs to others is left out: rows name other people by their ids at most,
secrets and the organization's internals are not in it.
"""

from __future__ import annotations

import asyncio
import json
import re
import tempfile
import zipfile
from collections.abc import AsyncIterator, Mapping
from datetime import date, datetime
from decimal import Decimal
from html import escape
from pathlib import PurePosixPath
from typing import IO, Any
from uuid import UUID

from crm_api.contacts.consents.page import language_of
from crm_api.contacts.privacy import declared
from crm_api.contacts.privacy.erasing import person_of
from crm_api.contacts.service import get_contact
from crm_api.documents.storage import FileStore, Stored
from crm_api.kit.db import ReadSession
from crm_api.kit.problems import NotFound

FILE_NAME = "personal-data.zip"
AREA = "subject_exports"
_AT_ONCE = 2_000
_LARGEST = 5_000_000_000
_PIECE = 1 << 20
_WORDS: Mapping[str, tuple[str, str, str]] = {
    "en": ("Your personal data", "Made on", "Files"),
    "uk": ("Ваші персональні дані", "Створено", "Файли"),
    "ka": ("თქვენი პერსონალური მონაცემები", "შექმნილია", "ფაილები"),
    "ru": ("Ваши персональные данные", "Создано", "Файлы"),
    "ar": ("بياناتك الشخصية", "أُنشئ في", "الملفات"),
}
_STYLE = (
    "body{font:1rem/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}table{border-collapse:"
    "collapse;margin:.5rem 0 1.5rem;width:100%}td,th{border:1px solid #bbb;padding:.25rem .5rem;text-align:start;"
    "vertical-align:top;overflow-wrap:anywhere}th{width:14rem;background:#f4f4f4}"
)


async def make(session: ReadSession, files: FileStore, contact_id: UUID) -> Stored:
    """Write the archive into the file store. Memory stays flat: rows are read some thousand at a time."""
    contact = await get_contact(session, contact_id)
    language = language_of(contact["language"], session.tenant.language)
    person = await person_of(session, contact_id)
    with tempfile.TemporaryFile() as made, tempfile.TemporaryFile("w+", encoding="utf-8") as page:
        with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
            _begin(page, language, session.now)
            tables: dict[str, list[declared.Rule]] = {}
            for rule in declared.rules():
                if rule.personal.export:
                    tables.setdefault(str(rule.table.name), []).append(rule)
            for name in sorted(tables):
                await _table(session, archive, page, tables[name], person.values)
            for rule in declared.rules():
                if rule.personal.files and rule.personal.export:
                    await _files(session, files, archive, page, rule, person.values)
            page.write("</body></html>")
            page.seek(0)
            with archive.open("index.html", "w") as entry:
                while piece := page.read(_PIECE):
                    await asyncio.to_thread(entry.write, piece.encode())
        made.seek(0)
        name = files.new_name(session.organization_id, AREA)
        return await files.write(
            name, _pieces(made), max_bytes=_LARGEST, media_type="application/zip", filename=FILE_NAME
        )


async def _pieces(made: IO[bytes]) -> AsyncIterator[bytes]:
    while piece := await asyncio.to_thread(made.read, _PIECE):
        yield piece


def _begin(page: IO[str], language: str, now: datetime) -> None:
    title, made_on, _ = _WORDS[language]
    direction = "rtl" if language == "ar" else "ltr"
    page.write(
        f'<!doctype html><html lang="{language}" dir="{direction}"><head><meta charset="utf-8">'
        f"<title>{title}</title><style>{_STYLE}</style></head><body><h1>{title}</h1>"
        f"<p>{made_on} {now.date().isoformat()}</p>"
    )


async def _table(
    session: ReadSession,
    archive: zipfile.ZipFile,
    page: IO[str],
    rules: list[declared.Rule],
    values: dict[str, Any],
) -> None:
    """One table: a JSON file with its rows, and a section of the page."""
    written = 0
    entry: Any = None
    name = str(rules[0].table.name)
    try:
        for rule in rules:
            keys = [
                {part: str(row[part]) for part in rule.key}
                for row in await session.fetch(declared.find(rule), **values)
            ]
            for start in range(0, len(keys), _AT_ONCE):
                rows = await session.fetch(declared.read(rule, rule.shown), keys=keys[start : start + _AT_ONCE])
                entry = entry or archive.open(f"data/{name}.json", "w", force_zip64=True)
                shown = [{column: _plain(row[column]) for column in rule.shown} for row in rows]
                lead = ["[\n" if not written + at else ",\n" for at in range(len(shown))]
                text = "".join(a + json.dumps(b, ensure_ascii=False) for a, b in zip(lead, shown, strict=True))
                await asyncio.to_thread(entry.write, text.encode())
                if not written:
                    page.write(f"<h2>{escape(name.replace('_', ' '))}</h2>")
                for one in shown:
                    page.write(_html(one))
                written += len(shown)
        if entry is not None:
            entry.write(b"\n]\n")
    finally:
        if entry is not None:
            entry.close()


async def _files(
    session: ReadSession,
    store: FileStore,
    archive: zipfile.ZipFile,
    page: IO[str],
    rule: declared.Rule,
    values: dict[str, Any],
) -> None:
    """The files that rows of a table name."""
    rows = await session.fetch(declared.find(rule), **values)
    if not rows:
        return
    keys = [{part: str(row[part]) for part in rule.key} for row in rows]
    names: dict[str, str] = {}
    if "filename" in rule.table.c:
        shown = await session.fetch(declared.read(rule, (*rule.key, "filename")), keys=keys)
        names = {"/".join(str(row[part]) for part in rule.key): row["filename"] for row in shown}
    page.write(f"<h2>{escape(str(rule.table.name).replace('_', ' '))}</h2><ul>")
    for row in rows:
        label = "/".join(str(row[part]) for part in rule.key)
        inside = f"files/{rule.table.name}/{label}-{_safe(names.get(label, 'file'))}"
        try:
            with archive.open(inside, "w", force_zip64=True) as entry:
                async for piece in store.read(row["_file"]):
                    await asyncio.to_thread(entry.write, piece)
        except NotFound:
            continue  # deleted meanwhile
        page.write(f'<li><a href="{escape(inside)}">{escape(names.get(label, label))}</a></li>')
    page.write("</ul>")


def _safe(name: str) -> str:
    """A file name that leads nowhere else."""
    return re.sub(r"[\x00-\x1f/\\:*?\"<>|]", "_", PurePosixPath(name).name)[:120] or "file"


def _plain(value: Any) -> Any:
    """A value as JSON has it. Bytes are a provider's message: JSON itself, or what it says as text."""
    if isinstance(value, bytes | memoryview):
        text = bytes(value).decode("utf-8", "replace")
        try:
            return json.loads(text)
        except ValueError:
            return text
    if isinstance(value, datetime | date):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, UUID | Decimal):
        return str(value)
    return value


def _html(row: Mapping[str, Any]) -> str:
    cells = []
    for name, value in row.items():
        if value in (None, [], {}, ""):
            continue
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=1)
        cells.append(f"<tr><th>{escape(name.replace('_', ' '))}</th><td>{escape(text)}</td></tr>")
    return f"<table>{''.join(cells)}</table>"
