"""Secrets at rest: AES-256-GCM under a key of the tenant's own, bound to the row they belong to."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
from collections.abc import Sequence
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
