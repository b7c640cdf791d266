"""Deep links of bots: a payload that names a contact, which only we can make. Pure.

Telegram takes 64 characters of ``A-Za-z0-9_-``: the contact's id, until when the link works, and half a signature.
"""

from __future__ import annotations

import base64
import hmac
from datetime import datetime
from uuid import UUID

from crm_api.kit import clock
from crm_api.kit.crypto import Vault

_LABEL = "intake-start"
_MAC = 16
PAYLOAD_LENGTH = 48


def make_start(vault: Vault, organization_id: UUID, source_id: UUID, contact_id: UUID, until: datetime) -> str:
    """A payload of 48 characters for one source."""
    said = contact_id.bytes + int(until.timestamp()).to_bytes(4, "big")
    signed = vault.sign(organization_id, _LABEL, source_id.bytes + said)[:_MAC]
    return base64.urlsafe_b64encode(said + signed).decode()


def read_start(vault: Vault, organization_id: UUID, source_id: UUID, payload: str, now: datetime) -> UUID | None:
    """The contact it names; nothing where it is not ours, or its time is over."""
    try:
        raw = base64.b64decode(payload, altchars=b"-_", validate=True)
    except ValueError:
        return None
    said, signed = raw[:20], raw[20:]
    expected = vault.sign(organization_id, _LABEL, source_id.bytes + said)[:_MAC]
    if len(said) != 20 or not hmac.compare_digest(signed, expected):
        return None
    until = clock.from_unix(int.from_bytes(said[16:], "big"))
    return UUID(bytes=said[:16]) if now <= until else None
