"""Checking the seals of the audit from the command line: every organization's, or one's."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from typing import Any
from uuid import UUID

from sqlalchemy import text

from crm_api.audit.sealing import Verdict, count_sealed, verify
from crm_api.demo.progress import Progress
from crm_api.kit import clock
from crm_api.kit.db import Database, Tenant, prepare
from crm_api.organizations.service import load_tenant

_MOST = 2_000_000_000
# With a number of schedules that no organization has, the workers' function names every organization.
_ALL = prepare(text("SELECT organization_id FROM crm_due_organizations(:now, :schedule_count, :most) ORDER BY 1"))


class UnknownOrganization(Exception):
    """No organization has the id that was given."""


async def verify_audits(
    database: Database, organization_id: UUID | None, say: Callable[[str], Any], *, as_json: bool
) -> bool:
    """Check one audit, or all, a line for each; whether all of them are whole. Raises `UnknownOrganization`."""
    whole = True
    async for tenant in _tenants(database, organization_id):
        session = database.read(tenant)
        with Progress(await count_sealed(session), quiet=True) as progress:
            progress.step(str(tenant.id))
            verdict = await verify(session, progress.advance)
        say(json.dumps(_facts(tenant, verdict)) if as_json else _words(tenant, verdict))
        whole = whole and verdict.misfit is None
    return whole


async def _tenants(database: Database, organization_id: UUID | None) -> AsyncIterator[Tenant]:
    if organization_id is not None:
        ids = [organization_id]
    else:
        arguments = {"now": clock.utc_now(), "schedule_count": _MOST, "most": _MOST}
        async with database.connection() as connection:
            ids = [row[0] for row in await connection.fetch(_ALL.sql, *_ALL.arguments(arguments))]
    for one in ids:
        tenant = await load_tenant(database.read(Tenant(one, "live", "USD", "UTC", "en")))
        if tenant is not None:
            yield tenant
        elif organization_id is not None:
            raise UnknownOrganization


def _facts(tenant: Tenant, verdict: Verdict) -> dict[str, Any]:
    misfit = verdict.misfit
    return {
        "organization_id": str(tenant.id),
        "ok": misfit is None,
        "seals": verdict.seals,
        "events": verdict.events,
        "hash": verdict.hash,
        "misfit": misfit
        and {
            "number": misfit.number,
            "code": misfit.code,
            "first_event_id": str(misfit.first_event_id),
            "last_event_id": str(misfit.last_event_id),
            "words": misfit.words,
        },
    }


def _words(tenant: Tenant, verdict: Verdict) -> str:
    misfit = verdict.misfit
    if misfit is None:
        return f"ok    {tenant.id}: {verdict.events} events in {verdict.seals} seals, the last hash is {verdict.hash}"
    return (
        f"FAIL  {tenant.id}: seal {misfit.number} does not fit ({misfit.code}). {misfit.words}\n"
        f"      It covers the events {misfit.first_event_id} to {misfit.last_event_id}; "
        f"the {verdict.seals} seals before it fit. Compare these events with a backup."
    )
