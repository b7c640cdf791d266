"""What a file is, by its content: an allow-list. The name's ending and the declared type must agree with it.

Nothing is changed: what was sent is what is kept. Markup that a browser would run (HTML, SVG) is refused under any
name, as are archives, programs, documents with macros, and pictures that unpack to more than `MOST_PIXELS`.
"""

from __future__ import annotations

import asyncio
import codecs
import logging
import re
import struct
import warnings
import zlib
from typing import IO, TYPE_CHECKING, Any

import puremagic

from crm_api.documents import office
from crm_api.documents.office import Refused
from crm_api.kit.problems import Invalid

if TYPE_CHECKING:
    from crm_api.kit.uploads import Upload

MOST_PIXELS = 100_000_000
_MOST_FRAMES = 500
_PDF, _TEXT, _CSV = "application/pdf", "text/plain", "text/csv"
_IMAGES = {
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"\xff\xd8\xff": "JPEG",
    b"GIF87a": "GIF",
    b"GIF89a": "GIF",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
}
ENDINGS: dict[str, tuple[str, ...]] = {
    _PDF: ("pdf",),
    "image/png": ("png",),
    "image/jpeg": ("jpg", "jpeg", "jfif"),
    "image/gif": ("gif",),
    "image/webp": ("webp",),
    "image/tiff": ("tif", "tiff"),
    office.DOCX: ("docx",),
    office.XLSX: ("xlsx",),
    office.PPTX: ("pptx",),
    office.ODT: ("odt",),
    office.ODS: ("ods",),
    office.ODP: ("odp",),
    office.DOC: ("doc", "dot"),
    office.XLS: ("xls",),
    office.PPT: ("ppt", "pps"),
    _TEXT: ("txt", "text", "log", "md"),
    _CSV: ("csv", "tsv"),
}
"""Every allowed type with the endings a name may have."""
_ALSO_DECLARED: dict[str, frozenset[str]] = {
    "image/jpeg": frozenset({"image/jpg", "image/pjpeg"}),
    _TEXT: frozenset({"text/markdown", "text/x-log"}),
    _CSV: frozenset({_TEXT, "application/csv", "text/tab-separated-values", office.XLS}),  # Windows says Excel
    office.DOC: frozenset({"application/vnd.ms-word"}),
}
_UNSAID = frozenset({"", "application/octet-stream", "binary/octet-stream"})
_MARKUP = re.compile(
    rb"<\s*(?:!doctype|html|head|body|script|svg|iframe|object|embed|meta|link|style|\?xml|\?php|%)", re.IGNORECASE
)
_NOT_TEXT = re.compile(rb"[\x00-\x08\x0b\x0e-\x1a\x1c-\x1f\x7f]")
_HEAD = 4096
_TOO_MANY_PIXELS = Refused("image_too_large", f"The picture has more than {MOST_PIXELS // 1_000_000} megapixels.")
_UNREADABLE = (
    OSError, ValueError, SyntaxError, EOFError, MemoryError, OverflowError, TypeError, KeyError,
    IndexError, RuntimeError, Warning, struct.error, zlib.error,
)  # fmt: skip
"""What Pillow raises at pictures that are none; its own UnidentifiedImageError is an OSError."""
warnings.filterwarnings("ignore", module="PIL")  # sizes are judged below, and nobody reads the rest
logging.getLogger("PIL").setLevel(logging.INFO)  # at its most talkative it repeats what stands in pictures


def sniff(file: IO[bytes], ending: str) -> str:
    """The media type of the content; of plain texts, CSV by their ending. `Refused` where it is not an allowed one."""
    file.seek(0)
    head = file.read(_HEAD)
    if not head:
        raise Refused("file_empty", "The file is empty.")
    if head.startswith(b"%PDF-"):
        return _PDF
    if head.startswith(b"PK\x03\x04"):
        return office.type_of_zip(file)
    if head.startswith(office.OLE_MAGIC):
        return office.type_of_ole(file)
    picture = next((kind for magic, kind in _IMAGES.items() if head.startswith(magic)), None)
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        picture = "WEBP"
    if picture is not None:
        _look_at_picture(file, picture)
        return f"image/{picture.lower()}"
    if _is_text(file, head):
        return _CSV if ending in ENDINGS[_CSV] else _TEXT
    raise Refused("file_type_not_allowed", f"Files of this type are not accepted{_guess(head)}.")


def _guess(head: bytes) -> str:
    try:
        found: list[Any] = puremagic.magic_string(head)
    except (puremagic.PureError, ValueError):
        return ""
    name = found[0].mime_type if found else ""
    return f" (it looks like {name})" if re.fullmatch(r"[a-z0-9.+/-]{3,80}", name) else ""


def _look_at_picture(file: IO[bytes], kind: str) -> None:
    """Reads the header, not the pixels."""
    from PIL import Image  # no part of a process that is shown no pictures

    file.seek(0)
    try:
        with Image.open(file, formats=[kind]) as picture:
            width, height = picture.size
            frames = getattr(picture, "n_frames", 1) if kind in {"GIF", "TIFF"} else 1
            if width * height > MOST_PIXELS or frames > _MOST_FRAMES or width * height * frames > 4 * MOST_PIXELS:
                raise _TOO_MANY_PIXELS
            if kind == "PNG":
                picture.verify()
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):  # a warning, where those are errors
        raise _TOO_MANY_PIXELS from None
    except _UNREADABLE:
        raise Refused("file_damaged", "The picture cannot be read.") from None


def _is_text(file: IO[bytes], head: bytes) -> bool:
    """Text throughout, in UTF-8, UTF-16 with its mark, or an eight-bit script; markup is refused."""
    wide = head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    decoder = codecs.getincrementaldecoder("utf-16" if wide else "latin-1")()
    file.seek(0)
    first = True
    while block := file.read(1 << 20):
        try:
            text = decoder.decode(block)
        except UnicodeDecodeError:
            return False
        plain = text.encode("utf-8", "replace")
        if _NOT_TEXT.search(plain):
            return False
        if first and (_MARKUP.search(plain[:_HEAD]) or _marked_up(head)):
            raise Refused("file_type_not_allowed", "HTML, SVG and other markup are not accepted.")
        first = False
    return True


def _marked_up(head: bytes) -> bool:
    try:
        found: list[Any] = puremagic.magic_string(head)
    except (puremagic.PureError, ValueError):
        return False
    return any(one.confidence >= 0.5 and ("html" in one.mime_type or "svg" in one.mime_type) for one in found)


def judge(file: IO[bytes], filename: str, declared: str) -> str:
    """The media type the file is kept as; a 422 at ``/file`` that says what is wrong with it."""
    stem, dot, ending = filename.rpartition(".")
    ending = ending.lower() if dot and stem else ""
    try:
        found = sniff(file, ending)
    except Refused as refused:
        raise Invalid.at("/file", refused.code, refused.words) from None
    finally:
        file.seek(0)
    if ending not in ENDINGS[found]:
        allowed = " or ".join(f".{one}" for one in ENDINGS[found])
        raise Invalid.at("/file", "file_name_disagrees", f"The content is {found}: its name must end in {allowed}.")
    if declared not in _UNSAID and declared != found and declared not in _ALSO_DECLARED.get(found, frozenset()):
        raise Invalid.at("/file", "file_type_disagrees", f"The content is {found}: declare that as its Content-Type.")
    return found


async def look(form: Upload[Any]) -> str:
    """For `storage.keep_in`: judge the form's file, in a thread."""
    return await asyncio.to_thread(judge, form.file, form.filename, form.content_type)
