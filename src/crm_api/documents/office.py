"""Office documents by their inner structure: what a ZIP or an OLE file really is, read without unpacking it.

Only directories and one small part are read, so that a file made to unpack without end costs nothing here; such ones
are refused too, since whoever opens them would pay. Documents with macros are refused.
"""

from __future__ import annotations

import struct
import zipfile
import zlib
from typing import IO

_OOXML = "application/vnd.openxmlformats-officedocument."
_ODF = "application/vnd.oasis.opendocument."
DOCX, XLSX, PPTX = (
    f"{_OOXML}wordprocessingml.document",
    f"{_OOXML}spreadsheetml.sheet",
    f"{_OOXML}presentationml.presentation",
)
ODT, ODS, ODP = f"{_ODF}text", f"{_ODF}spreadsheet", f"{_ODF}presentation"
DOC, XLS, PPT = "application/msword", "application/vnd.ms-excel", "application/vnd.ms-powerpoint"
_MAIN_PARTS = {"word/document.xml": DOCX, "xl/workbook.xml": XLSX, "ppt/presentation.xml": PPTX}
_STREAMS = {"WordDocument": DOC, "Workbook": XLS, "Book": XLS, "PowerPoint Document": PPT}
_MACRO_STORAGES = {"Macros", "_VBA_PROJECT_CUR", "VBA", "_VBA_PROJECT"}
_MOST_ENTRIES = 5_000
_MOST_UNPACKED = 500_000_000
_MOST_TIMES = 400
"""A spreadsheet of equal rows packs a hundred times; a bomb thousands of times."""
_SMALL = 1_000_000
OLE_MAGIC = bytes.fromhex("d0cf11e0a1b11ae1")
_LARGEST_SECTOR = 0xFFFFFFFA


class Refused(Exception):
    """The file is not acceptable: a code for programs, and words."""

    def __init__(self, code: str, words: str) -> None:
        super().__init__(words)
        self.code = code
        self.words = words


def type_of_zip(file: IO[bytes]) -> str:
    """The media type of a ZIP-based office document; `Refused` for any other ZIP."""
    try:
        with zipfile.ZipFile(file) as archive:
            return _type_of(archive)
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError, OSError, ValueError):
        raise Refused("file_damaged", "The file begins like a ZIP archive but cannot be read as one.") from None


def _type_of(archive: zipfile.ZipFile) -> str:
    entries = archive.infolist()
    names = {entry.filename for entry in entries}
    unpacked = sum(entry.file_size for entry in entries)
    packed = max(sum(entry.compress_size for entry in entries), 1)
    if len(entries) > _MOST_ENTRIES or unpacked > _MOST_UNPACKED or unpacked > _MOST_TIMES * packed + _SMALL:
        raise Refused("file_unpacks_too_large", "The file would unpack to far more than it is; save it anew, smaller.")
    if len(names) != len(entries) or any(name.startswith("/") or ".." in name.split("/") for name in names):
        raise Refused("file_damaged", "The archive holds names that no office program writes.")
    if any(name.rpartition("/")[2].lower().startswith("vbaproject") or "Basic/" in name for name in names):
        raise Refused("file_with_macros", "Documents with macros are not accepted; save it without them.")
    if entries and entries[0].filename == "mimetype":
        told = _small(archive, "mimetype").decode("ascii", "replace").strip()
        if told in {ODT, ODS, ODP} and "content.xml" in names:
            return told
    if "[Content_Types].xml" in names:
        content_types = _small(archive, "[Content_Types].xml")
        if b"macroEnabled" in content_types:
            raise Refused("file_with_macros", "Documents with macros are not accepted; save it without them.")
        for part, media_type in _MAIN_PARTS.items():
            if part in names and media_type.encode() in content_types:
                return media_type
    raise Refused("file_type_not_allowed", "Archives are not accepted, only office documents.")


def _small(archive: zipfile.ZipFile, name: str) -> bytes:
    with archive.open(name) as part:
        content = part.read(_SMALL + 1)
    if len(content) > _SMALL:
        raise Refused("file_damaged", "A part of the document is larger than any office program writes it.")
    return content


def type_of_ole(file: IO[bytes]) -> str:
    """The media type of an office document of before 2007 (MS-CFB); `Refused` for any other such file."""
    try:
        names = _ole_names(file)
    except (struct.error, ValueError, IndexError, OverflowError):
        raise Refused("file_damaged", "The file begins like an office document but cannot be read as one.") from None
    if names & _MACRO_STORAGES:
        raise Refused("file_with_macros", "Documents with macros are not accepted; save it without them.")
    for stream, media_type in _STREAMS.items():
        if stream in names:
            return media_type
    raise Refused("file_type_not_allowed", "Only Word, Excel and PowerPoint files are accepted of this format.")


def _ole_names(file: IO[bytes]) -> set[str]:
    """Names of the streams and storages, by the directory's chain of sectors."""
    file.seek(0)
    header = file.read(512)
    (shift,) = struct.unpack_from("<H", header, 30)
    if header[:8] != OLE_MAGIC or shift not in (9, 12):
        raise ValueError
    size = 1 << shift
    (sector,) = struct.unpack_from("<I", header, 48)
    fat_sectors = struct.unpack_from("<109I", header, 76)
    names: set[str] = set()
    seen: set[int] = set()
    while sector < _LARGEST_SECTOR and sector not in seen and len(seen) < 1_000:
        seen.add(sector)
        content = _sector(file, sector, size)
        for at in range(0, len(content), 128):
            (length,) = struct.unpack_from("<H", content, at + 64)
            if content[at + 66] and 2 <= length <= 64:
                names.add(content[at : at + length - 2].decode("utf-16-le", "replace"))
        place, within = divmod(sector, size // 4)
        if place >= len(fat_sectors) or fat_sectors[place] >= _LARGEST_SECTOR:
            break
        (sector,) = struct.unpack_from("<I", _sector(file, fat_sectors[place], size), within * 4)
    return names


def _sector(file: IO[bytes], number: int, size: int) -> bytes:
    file.seek((number + 1) * size)
    content = file.read(size)
    if len(content) != size:
        raise ValueError
    return content
