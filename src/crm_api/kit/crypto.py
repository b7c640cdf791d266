"""Secrets at rest: AES-256-GCM under a key of the tenant's own, bound to the row they belong to"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
from collections.abc import Sequence
from contextlib import suppress
from functools import lru_cache
from uuid import UUID

from crm_api.kit.problems import Unavailable

_VERSION = b"\x01"


class SecretsUnreadable(Exception):
    """No master key at hand opens the secret: the key was changed without keeping the old one."""


@lru_cache(maxsize=4096)
def _tenant_key(master: bytes, organization_id: UUID) -> bytes:
    return hmac.new(master, b"crm-api secrets v1" + organization_id.bytes, hashlib.sha256).digest()


class Vault:
    """Encrypts and decrypts tenants' secrets. The newest master key encrypts, every one decrypts."""

    def __init__(self, masters: Sequence[str]) -> None:
        self._masters = [_decode(master) for master in masters]

    def seal(self, organization_id: UUID, row_id: UUID, plain: bytes) -> bytes:
        """Encrypt; the result opens only for the same organization and row."""
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        if not self._masters:
            raise Unavailable(
                "The server has no secret key yet: its operator must set CRM_SECRET_KEYS.", retry_after=60
            )
        nonce = os.urandom(12)
        key = _tenant_key(self._masters[0], organization_id)
        return _VERSION + nonce + AESGCM(key).encrypt(nonce, plain, row_id.bytes)

    def open(self, organization_id: UUID, row_id: UUID, sealed: bytes) -> bytes:
        """Decrypt; `SecretsUnreadable` when no key fits."""
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        nonce, body = sealed[1:13], sealed[13:]
        for master in self._masters:
            try:
                return AESGCM(_tenant_key(master, organization_id)).decrypt(nonce, body, row_id.bytes)
            except InvalidTag:
                continue
        raise SecretsUnreadable("no master key opens this secret")

    def sign(self, organization_id: UUID, label: str, content: bytes) -> bytes:
        """A keyed fingerprint (32 bytes) of the content under a tenant's own key; `label` says what for, so that one
        made for one purpose is worth nothing for another."""
        if not self._masters:
            raise Unavailable(
                "The server has no secret key yet: its operator must set CRM_SECRET_KEYS.", retry_after=60
            )
        key = hmac.new(self._masters[0], b"crm-api signatures v1" + organization_id.bytes, hashlib.sha256).digest()
        return hmac.new(key, label.encode() + b"\0" + content, hashlib.sha256).digest()

    def seal_link(self, purpose: str, plain: bytes) -> str:
        """A text for an address that only we can make and read; `purpose` keeps links of one kind from being another's.
        Who holds it may do what it says, so it should say until when."""
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        if not self._masters:
            raise Unavailable(
                "The server has no secret key yet: its operator must set CRM_SECRET_KEYS.", retry_after=60
            )
        nonce = os.urandom(12)
        sealed = nonce + AESGCM(_link_key(self._masters[0])).encrypt(nonce, plain, purpose.encode())
        return base64.urlsafe_b64encode(sealed).decode().rstrip("=")

    def open_link(self, purpose: str, text: str) -> bytes | None:
        """What `seal_link` was given, or nothing where the text is not one of ours for this purpose."""
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        try:
            sealed = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        except ValueError:
            return None
        if base64.urlsafe_b64encode(sealed).decode().rstrip("=") != text:
            return None  # one link has one spelling
        for master in self._masters:
            with suppress(InvalidTag, ValueError):
                return AESGCM(_link_key(master)).decrypt(sealed[:12], sealed[12:], purpose.encode())
        return None


@lru_cache(maxsize=16)
def _link_key(master: bytes) -> bytes:
    return hmac.new(master, b"crm-api links v1", hashlib.sha256).digest()


def _decode(master: str) -> bytes:
    try:
        key = base64.urlsafe_b64decode(master + "=" * (-len(master) % 4))
    except ValueError as error:
        raise ValueError("CRM_SECRET_KEYS: a key is not URL-safe base64") from error
    if len(key) < 32:
        raise ValueError("CRM_SECRET_KEYS: a key is shorter than 32 bytes")
    return key


def new_master_key() -> str:
    """A fresh master key, as `CRM_SECRET_KEYS` takes it."""
    return base64.urlsafe_b64encode(os.urandom(32)).decode().rstrip("=")
