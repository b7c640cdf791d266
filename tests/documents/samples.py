"""Files of every kind, made small: those that are accepted, and those that only look so."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from typing import Any

from PIL import Image

from crm_api.documents import office

PDF = b"%PDF-1.7\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n"
TEXT = "Нотатки про зустріч\nშეხვედრა\n".encode()
CSV = b"name,city\n\xd0\x9e\xd0\xbb\xd0\xb5\xd0\xbd\xd0\xb0,Kyiv\n"


def picture(kind: str, size: tuple[int, int] = (3, 2), **options: Any) -> bytes:
    """A small picture."""
    out = io.BytesIO()
    Image.new("RGB", size, (200, 30, 30)).save(out, kind, **options)
    return out.getvalue()


def zipped(parts: dict[str, bytes], *, compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A ZIP archive; the first part is stored as it is, as OpenDocument wants."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for number, (name, content) in enumerate(parts.items()):
            archive.writestr(name, content, zipfile.ZIP_STORED if number == 0 else compression)
    return out.getvalue()


def ooxml(part: str, media_type: str, **more: bytes) -> bytes:
    """A document of Word, Excel or PowerPoint, with nothing in it."""
    types = f'<Types><Override PartName="/{part}" ContentType="{media_type}.main+xml"/></Types>'.encode()
    return zipped({"[Content_Types].xml": types, "_rels/.rels": b"<r/>", part: b"<x/>", **more})


def odf(media_type: str) -> bytes:
    """An OpenDocument file."""
    return zipped({"mimetype": media_type.encode(), "content.xml": b"<x/>", "META-INF/manifest.xml": b"<x/>"})


def ole(*streams: str) -> bytes:
    """An OLE compound file of 512-byte sectors: header, one FAT sector, one directory chain."""
    entries = b""
    for name in ("Root Entry", *streams):
        encoded = name.encode("utf-16-le") + b"\0\0"
        entry = encoded.ljust(64, b"\0") + struct.pack("<HBB", len(encoded), 5 if name == "Root Entry" else 2, 1)
        entries += entry.ljust(128, b"\0")
    sectors = [entries[at : at + 512].ljust(512, b"\0") for at in range(0, len(entries), 512)]
    chain = [number + 2 for number in range(len(sectors) - 1)] + [0xFFFFFFFE]
    fat = struct.pack(f"<{1 + len(chain)}I", 0xFFFFFFFD, *chain).ljust(512, b"\xff")
    header = office.OLE_MAGIC + bytes(16) + struct.pack("<HHHHH", 0x3E, 3, 0xFFFE, 9, 6) + bytes(10)
    header += struct.pack("<I", 1) + struct.pack("<I", 1) + bytes(24) + struct.pack("<I", 0) + b"\xff" * 432
    return header[:512].ljust(512, b"\xff") + fat + b"".join(sectors)


def png_that_claims(width: int, height: int) -> bytes:
    """A tiny PNG whose header says it is enormous: a decompression bomb."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content))
            + kind
            + content
            + struct.pack(">I", zlib.crc32(kind + content) & 0xFFFFFFFF)
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = zlib.compress(bytes(1000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def zip_bomb() -> bytes:
    """A document with a part that unpacks to very much."""
    return ooxml("word/document.xml", office.DOCX, **{"word/media/big.bin": bytes(60_000_000)})


GOOD: list[tuple[str, bytes, str]] = [
    ("passport.pdf", PDF, "application/pdf"),
    ("photo.png", picture("PNG"), "image/png"),
    ("photo.JPG", picture("JPEG"), "image/jpeg"),
    ("photo.jpeg", picture("JPEG"), "image/jpeg"),
    ("moving.gif", picture("GIF"), "image/gif"),
    ("photo.webp", picture("WEBP"), "image/webp"),
    ("scan.tiff", picture("TIFF"), "image/tiff"),
    ("letter.docx", ooxml("word/document.xml", office.DOCX), office.DOCX),
    ("list.xlsx", ooxml("xl/workbook.xml", office.XLSX), office.XLSX),
    ("talk.pptx", ooxml("ppt/presentation.xml", office.PPTX), office.PPTX),
    ("letter.odt", odf(office.ODT), office.ODT),
    ("list.ods", odf(office.ODS), office.ODS),
    ("talk.odp", odf(office.ODP), office.ODP),
    ("letter.doc", ole("WordDocument", "1Table"), office.DOC),
    ("list.xls", ole("Workbook"), office.XLS),
    ("old-list.xls", ole("A", "B", "C", "D", "Book"), office.XLS),
    ("talk.ppt", ole("PowerPoint Document", "Current User"), office.PPT),
    ("notes.txt", TEXT, "text/plain"),
    ("notes-1251.txt", "Олена Шевченко".encode("cp1251"), "text/plain"),
    ("notes-16.txt", "Олена".encode("utf-16"), "text/plain"),
    ("people.csv", CSV, "text/csv"),
]
"""Name, content, the type that is found."""

BAD: list[tuple[str, bytes, str]] = [
    ("empty.txt", b"", "file_empty"),
    ("page.html", b"<!DOCTYPE html><html><body>x</body></html>", "file_type_not_allowed"),
    ("page.txt", b"\n\n  <ScRiPt>alert(1)</script>", "file_type_not_allowed"),
    ("picture.svg", b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"/>', "file_type_not_allowed"),
    ("picture.txt", "<svg onload='x'/>".encode("utf-16"), "file_type_not_allowed"),
    ("program.exe", b"MZ\x90\x00" + bytes(200), "file_type_not_allowed"),
    ("program.txt", b"\x7fELF" + bytes(200), "file_type_not_allowed"),
    ("song.mp3", b"ID3\x03\x00\x00" + bytes(100), "file_type_not_allowed"),
    ("things.zip", zipped({"a.txt": b"a"}), "file_type_not_allowed"),
    ("things.docx", zipped({"a.txt": b"a"}), "file_type_not_allowed"),
    ("fake.docx", zipped({"word/document.xml": b"<x/>"}), "file_type_not_allowed"),
    ("fake.docx", zipped({"[Content_Types].xml": b"<x/>", "word/document.xml": b"<x/>"}), "file_type_not_allowed"),
    ("cut.docx", ooxml("word/document.xml", office.DOCX)[:-30], "file_damaged"),
    ("macros.docx", ooxml("word/document.xml", office.DOCX, **{"word/vbaProject.bin": b"x"}), "file_with_macros"),
    ("climb.docx", ooxml("word/document.xml", office.DOCX, **{"../../etc/x": b"x"}), "file_damaged"),
    ("bomb.docx", zip_bomb(), "file_unpacks_too_large"),
    ("macros.doc", ole("WordDocument", "Macros"), "file_with_macros"),
    ("installer.doc", ole("SummaryInformation"), "file_type_not_allowed"),
    ("cut.doc", ole("WordDocument")[:700], "file_damaged"),
    ("bomb.png", png_that_claims(50_000, 50_000), "image_too_large"),
    ("bomb.png", png_that_claims(20_000, 6_000), "image_too_large"),
    ("broken.png", picture("PNG")[:40], "file_damaged"),
    ("broken.jpg", b"\xff\xd8\xff\xe0" + bytes(50), "file_damaged"),
    ("passport.png", PDF, "file_name_disagrees"),
    ("passport", PDF, "file_name_disagrees"),
    (".pdf", PDF, "file_name_disagrees"),
    ("photo.pdf", picture("PNG"), "file_name_disagrees"),
    ("letter.xlsx", ooxml("word/document.xml", office.DOCX), "file_name_disagrees"),
    ("photo.pdf.exe", PDF, "file_name_disagrees"),
]
"""Name, content, the code that refuses it."""
