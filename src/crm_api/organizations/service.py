"""Verbs of the tenant: create it, read it, change it, move a test organization's clock."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, insert, select, text

from crm_api.audit.service import record
from crm_api.kit import clock
from crm_api.kit.db import ReadSession, Row, Tenant, WriteSession, prepare
from crm_api.kit.ids import new_id
from crm_api.kit.problems import Conflict, Forbidden, NotFound
from crm_api.kit.updates import lock_row, update_row
from crm_api.organizations.facts import TimezoneChanged
from crm_api.organizations.models import organizations
from crm_api.outbox import schedules
from crm_api.outbox import service as outbox
from crm_api.outbox.facts import REGISTRY

_READ_SENSITIVE = "contacts:read_sensitive"
_GET = prepare(select(organizations).where(organizations.c.id == bindparam("organization_id")))
_INSERT = prepare(
    insert(organizations).values(
        id=bindparam("organization_id"),
        **{
            name: bindparam(name)
            for name in ("name", "mode", "currency", "timezone", "language", "created_at", "updated_at")
        },
    )
)


def tenant_of(row: Row) -> Tenant:
    """What sessions carry of an organization's row."""
    return Tenant(row["id"], row["mode"], row["currency"], row["timezone"], row["language"], row["test_clock"])


def new_tenant(*, mode: str, currency: str, timezone: str, language: str) -> Tenant:
    """The tenant of an organization about to be created."""
    return Tenant(new_id(), mode, currency, timezone, language)


async def create_organization(session: WriteSession, *, name: str) -> UUID:
    """Create the session's own organization, with its schedules. Its mode can never change."""
    tenant = session.tenant
    now = clock.utc_now()
    await session.execute(
        _INSERT,
        name=name,
        mode=tenant.mode,
        currency=tenant.currency,
        timezone=tenant.timezone,
        language=tenant.language,
        created_at=now,
        updated_at=now,
    )
    await schedules.ensure(session, REGISTRY)
    record(session, "organization.created", "organization", tenant.id)
    return tenant.id


async def get_organization(session: ReadSession) -> Row:
    """The session's organization."""
    row = await session.fetch_row(_GET)
    if row is None:
        raise NotFound("There is no such organization.")
    return row


async def load_tenant(session: ReadSession) -> Tenant | None:
    """The session's organization as sessions carry it; `None` when it does not exist."""
    row = await session.fetch_row(_GET)
    return None if row is None else tenant_of(row)


CONTACT_ROLES = ("donor", "volunteer", "partner", "beneficiary", "staff", "member", "media")
"""What contacts can be to an organization that has not said otherwise."""


def contact_roles_of(settings: Mapping[str, Any]) -> list[str]:
    """The roles an organization gives contacts, from its settings."""
    return list(settings.get("contact_roles") or CONTACT_ROLES)


async def contact_roles(session: ReadSession) -> list[str]:
    """The roles this organization gives contacts."""
    return contact_roles_of((await get_organization(session))["settings"])


async def patch_organization(session: WriteSession, changes: dict[str, Any], *, expected: int | None) -> Row:
    """Change descriptive fields; mode and currency are for good (amounts are stamped in that currency)."""
    changes = dict(changes)
    if changes.keys() & {"beneficiary_privacy", "beneficiary_roles"} and _READ_SENSITIVE not in session.actor.scopes:
        raise Forbidden(
            f"What is hidden of beneficiaries is changed by those who may see it. This needs {_READ_SENSITIVE}.",
            code="missing_scope",
            scope=_READ_SENSITIVE,
        )
    if "contact_roles" in changes:
        await lock_row(session, organizations, session.organization_id, expected=expected, what="organization")
        settings = (await get_organization(session))["settings"]
        changes["settings"] = {**settings, "contact_roles": changes.pop("contact_roles")}
    row = await update_row(session, organizations, session.organization_id, changes, expected=expected)
    if row["timezone"] != session.tenant.timezone:
        await schedules.rewind(session, REGISTRY, tenant_of(row))
        outbox.emit(session, TimezoneChanged(timezone=row["timezone"], previous=session.tenant.timezone))
    record(session, "organization.updated", "organization", session.organization_id, fields=changes)
    return row


_SHIFT_WAITS = prepare(
    text(
        "UPDATE jobs SET due_at = due_at - CAST(:moved AS interval) "
        "WHERE organization_id = :organization_id AND state = 'waiting'"
    )
)


async def set_test_clock(session: WriteSession, now: datetime | None) -> Row:
    """Set or clear a test organization's clock. It stands still where it is set; deadlines of waiting work move with
    it, and schedules whose time has come run."""
    if session.tenant.mode != "test":
        raise Conflict("Only a test organization has a movable clock.", code="not_a_test_organization")
    before = (await get_organization(session))["test_clock"] or clock.utc_now()
    after = now or clock.utc_now()
    row = await update_row(session, organizations, session.organization_id, {"test_clock": now}, expected=None)
    moved: timedelta = after - before
    await session.execute(_SHIFT_WAITS, moved=moved)
    if moved < timedelta(0):
        await schedules.rewind(session, REGISTRY, tenant_of(row))
    record(session, "organization.clock_set", "organization", session.organization_id)
    outbox.ring(session)
    return row
