"""Numbers and verification codes of receipts: pure, but for where codes get their chance from."""

from __future__ import annotations

import base64
import re
import secrets
from uuid import UUID

DIGITS = 6
SPECIMEN = "TEST-"
_CODE = re.compile(r"[A-Z2-7]{40}")
_LENGTH = 25  # bytes: the organization's id, then 72 bits of chance
PREFIX = re.compile(r"(?:[^\W_{}]|[-/. ]|\{year\}){0,39}(?:[^\W\d_]|[-/. ]|\{year\}[-/. ])")


def valid_prefix(prefix: str) -> bool:
    """Whether numbers can begin so: letters, digits, ``- / .`` and blanks, ``{year}``; the last is no digit, so that
    a number can be taken apart again and no two series ever meet."""
    return PREFIX.fullmatch(prefix) is not None and prefix == prefix.strip()


def series_of(prefix: str, year: int, *, specimen: bool) -> str:
    """The series that a receipt issued in a year belongs to: the prefix with the year in it."""
    return (SPECIMEN if specimen else "") + prefix.replace("{year}", str(year))


def number_of(series: str, sequence: int) -> str:
    """The number as it is printed: ``2026-000042``."""
    return f"{series}{sequence:0{DIGITS}d}"


def new_code(organization_id: UUID) -> str:
    """A code that proves a receipt: it says whose it is, so that the check knows where to look, and nobody can guess
    the rest."""
    return base64.b32encode(organization_id.bytes + secrets.token_bytes(_LENGTH - 16)).decode()


def read_code(text: str) -> tuple[UUID, str] | None:
    """The organization and the code as it is stored, from what somebody typed; nothing where it can be none."""
    code = re.sub(r"[\s-]", "", text).upper()
    if not _CODE.fullmatch(code):
        return None
    return UUID(bytes=base64.b32decode(code)[:16]), code
