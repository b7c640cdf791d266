"""The form of API keys: ``crm_live_<id>_<secret>_<checksum>``.

The prefix tells people and secret scanners what they have found; the checksum lets a scanner confirm it offline and
lets us refuse a mistyped key without a query.
"""

from __future__ import annotations

import hashlib
import secrets
import zlib
from typing import NamedTuple
from uuid import UUID

_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


class Token(NamedTuple):
    """A parsed key."""

    prefix: str  # live, test or pub
    key_id: UUID
    secret: str


def _base62(value: int, width: int) -> str:
    digits = []
    for _ in range(width):
        value, rest = divmod(value, 62)
        digits.append(_ALPHABET[rest])
    return "".join(reversed(digits))


def _checksum(text: str) -> str:
    return _base62(zlib.crc32(text.encode()), 6)


def hash_secret(secret: str) -> str:
    """What is stored. A plain SHA-256 suffices for 256 random bits."""
    return hashlib.sha256(secret.encode()).hexdigest()


def new_token(prefix: str, key_id: UUID) -> tuple[str, str]:
    """A fresh key in full (shown once) and its secret part."""
    secret = _base62(secrets.randbits(256), 43)
    body = f"crm_{prefix}_{key_id.hex}_{secret}"
    return f"{body}_{_checksum(body)}", secret


def parse_token(text: str) -> Token | None:
    """The parts of a key, or nothing when its form or checksum is wrong."""
    parts = text.split("_")
    if len(parts) != 5 or parts[0] != "crm" or parts[1] not in {"live", "test", "pub"}:
        return None
    body, _, checksum = text.rpartition("_")
    if not text.isascii() or not secrets.compare_digest(checksum, _checksum(body)) or len(parts[2]) != 32:
        return None
    try:
        return Token(parts[1], UUID(hex=parts[2]), parts[3])
    except ValueError:
        return None
