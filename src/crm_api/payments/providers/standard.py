"""The Standard Webhooks signature: HMAC-SHA256 over ``id.timestamp.body``. Svix has it under headers of its own."""

from __future__ import annotations

import hmac
import re
from base64 import b64decode, b64encode
from collections.abc import Iterable
from datetime import datetime
from hashlib import sha256
from typing import Annotated
from uuid import uuid4

from pydantic import AfterValidator, StringConstraints

from crm_api.payments.provider import Delivery, SignatureInvalid

TOLERANCE_SECONDS = 300
"""Both ways, by the organization's clock."""
_PREFIX = "whsec_"
_SCHEMES = ("webhook", "svix")
_TIMESTAMP = re.compile(r"[0-9]{1,12}")
_LONGEST_ID, _MOST_SIGNATURES = 255, 20


def _key(secret: str) -> bytes:
    """The bytes that a secret stands for. Raises `ValueError` for what is none."""
    encoded = secret.removeprefix(_PREFIX)
    found = b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    if not 16 <= len(found) <= 75:
        raise ValueError("must be a Standard Webhooks secret: whsec_ and 24 to 64 bytes in base64")
    return found


def _usable(secret: str) -> str:
    try:
        _key(secret)
    except ValueError:
        raise ValueError("must be a Standard Webhooks secret: whsec_ and 24 to 64 bytes in base64") from None
    return secret


SigningSecret = Annotated[str, StringConstraints(max_length=255), AfterValidator(_usable)]
"""A secret of the scheme."""


def _signature(secret: str, identity: str, timestamp: str, body: bytes) -> bytes:
    digest = hmac.new(_key(secret), f"{identity}.{timestamp}.".encode() + body, sha256).digest()
    return b"v1," + b64encode(digest)


def verify(delivery: Delivery, secrets: Iterable[str], *, now: datetime) -> None:
    """Accept when any ``v1`` signature fits any secret; then judge the age, so only a genuine delivery learns that it
    came too late."""
    identity = timestamp = signatures = None
    for scheme in _SCHEMES:
        identity, timestamp, signatures = (
            delivery.headers.get(f"{scheme}-{name}") for name in ("id", "timestamp", "signature")
        )
        if identity and timestamp and signatures:
            break
    if not (identity and timestamp and signatures):
        raise SignatureInvalid("header_missing")
    given = [one.encode("utf-8", "replace") for one in signatures.split()[:_MOST_SIGNATURES] if one.startswith("v1,")]
    if len(identity) > _LONGEST_ID or not _TIMESTAMP.fullmatch(timestamp) or not given:
        raise SignatureInvalid("header_malformed")
    fits = False
    for secret in secrets:
        expected = _signature(secret, identity.encode("utf-8", "replace").decode(), timestamp, delivery.body)
        for one in given:
            fits |= hmac.compare_digest(expected, one)
    if not fits:
        raise SignatureInvalid("signature_mismatch")
    if abs(now.timestamp() - int(timestamp)) > TOLERANCE_SECONDS:
        raise SignatureInvalid("timestamp_expired")


def sign(body: bytes, secret: str, *, now: datetime, scheme: str = "webhook") -> Delivery:
    """The delivery of a body."""
    identity, timestamp = f"msg_{uuid4().hex}", str(int(now.timestamp()))
    return Delivery(
        body,
        {
            "content-type": "application/json",
            f"{scheme}-id": identity,
            f"{scheme}-timestamp": timestamp,
            f"{scheme}-signature": _signature(secret, identity, timestamp, body).decode(),
        },
    )
