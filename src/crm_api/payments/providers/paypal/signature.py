"""PayPal's webhook signature: RSA with SHA-256 over ``transmission id|time|webhook id|CRC-32 of the raw body``.

The webhook's id is ours, from the connection; it is not in the request.
"""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlsplit
from zlib import crc32

from crm_api.payments.provider import SignatureInvalid
from crm_api.payments.providers.exact import moment

ALGORITHM = "SHA256withRSA"
OLDEST = timedelta(days=4)
"""How old a transmission may be: PayPal tries for three days, and does not say whether a repeat has a time of its own.
It names no tolerance either; what comes twice is known by its event id."""
AHEAD = timedelta(minutes=5)
_ID, _TIME, _SIGNATURE, _URL, _ALGORITHM = (
    "paypal-transmission-id",
    "paypal-transmission-time",
    "paypal-transmission-sig",
    "paypal-cert-url",
    "paypal-auth-algo",
)
_LONGEST = 2000
_PATH = re.compile(r"/[A-Za-z0-9_-]+([/.][A-Za-z0-9_-]+)*")


@dataclass(frozen=True, slots=True)
class Transmission:
    """What the headers of a delivery say."""

    id: str
    time: str
    signature: str
    cert_url: str
    algorithm: str
    host: str
    path: str
    """Of the certificate: PayPal's own, checked."""

    @property
    def sandbox(self) -> bool:
        """Whether it claims to come from the sandbox."""
        return ".sandbox." in f".{self.host}"

    def signed_by(self, webhook_id: str, body: bytes) -> bytes:
        """The bytes that the signature is over."""
        return f"{self.id}|{self.time}|{webhook_id}|{crc32(body)}".encode()

    def raw_signature(self) -> bytes:
        """The signature's bytes."""
        try:
            return b64decode(self.signature, validate=True)
        except ValueError:
            raise SignatureInvalid("header_malformed") from None


def read(headers: Mapping[str, str], now: datetime) -> Transmission:
    """The headers, when they are all there, ask for what we do, are fresh and name a certificate of PayPal's."""
    found = [headers.get(name, "") for name in (_ID, _TIME, _SIGNATURE, _URL, _ALGORITHM)]
    if not all(found):
        raise SignatureInvalid("header_missing")
    if any(len(value) > _LONGEST or not value.isascii() for value in found):
        raise SignatureInvalid("header_malformed")
    identity, time, signature, url, algorithm = found
    if algorithm.lower() != ALGORITHM.lower():
        raise SignatureInvalid("algorithm_unsupported")
    sent = moment(time)
    if sent is None:
        raise SignatureInvalid("header_malformed")
    if not -AHEAD <= now - sent <= OLDEST:
        raise SignatureInvalid("timestamp_expired")
    host, path = locate(url)
    return Transmission(identity, time, signature, url, algorithm, host, path)


def locate(url: str) -> tuple[str, str]:
    """Host and path of a certificate that may be fetched: https, PayPal's own host, the usual port, nothing else."""
    try:
        parts = urlsplit(url)
        port, host = parts.port, parts.hostname or ""
    except ValueError:
        raise SignatureInvalid("certificate_refused") from None
    own = host == "paypal.com" or host.endswith(".paypal.com")
    plain = parts.scheme == "https" and port in (None, 443) and "@" not in parts.netloc and not parts.query
    if not (own and plain and not parts.fragment and _PATH.fullmatch(parts.path)):
        raise SignatureInvalid("certificate_refused")
    return host, parts.path
