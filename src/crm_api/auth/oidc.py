"""Bearer tokens of OpenID Connect issuers: fixed algorithms, issuer, audience, and the issuer's own keys only."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from crm_api.kit import clock
from crm_api.kit.http import client
from crm_api.kit.problems import Unauthorized, Unavailable

if TYPE_CHECKING:
    from crm_api.settings import OidcIssuer

_KEYS_SECONDS = 600.0
_REFETCH_SECONDS = 30.0
_LEEWAY = 30


@dataclass(frozen=True, slots=True)
class Identity:
    """What a verified token says."""

    issuer: str
    subject: str
    email: str | None
    """Only when the issuer says that it is verified."""
    organization: str | None
    expires_at: datetime


@dataclass(slots=True)
class _Keys:
    fetched_at: float = float("-inf")
    key_set: Any = None
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class OidcVerifier:
    """Verifies tokens of the configured issuers; their key sets are cached and refetched when a key is unknown."""

    def __init__(self, issuers: list[OidcIssuer]) -> None:
        self._issuers = {issuer.issuer: issuer for issuer in issuers}
        self._keys = {issuer.issuer: _Keys() for issuer in issuers}

    async def verify(self, token: str) -> Identity:
        """The identity of a token, or 401."""
        if not self._issuers:
            raise Unauthorized(
                "This is not an API key, and sign-in by tokens is not set up here.", code="oidc_disabled"
            )
        from joserfc import jwt
        from joserfc.errors import JoseError

        issuer = self._issuers.get(_unverified_issuer(token))
        if issuer is None:
            raise Unauthorized("The token's issuer is not accepted here.", code="issuer_unknown")
        for fresh in (False, True):
            key_set = await self._key_set(issuer, fresh=fresh)
            try:
                decoded = jwt.decode(token, key_set, algorithms=issuer.algorithms)
                jwt.JWTClaimsRegistry(
                    now=int(clock.utc_now().timestamp()),
                    leeway=_LEEWAY,
                    iss={"essential": True, "value": issuer.issuer},
                    aud={"essential": True, "value": issuer.audience},
                    exp={"essential": True},
                    sub={"essential": True},
                ).validate(decoded.claims)
                return _identity(issuer, decoded.claims)
            except (JoseError, ValueError, OverflowError, TypeError) as error:
                if fresh or not _key_trouble(error):
                    raise Unauthorized(
                        "The token is not valid: its signature, issuer, audience or time is wrong. Sign in again.",
                        code="token_invalid",
                    ) from None
        raise AssertionError("unreachable")

    async def _key_set(self, issuer: OidcIssuer, *, fresh: bool) -> Any:
        from joserfc.jwk import KeySet

        keys = self._keys[issuer.issuer]
        limit = _REFETCH_SECONDS if fresh else _KEYS_SECONDS
        async with keys.lock:
            if keys.key_set is not None and clock.monotonic() - keys.fetched_at < limit:
                return keys.key_set
            try:
                async with client() as http:
                    url = issuer.jwks_url
                    if url is None:
                        found = await http.get(f"{issuer.issuer.rstrip('/')}/.well-known/openid-configuration")
                        url = str(found.raise_for_status().json()["jwks_uri"])
                    document = (await http.get(url)).raise_for_status().json()
                keys.key_set = KeySet.import_key_set(document)
                keys.fetched_at = clock.monotonic()
            except Exception as error:
                keys.fetched_at = clock.monotonic() - limit + _REFETCH_SECONDS  # ask again, but not at once
                if keys.key_set is None:
                    raise Unavailable("The sign-in service cannot be reached right now. Try again.") from error
            return keys.key_set


def _unverified_issuer(token: str) -> str:
    import base64

    import orjson

    try:
        payload = token.split(".")[1]
        claims = orjson.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        return str(claims.get("iss", ""))
    except (IndexError, ValueError, AttributeError):
        return ""


def _key_trouble(error: Exception) -> bool:
    from joserfc.errors import BadSignatureError, InvalidKeyIdError

    return isinstance(error, (BadSignatureError, InvalidKeyIdError, ValueError))


def _identity(issuer: OidcIssuer, claims: dict[str, Any]) -> Identity:
    verified = claims.get("email_verified") is True and isinstance(claims.get("email"), str)
    organization = claims.get(issuer.organization_claim) if issuer.organization_claim else None
    return Identity(
        issuer=issuer.issuer,
        subject=str(claims["sub"]),
        email=str(claims["email"]).strip().lower() if verified else None,
        organization=str(organization or "") if issuer.organization_claim else None,
        expires_at=clock.from_unix(int(claims["exp"]) + _LEEWAY),
    )
