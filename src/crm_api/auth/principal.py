"""From a bearer token to who acts, for which organization, with which scopes."""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import text

from crm_api.auth.limits import limit_of
from crm_api.auth.oidc import OidcVerifier
from crm_api.auth.scopes import ROLE_SCOPES, WHOLE_SCOPES
from crm_api.auth.tokens import hash_secret, parse_token
from crm_api.kit import clock
from crm_api.kit.db import Actor, Database, Row, Tenant, prepare
from crm_api.kit.limits import Limit
from crm_api.kit.log import get_logger
from crm_api.kit.problems import Forbidden, Unauthorized
from crm_api.organizations.service import tenant_of

log = get_logger("crm_api.auth")
CACHE_SECONDS = 5.0
_MAX_CACHED = 10_000

LOOKUP = prepare(text("SELECT * FROM crm_lookup_api_key(:key_id)"))
_MEMBER = prepare(
    text(
        """
        SELECT o.*, m.id AS member_id, m.role, m.subject, m.issuer, m.sees_all
        FROM organizations o JOIN members m ON m.organization_id = o.id
        WHERE o.id = :organization_id AND m.organization_id = :organization_id AND m.status = 'active'
          AND ((m.issuer = :issuer AND m.subject = :subject) OR (m.issuer IS NULL AND m.email = :email))
        ORDER BY m.issuer NULLS LAST LIMIT 1
        """
    )
)
_BIND = prepare(
    text(
        "UPDATE members SET issuer = :issuer, subject = :subject, updated_at = :now "
        "WHERE organization_id = :organization_id AND id = :id AND issuer IS NULL"
    )
)
_USED = prepare(text("UPDATE api_keys SET last_used_at = :now WHERE organization_id = :organization_id AND id = :id"))


@dataclass(frozen=True, slots=True)
class Principal:
    """Who acts. Cached for at most five seconds, so a revoked key or a changed role takes effect within that."""

    tenant: Tenant
    kind: str
    id: str
    scopes: frozenset[str]
    expires_at: datetime | None = None
    limit: Limit | None = None
    """Which rows are seen, where not all are."""

    def require(self, scope: str) -> None:
        """403 with the scope's name where it is missing."""
        if scope not in self.scopes:
            if self.limit is not None and scope in WHOLE_SCOPES:
                raise Forbidden(
                    "This concerns the whole organization, of which you see a part. Ask somebody who sees all of it.",
                    code="sees_a_part",
                    scope=scope,
                )
            raise Forbidden(
                f"This needs the scope {scope}. Use a key that has it, or ask an administrator to grant it.",
                code="missing_scope",
                scope=scope,
            )

    def actor(self, request_id: str) -> Actor:
        """The principal as sessions and the audit carry it."""
        ends = self.expires_at if self.kind == "api_key" else None
        return Actor(self.kind, self.id, request_id, self.scopes, ends, self.limit)


class Authenticator:
    """Turns Authorization headers into principals."""

    def __init__(self, database: Database, oidc: OidcVerifier) -> None:
        self._database = database
        self._oidc = oidc
        self._cache: dict[tuple[str, str], tuple[float, Principal]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def forget(self, organization_id: UUID) -> None:
        """Drop what is cached of an organization: a key was revoked, a role changed, its clock moved."""
        self._cache = {k: v for k, v in self._cache.items() if v[1].tenant.id != organization_id}

    async def authenticate(self, headers: Mapping[str, str]) -> Principal:
        """The principal of a request; 401 with a reason a developer can act on."""
        header = headers.get("authorization", "")
        scheme, _, token = header.partition(" ")
        token = token.strip()
        if scheme.lower() != "bearer" or not token:
            raise Unauthorized("Send your API key as 'Authorization: Bearer crm_…'.", code="credentials_missing")
        organization = headers.get("x-organization-id", "")
        now = clock.monotonic()
        cached = self._cache.get((token, organization))
        if cached and cached[0] > now:
            principal = cached[1]
        else:
            principal = await (self._by_key(token) if token.startswith("crm_") else self._by_jwt(token, organization))
            if len(self._cache) >= _MAX_CACHED:
                self._cache.clear()
            if principal.tenant.mode == "live" or not token.startswith("crm_"):
                self._cache[(token, organization)] = (now + CACHE_SECONDS, principal)
        if principal.expires_at is not None and principal.expires_at <= clock.utc_now():
            raise Unauthorized("This credential has expired. Create or rotate a key.", code="credentials_expired")
        return principal

    async def _by_key(self, token: str) -> Principal:
        parsed = parse_token(token)
        if parsed is None:
            raise Unauthorized("This is not a complete API key; copy it whole.", code="credentials_malformed")
        async with self._database.connection() as connection:
            row: Row | None = await connection.fetchrow(LOOKUP.sql, parsed.key_id)
        if row is None or not hmac.compare_digest(row["secret_hash"], hash_secret(parsed.secret)):
            raise Unauthorized("There is no such API key.", code="credentials_unknown")
        if row["revoked_at"] is not None and row["revoked_at"] <= clock.utc_now():
            raise Unauthorized("This API key was revoked.", code="credentials_revoked")
        tenant = Tenant(
            row["organization_id"], row["mode"], row["currency"], row["timezone"], row["language"], row["test_clock"]
        )
        used: datetime | None = row["last_used_at"]
        if used is None or clock.utc_now() - used > timedelta(hours=1):
            self._later(self._note_use(tenant, parsed.key_id))
        held = frozenset(row["scopes"])
        return await self._principal(row, tenant, "api_key", parsed.key_id, held, row["expires_at"])

    async def _principal(
        self, row: Row, tenant: Tenant, kind: str, who: UUID, scopes: frozenset[str], expires_at: datetime | None
    ) -> Principal:
        limit = await limit_of(self._database, tenant, row, kind, who, scopes)
        if limit is not None and limit.teams is not None:
            scopes -= WHOLE_SCOPES
        return Principal(tenant, kind, str(who), scopes, expires_at, limit)

    def _later(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _note_use(self, tenant: Tenant, key_id: UUID) -> None:
        try:
            async with self._database.write(tenant) as session:
                await session.execute(_USED, id=key_id, now=clock.utc_now())
        except Exception as error:
            log.warning("key_use_not_noted", error=type(error).__name__)

    async def _by_jwt(self, token: str, organization: str) -> Principal:
        identity = await self._oidc.verify(token)
        wanted = organization if identity.organization is None else identity.organization
        try:
            organization_id = UUID(wanted)
        except ValueError as error:
            raise Unauthorized(
                "Say which organization you act for: send its id as X-Organization-Id.", code="organization_missing"
            ) from error
        bare = Tenant(organization_id, "live", "USD", "UTC", "en")
        row = await self._database.read(bare).fetch_row(
            _MEMBER, issuer=identity.issuer, subject=identity.subject, email=identity.email or ""
        )
        if row is None:
            raise Forbidden("You are not a member of this organization. Ask its administrator.", code="not_a_member")
        tenant = tenant_of(row)
        if row["issuer"] is None:
            async with self._database.write(tenant) as session:
                bound = await session.execute(
                    _BIND, id=row["member_id"], issuer=identity.issuer, subject=identity.subject, now=clock.utc_now()
                )
            if not bound:
                raise Forbidden("Somebody else has just signed in as this member.", code="not_a_member")
        held = ROLE_SCOPES[row["role"]]
        return await self._principal(row, tenant, "member", row["member_id"], held, identity.expires_at)
