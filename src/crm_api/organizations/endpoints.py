"""HTTP of the organization itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import Request, Response

from crm_api.idempotency.boundary import IfMatch, json_body, reads, router, services, writes
from crm_api.kit.db import ReadSession, Row, WriteSession
from crm_api.kit.reply import reply
from crm_api.kit.updates import check_version
from crm_api.organizations import service
from crm_api.organizations.schemas import OrganizationPatch, OrganizationRead, TestClock

routes = router("organization")
_READ = tuple(OrganizationRead.model_fields)


def _read(row: Row | Mapping[str, Any]) -> dict[str, Any]:
    roles = service.contact_roles_of(row["settings"])
    return {name: roles if name == "contact_roles" else row[name] for name in _READ}


def _forget(request: Request, session: WriteSession) -> None:
    """Drop cached principals once the change stands: they carry the zone, the language and the clock."""
    authenticator, organization_id = services(request).authenticator, session.organization_id
    session.after_commit(lambda: authenticator.forget(organization_id))


@routes.get("/v1/organization", operation_id="organization_get", response_model=OrganizationRead)
async def organization_get(session: Annotated[ReadSession, reads("organization:read")]) -> Response:
    """The organization the credential belongs to."""
    row = await service.get_organization(session)
    return reply(_read(row), version=row["version"])


@routes.patch("/v1/organization", operation_id="organization_update", response_model=OrganizationRead)
async def organization_update(
    request: Request,
    session: Annotated[WriteSession, writes("organization:write")],
    body: Annotated[OrganizationPatch, json_body(OrganizationPatch, media_type="application/merge-patch+json")],
    expected: Annotated[int | None, IfMatch],
) -> Response:
    """Change the organization by JSON merge patch."""
    changes = {name: getattr(body, name) for name in body.model_fields_set}
    if changes:
        row = await service.patch_organization(session, changes, expected=expected)
        _forget(request, session)
    else:
        row = await service.get_organization(session)
        check_version(row["version"], expected)
    return reply(_read(row), version=row["version"])


@routes.put("/v1/organization/test-clock", operation_id="organization_set_test_clock", response_model=OrganizationRead)
async def organization_set_test_clock(
    request: Request,
    session: Annotated[WriteSession, writes("organization:write")],
    body: Annotated[TestClock, json_body(TestClock)],
) -> Response:
    """Stop the clock of a test organization at a moment, or let it run again with null."""
    row = await service.set_test_clock(session, body.now)
    _forget(request, session)
    return reply(_read(row), version=row["version"])
