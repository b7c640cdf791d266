"""Names in any script: how they are shown, and the forms they are looked up by."""

from __future__ import annotations

import re
import unicodedata

_WORD = re.compile(r"[^\W_]+(?:['’ʼ`-][^\W_]+)*", re.UNICODE)
_MAX_WORDS = 12


def fold(text: str) -> str:
    """The form in which text is compared: compatibility-composed, case-folded, spaces collapsed."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def words(text: str) -> list[str]:
    """The folded words of a name; apostrophes and hyphens belong to the word."""
    found = [match.replace("’", "'").replace("ʼ", "'").replace("`", "'") for match in _WORD.findall(fold(text))]
    return list(dict.fromkeys(found))[:_MAX_WORDS]


def full_name(*parts: str | None) -> str:
    """The parts that are there, joined by spaces in the order given."""
    return " ".join(part for part in parts if part)


def split_name(name: str) -> tuple[str | None, str | None]:
    """Given and family name from one string, as payment forms send it: the last word is the family name."""
    parts = " ".join(name.split()).rpartition(" ")
    return (parts[0] or parts[2] or None, parts[2] if parts[0] else None)
