"""Verbs of sources of intake."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import orjson
from pydantic import ValidationError

from crm_api.audit.service import record
from crm_api.contacts.consents import policy
from crm_api.contacts.roles import check_known
from crm_api.contacts.service import survivor_of
from crm_api.intake.kinds import KINDS
from crm_api.intake.kinds.signing import new_token
from crm_api.intake.sources.models import intake_sources
from crm_api.intake.sources.schemas import IntakeSourceCreate, IntakeSourcePatch, SourceDefaults, StartLinkCreate
from crm_api.intake.sources.start import make_start
from crm_api.kit import clock
from crm_api.kit.body import invalid_from
from crm_api.kit.crypto import SecretsUnreadable, Vault
from crm_api.kit.db import ReadSession, Row, RowLike, Tenant, WriteSession
from crm_api.kit.ids import new_id
from crm_api.kit.problems import Conflict, Invalid, NotFound
from crm_api.kit.updates import get_row, lock_row, update_row
from crm_api.organizations.service import contact_roles

_OVERLAP = timedelta(days=1)
_BOTS = {"telegram"}
_PLAIN = ("mapping", "campaign_id", "bot_username", "start_system", "name", "active")
_HIDDEN = "{path_secret}"


class OpenSource:
    """A source with its secrets opened. Never shown, never logged."""

    __slots__ = ("_previous", "credentials", "form_token", "generations", "id", "provider", "status", "tenant")

    def __init__(self, row: RowLike, tenant: Tenant, stored: dict[str, Any]) -> None:
        self.id: UUID = row["id"]
        self.provider: str = row["provider"]
        self.status: str = row["status"]
        self.tenant = tenant
        self.credentials: dict[str, str] = stored["credentials"]
        self.form_token: str | None = stored.get("form_token")
        self._previous: list[dict[str, Any]] = [
            item for item in stored.get("previous", []) if datetime.fromisoformat(item["until"]) > clock.utc_now()
        ]
        own = {"form_token": self.form_token} if self.form_token else {}
        self.generations: list[dict[str, str]] = [
            {**one, **own} for one in (self.credentials, *(item["credentials"] for item in self._previous))
        ]
        """The credentials that hold now, and those they replaced within a day."""

    def retired_by(self, credentials: dict[str, str], until: datetime) -> list[dict[str, Any]]:
        """Earlier credentials that stay valid beside new ones, at most two."""
        kept = [item for item in self._previous if item["credentials"] not in (credentials, self.credentials)]
        if self.credentials != credentials:
            kept.insert(0, {"credentials": self.credentials, "until": until.isoformat()})
        return kept[:2]


def open_source(vault: Vault, tenant: Tenant, row: RowLike) -> OpenSource:
    """Open a source's secrets; the row is the lookup's, or of the table with `provider` and `status` added."""
    stored = orjson.loads(vault.open(tenant.id, row["id"], row["credentials"]))
    return OpenSource(row, tenant, stored)


def opened(vault: Vault, session: ReadSession, row: RowLike) -> OpenSource:
    """A row of the table with its secrets opened."""
    status = "active" if row["active"] else "disabled"
    return open_source(vault, session.tenant, {**dict(row), "provider": row["kind"], "status": status})


def webhook_path(kind: str, source_id: UUID, secret: str = _HIDDEN) -> str:
    """Where the other side delivers."""
    return f"/v1/intake/{kind}/{source_id}" + (f"/{secret}" if kind == "binotel" else "")


def to_read(
    row: RowLike, *, vault: Vault, session: ReadSession, public_url: str, issued: dict[str, str] | None = None
) -> dict[str, Any]:
    """A source as the API shows it: the names of its credentials only, and once what was made up for it."""
    try:
        found = opened(vault, session, row)
        names, token = sorted(found.credentials), found.form_token
    except SecretsUnreadable:
        names, token = [], None
    fresh = issued or {}
    base = public_url.rstrip("/")
    plain = ("id", "kind", "name", "active", "mapping", "campaign_id", "bot_username", "start_system")
    return {
        **{name: row[name] for name in plain},
        "defaults": SourceDefaults.model_validate_json(orjson.dumps(row["defaults"])).model_dump(mode="json"),
        "webhook_url": base + webhook_path(row["kind"], row["id"], fresh.get("path_secret", _HIDDEN)),
        "browser_url": f"{base}{webhook_path(row['kind'], row['id'])}?token={token}" if token else None,
        "credentials_set": names,
        "issued": fresh,
        "version": row["version"],
        "created_at": row["created_at"],
        "updated_at": row["updated_at"],
    }


def _checked(kind: str, credentials: dict[str, str], *, make_up: bool) -> tuple[dict[str, str], dict[str, str]]:
    """The credentials as stored, and those of them that were made up."""
    issued = {n: make() for n, make in KINDS[kind].issued.items() if n not in credentials} if make_up else {}
    try:
        model = KINDS[kind].credentials.model_validate({**credentials, **issued})
    except ValidationError as error:
        raise invalid_from(error, "/credentials", model=KINDS[kind].credentials) from None
    return model.model_dump(exclude_none=True), issued


async def _check_defaults(session: ReadSession, defaults: SourceDefaults) -> None:
    if defaults.roles:
        check_known(defaults.roles, await contact_roles(session), "defaults/roles")
    asked = defaults.consent
    if asked is None:
        return
    known = await policy.load(session)
    if asked.purpose is not None and asked.purpose not in known.purposes:
        detail = f"Use one of {', '.join(sorted(known.purposes))}, or add it to the privacy settings."
        raise Invalid.at("/defaults/consent/purpose", "unknown_purpose", detail)
    if asked.list is not None and known.lists.get(asked.list, {}).get("purpose") != asked.purpose:
        detail = "There is no such list of this purpose; add it to the privacy settings."
        raise Invalid.at("/defaults/consent/list", "unknown_list", detail)


def _check_kind(kind: str, body: IntakeSourceCreate | IntakeSourcePatch) -> None:
    if body.browser_form and kind != "form":
        raise Invalid.at("/browser_form", "not_a_form", "Only a source of kind form can be posted to by browsers.")
    for name in ("bot_username", "start_system"):
        if getattr(body, name) and kind not in _BOTS:
            raise Invalid.at(f"/{name}", "not_a_bot", "bot_username and start_system belong to kind telegram.")


async def create_source(
    session: WriteSession, vault: Vault, body: IntakeSourceCreate
) -> tuple[dict[str, Any], dict[str, str]]:
    """Add a source; the new row, and the credentials that were made up for it."""
    _check_kind(body.kind, body)
    credentials, issued = _checked(body.kind, body.credentials, make_up=True)
    await _check_defaults(session, body.defaults)
    source_id = new_id()
    stored = {"credentials": credentials, "form_token": new_token() if body.browser_form else None}
    row = {
        "id": source_id,
        **body.model_dump(mode="json", include={"kind", "name", "active", "mapping", "bot_username", "start_system"}),
        "credentials": vault.seal(session.organization_id, source_id, orjson.dumps(stored)),
        "defaults": body.defaults.model_dump(mode="json", exclude_none=True),
        "campaign_id": body.campaign_id,
        "version": 1,
        "created_at": session.now,
        "updated_at": session.now,
    }
    session.later(intake_sources, **row)
    record(session, "intake_source.created", "intake_source", source_id)
    return row, issued


async def get_source(session: ReadSession, source_id: UUID) -> Row:
    """One source, or 404."""
    return await get_row(session, intake_sources, source_id, "intake source")


async def patch_source(
    session: WriteSession, vault: Vault, source_id: UUID, body: IntakeSourcePatch, *, expected: int | None
) -> Row:
    """Change a source; new credentials take over while the old ones fade out."""
    await lock_row(session, intake_sources, source_id, expected=expected, what="intake source")
    row = await get_source(session, source_id)
    _check_kind(row["kind"], body)
    changes: dict[str, Any] = {name: getattr(body, name) for name in body.model_fields_set & set(_PLAIN)}
    if body.defaults is not None:
        await _check_defaults(session, body.defaults)
        changes["defaults"] = body.defaults.model_dump(mode="json", exclude_none=True)
    changes = {name: value for name, value in changes.items() if value != row[name]}
    if body.credentials is not None or body.browser_form is not None:
        changes["credentials"] = _resealed(session, vault, row, body)
    if not changes:
        return row
    row = await update_row(session, intake_sources, source_id, changes, expected=None)
    record(session, "intake_source.updated", "intake_source", source_id, fields=changes)
    return row


def _resealed(session: WriteSession, vault: Vault, row: Row, body: IntakeSourcePatch) -> bytes:
    before = opened(vault, session, row)
    credentials = before.credentials
    if body.credentials is not None:
        credentials, _ = _checked(row["kind"], {**before.credentials, **body.credentials}, make_up=False)
    token = before.form_token
    if body.browser_form is not None:
        token = (token or new_token()) if body.browser_form else None
    until = clock.utc_now() + _OVERLAP
    stored = {"credentials": credentials, "form_token": token, "previous": before.retired_by(credentials, until)}
    return vault.seal(session.organization_id, row["id"], orjson.dumps(stored))


async def make_link(session: WriteSession, vault: Vault, source_id: UUID, body: StartLinkCreate) -> dict[str, Any]:
    """A deep link that joins whoever opens it to the contact."""
    row = await get_source(session, source_id)
    if row["kind"] not in _BOTS:
        raise Conflict("Only a bot's source has deep links; use one of kind telegram.", code="not_a_bot")
    contact = await survivor_of(session, body.contact_id)
    if contact is None:
        raise NotFound.reference("contact_id")
    until = session.now.replace(microsecond=0) + timedelta(days=body.days)
    payload = make_start(vault, session.organization_id, row["id"], contact, until)
    record(session, "intake_source.link_made", "contact", contact)
    name = row["bot_username"]
    return {
        "payload": payload,
        "url": f"https://t.me/{name}?start={payload}" if name else None,
        "expires_at": until,
    }
