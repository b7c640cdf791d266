"""Stripe's webhook signature: ``t=<unix>,v1=<hex>[,v1=…][,v0=…]``, HMAC-SHA256 over ``<t>.<raw body>``."""

from __future__ import annotations

import hmac
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from hashlib import sha256

from crm_api.payments.provider import SignatureInvalid
from crm_api.payments.providers.reading import unix

HEADER = "stripe-signature"
TOLERANCE_SECONDS = 300
"""How old a signature may be. A time ahead of ours is accepted, as Stripe's own libraries do: clocks differ."""

_TIMESTAMP = re.compile(r"[0-9]{1,15}")


def _digest(body: bytes, timestamp: str, secret: str) -> bytes:
    """The ``v1`` signature. The whole ``whsec_…`` string is the key; it is not base64."""
    return hmac.new(secret.encode(), timestamp.encode() + b"." + body, sha256).hexdigest().encode()


def verify(*, body: bytes, headers: Mapping[str, str], secrets: Sequence[str], now: datetime) -> None:
    """Accept when any ``v1`` fits any secret; other schemes (``v0`` is a test scheme) do not count.

    The signature is judged before the age, so only a genuine delivery learns that it came too late.
    """
    header = headers.get(HEADER, "")
    if not header.strip():
        raise SignatureInvalid("header_missing")
    parts = [part.strip().partition("=") for part in header.split(",")]
    timestamps = [value for scheme, _, value in parts if scheme == "t"]
    given = [value.encode("utf-8", "surrogatepass") for scheme, _, value in parts if scheme == "v1"]
    if len(timestamps) != 1 or not _TIMESTAMP.fullmatch(timestamps[0]) or not given:
        raise SignatureInvalid("header_malformed")
    fits = False
    for secret in secrets:
        expected = _digest(body, timestamps[0], secret)
        for candidate in given:
            fits |= hmac.compare_digest(expected, candidate) and secret != ""
    if not fits:
        raise SignatureInvalid("signature_mismatch")
    if int(timestamps[0]) < now.timestamp() - TOLERANCE_SECONDS:
        raise SignatureInvalid("timestamp_expired")


def sign(body: bytes, *, secret: str, now: datetime) -> dict[str, str]:
    """The headers of a delivery with that body, in lower case as `verify` reads them."""
    timestamp = str(unix(now))
    return {
        "content-type": "application/json; charset=utf-8",
        HEADER: f"t={timestamp},v1={_digest(body, timestamp, secret).decode()}",
        "user-agent": "Stripe/1.0 (+https://stripe.com/docs/webhooks)",
    }
