"""Verbs of API keys. Their times are the machine's: a movable test clock must not bring an expired key back."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, select, text

from crm_api.audit.service import record
from crm_api.auth.api_keys.schemas import ApiKeyCreate, ApiKeyPatch
from crm_api.auth.models import api_keys
from crm_api.auth.scopes import ALL_SCOPES, PUBLISHABLE_SCOPES, SCOPES
from crm_api.auth.tokens import hash_secret, new_token
from crm_api.kit import clock, simple
from crm_api.kit.db import ReadSession, Row, WriteSession, prepare
from crm_api.kit.ids import new_id
from crm_api.kit.problems import Conflict, FieldError, Forbidden, Invalid, NotFound
from crm_api.kit.updates import check_version, update_row

_READ = (
    "id", "name", "kind", "scopes", "last_four", "expires_at", "revoked_at", "last_used_at", "rotated_from",
    "sees_all", "version", "created_at", "updated_at",
)  # fmt: skip
_LOCK = prepare(
    select(api_keys)
    .where(api_keys.c.organization_id == bindparam("organization_id"), api_keys.c.id == bindparam("id"))
    .with_for_update(key_share=True)
)
_SAME_TEAMS = prepare(
    text(
        "INSERT INTO team_keys (organization_id, team_id, key_id, joined_at) "
        "SELECT organization_id, team_id, :new, :now FROM team_keys "
        "WHERE organization_id = :organization_id AND key_id = :old"
    )
)


def to_read(row: Row | Mapping[str, Any]) -> dict[str, Any]:
    """A key as the API shows it: never its secret or the hash of it."""
    return {name: row[name] for name in _READ}


def issue_key(
    session: WriteSession,
    *,
    name: str,
    scopes: Collection[str],
    kind: str = "secret",
    expires_at: datetime | None = None,
    rotated_from: UUID | None = None,
    sees_all: bool = True,
) -> tuple[dict[str, Any], str]:
    """Add a key; the key as the API shows it and the whole token, which nobody can read again."""
    key_id, now = new_id(), clock.utc_now()
    token, secret = new_token("pub" if kind == "publishable" else session.tenant.mode, key_id)
    row = {
        "id": key_id,
        "name": name,
        "kind": kind,
        "secret_hash": hash_secret(secret),
        "last_four": secret[-4:],
        "scopes": _known(list(dict.fromkeys(scopes)), kind),
        "expires_at": expires_at,
        "revoked_at": None,
        "last_used_at": None,
        "rotated_from": rotated_from,
        "sees_all": sees_all,
        "version": 1,
        "created_at": now,
        "updated_at": now,
    }
    if expires_at is not None and expires_at <= now:
        raise Invalid.at("/expires_at", "in_the_past", "expires_at must lie in the future.")
    session.later(api_keys, **row)
    record(session, "api_key.created", "api_key", key_id)
    return to_read(row), token


def _known(scopes: Sequence[str], kind: str) -> list[str]:
    allowed = PUBLISHABLE_SCOPES if kind == "publishable" else ALL_SCOPES
    errors = []
    for index, scope in enumerate(scopes):
        if scope not in SCOPES:
            detail = f"There is no such scope; a {kind} key may have {', '.join(sorted(allowed))}."
            errors.append(FieldError(f"/scopes/{index}", "unknown_scope", detail))
        elif scope not in allowed:
            detail = f"A {kind} key cannot have the scope {scope}; it may have {', '.join(sorted(allowed))}."
            errors.append(FieldError(f"/scopes/{index}", "scope_not_allowed", detail))
    if errors:
        raise Invalid("Some scopes cannot be given to this key; see errors.", errors=errors)
    return sorted(scopes)


def _check_grant(session: WriteSession, scopes: Collection[str], kind: str) -> None:
    """Nobody gives out more than they have. What publishable keys may do is open to the public page anyway."""
    missing = sorted(set(scopes) - session.actor.scopes) if kind != "publishable" else []
    if missing:
        raise Forbidden(
            f"You cannot give the scope {missing[0]}: your own credential does not have it.",
            code="missing_scope",
            scope=missing[0],
        )


def create_key(session: WriteSession, body: ApiKeyCreate) -> tuple[dict[str, Any], str]:
    """Add a key with scopes that the caller has too; the key and its whole token."""
    _known(body.scopes, body.kind)
    _check_grant(session, body.scopes, body.kind)
    ends = min((one for one in (body.expires_at, session.actor.expires_at) if one is not None), default=None)
    _check_sight(body.kind, body.sees_all)
    return issue_key(
        session, name=body.name, scopes=body.scopes, kind=body.kind, expires_at=ends, sees_all=body.sees_all
    )


def _check_sight(kind: str, sees_all: bool) -> None:
    if kind == "publishable" and not sees_all:
        detail = "A publishable key sees no contact at all, so there is nothing to limit. Leave sees_all out."
        raise Invalid.at("/sees_all", "publishable_sees_nothing", detail)


async def get_key(session: ReadSession, key_id: UUID) -> dict[str, Any]:
    """One key, or 404."""
    return to_read(await simple.get(session, api_keys, key_id, "API key"))


async def patch_key(session: WriteSession, key_id: UUID, body: ApiKeyPatch, *, expected: int | None) -> dict[str, Any]:
    """Rename a key, or change whether its teams limit it."""
    changes = {name: getattr(body, name) for name in body.model_fields_set}
    before = await simple.get(session, api_keys, key_id, "API key")
    if not changes:
        check_version(before["version"], expected)
        return to_read(before)
    _check_sight(before["kind"], changes.get("sees_all", before["sees_all"]))
    row = await update_row(session, api_keys, key_id, changes, expected=expected)
    record(session, "api_key.updated", "api_key", key_id, fields=changes)
    return to_read(row)


async def _lock(session: WriteSession, key_id: UUID, expected: int | None) -> Row:
    row = await session.fetch_row(_LOCK, id=key_id)
    if row is None:
        raise NotFound("There is no such API key.")
    check_version(row["version"], expected)
    return row


async def rotate_key(
    session: WriteSession, key_id: UUID, overlap: timedelta, *, expected: int | None
) -> tuple[dict[str, Any], str]:
    """Add a key with the same name and scopes; the old one works on for `overlap`. A key made to expire is followed by
    one that lives as long as it was made for."""
    row, now = await _lock(session, key_id, expected), clock.utc_now()
    ends: datetime | None = row["expires_at"]
    if row["revoked_at"] is not None or (ends is not None and ends <= now):
        raise Conflict("This key no longer works; create a new one.", code="key_not_active")
    _check_grant(session, row["scopes"], row["kind"])
    until = now + overlap
    lifetime = None if ends is None else ends - row["created_at"]
    await update_row(session, api_keys, key_id, {"expires_at": min(ends, until) if ends else until}, expected=None)
    record(session, "api_key.rotated", "api_key", key_id, fields=["expires_at"])
    key, token = issue_key(
        session,
        name=row["name"],
        scopes=row["scopes"],
        kind=row["kind"],
        expires_at=None if lifetime is None else now + lifetime,
        rotated_from=key_id,
        sees_all=row["sees_all"],
    )
    await session.flush()
    await session.execute(_SAME_TEAMS, old=key_id, new=key["id"], now=now)
    return key, token


async def revoke_key(session: WriteSession, key_id: UUID, *, expected: int | None) -> dict[str, Any]:
    """End a key for good; one that is revoked already stays as it is."""
    row = await _lock(session, key_id, expected)
    if row["revoked_at"] is None:
        row = await update_row(session, api_keys, key_id, {"revoked_at": clock.utc_now()}, expected=None)
        record(session, "api_key.revoked", "api_key", key_id, fields=["revoked_at"])
    return to_read(row)
