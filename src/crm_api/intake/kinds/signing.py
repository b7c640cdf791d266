"""Who sent it: the checks that kinds share, over raw bytes and in constant time. Pure."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from base64 import b64encode
from collections.abc import Mapping
from datetime import datetime

from standardwebhooks import Webhook
from standardwebhooks.webhooks import EmptyWebhookSecretError

from crm_api.intake.kinds.kind import Received, Refused
from crm_api.intake.kinds.reading import moment

TOLERANCE_SECONDS = 300


def new_signing_secret() -> str:
    """A fresh secret of the Standard Webhooks scheme."""
    return "whsec_" + b64encode(os.urandom(24)).decode()


def new_token() -> str:
    """A fresh secret of letters, digits, ``-`` and ``_``."""
    return secrets.token_urlsafe(24)


def signing_secret(value: str) -> str:
    """A usable Standard Webhooks secret; `ValueError` where it is none."""
    try:
        Webhook(value)
    except (EmptyWebhookSecretError, RuntimeError, ValueError) as error:
        raise ValueError("must be a Standard Webhooks secret: whsec_ and 24 to 64 bytes in base64") from error
    return value


def standard_webhooks(received: Received, secret: str, now: datetime) -> None:
    """The Standard Webhooks scheme; `Refused` where the signature does not fit. Fresh by the organization's clock,
    300 seconds both ways; the library makes the signature that is compared with."""
    message, signed = received.headers.get("webhook-id"), received.headers.get("webhook-signature")
    stamp = received.headers.get("webhook-timestamp")
    if not message or not signed or not stamp:
        raise Refused("header_missing")
    at = moment(stamp) if stamp.isdecimal() else None
    if at is None or len(message) > 255:
        raise Refused("header_malformed")
    try:
        text = received.body.decode("utf-8")
    except UnicodeDecodeError:
        raise Refused("body_malformed") from None
    expected = Webhook(secret).sign(msg_id=message, timestamp=at, data=text).encode()
    given = [one.encode("utf-8", "replace") for one in signed.split(" ")[:20] if one.startswith("v1,")]
    if not any(hmac.compare_digest(expected, one) for one in given):
        raise Refused("signature_mismatch")
    if abs((now - at).total_seconds()) > TOLERANCE_SECONDS:
        raise Refused("timestamp_expired")


def hex_hmac(received: Received, header: str, secret: str, *, prefix: str = "") -> None:
    """HMAC-SHA256 of the raw body in hex, in a header."""
    given = received.headers.get(header)
    if not given:
        raise Refused("header_missing")
    expected = prefix + hmac.new(secret.encode(), received.body, hashlib.sha256).hexdigest()
    if not hmac.compare_digest(expected.encode(), given.strip().lower().encode("utf-8", "replace")):
        raise Refused("signature_mismatch")


def same(given: str | None, expected: str) -> bool:
    """Whether two secrets are the same."""
    return given is not None and hmac.compare_digest(given.encode("utf-8", "replace"), expected.encode())


def shared_secret(given: str | None, expected: str) -> None:
    """A secret that is sent as it is."""
    if given is None:
        raise Refused("header_missing")
    if not same(given, expected):
        raise Refused("secret_mismatch")


def header(headers: Mapping[str, str], name: str, longest: int = 255) -> str | None:
    """A header's text, where it is there and not too long."""
    found = headers.get(name)
    return found if found and len(found) <= longest else None
