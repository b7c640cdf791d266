"""HTTP of consent: events, the question whether somebody may be contacted, and the way out for everybody."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any
from urllib.parse import parse_qs
from uuid import UUID

from fastapi import Path, Query, Request, Response
from sqlalchemy import Boolean, literal_column

from crm_api.contacts.consents import page, service, unsubscribe
from crm_api.contacts.consents.fields import CONSENTS
from crm_api.contacts.consents.gate import ask
from crm_api.contacts.consents.models import consent_events
from crm_api.contacts.consents.schemas import (
    CanContact,
    ConsentCreate,
    ConsentPage,
    ConsentRead,
    PrivacySettings,
    PrivacySettingsRead,
    ReachChannel,
)
from crm_api.contacts.service import get_contact
from crm_api.idempotency.boundary import json_body, list_query, reads, router, services, writes
from crm_api.kit.db import Actor, ReadSession, WriteSession
from crm_api.kit.listing import Filter, ListQuery, read_page
from crm_api.kit.problems import BadRequest, Invalid
from crm_api.kit.reply import created, reply
from crm_api.organizations.service import load_tenant

routes = router("consents")
_COLUMNS: tuple[Any, ...] = (
    *consent_events.c,
    literal_column(f"({service.IS_CURRENT})", Boolean).label("is_current"),
)
_WORD = r"^[a-z][a-z0-9_]{1,39}$"


@routes.post(
    "/v1/contacts/{contact_id}/consents",
    operation_id="contact_consents_create",
    status_code=201,
    response_model=ConsentRead,
)
async def contact_consents_create(
    request: Request,
    session: Annotated[WriteSession, writes("contacts:write")],
    contact_id: UUID,
    body: Annotated[ConsentCreate, json_body(ConsentCreate)],
) -> Response:
    """Record what a person said about being contacted. Events are never changed: a newer one takes their place."""
    event = await service.record_consent(session, contact_id, body, vault=services(request).more["vault"])
    return created(event, f"/v1/contacts/{contact_id}/consents")


@routes.get("/v1/contacts/{contact_id}/consents", operation_id="contact_consents_list", response_model=ConsentPage)
async def contact_consents_list(
    session: Annotated[ReadSession, reads("contacts:read")],
    contact_id: UUID,
    query: Annotated[ListQuery, list_query(CONSENTS)],
) -> Response:
    """List what a person said, newest first; `is_current` marks what holds of each purpose, channel and list."""
    await get_contact(session, contact_id)
    own = Filter(CONSENTS.by_name["contact_id"], "eq", contact_id)
    asked = replace(query, filters=(*query.filters, own))
    return await read_page(session, CONSENTS, asked, service.to_read, columns=_COLUMNS)


@routes.get("/v1/contacts/{contact_id}/can-contact", operation_id="contacts_can_contact", response_model=CanContact)
async def contacts_can_contact(
    session: Annotated[ReadSession, reads("contacts:read")],
    contact_id: UUID,
    channel: Annotated[ReachChannel, Query(description="How they would be contacted.")],
    purpose: Annotated[str, Query(pattern=_WORD, max_length=40, description="What for, such as newsletter.")],
    list_: Annotated[
        str | None, Query(alias="list", pattern=_WORD, max_length=40, description="A list of that purpose.")
    ] = None,
) -> Response:
    """May this person be contacted, in this way, for this purpose? With the reason and the event that decided it."""
    verdict, policy = await ask(session, contact_id, channel, purpose, list_=list_)
    if purpose not in policy.purposes:
        known = ", ".join(sorted(policy.purposes))
        raise Invalid.at("?purpose", "unknown_purpose", f"Use one of {known}, or add it to the privacy settings.")
    return reply(
        {
            "allowed": verdict.allowed,
            "reason": verdict.reason,
            "event_id": verdict.event_id,
            "legal_basis": verdict.legal_basis,
            "channel": channel,
            "purpose": purpose,
            "list": list_,
        }
    )


@routes.get("/v1/privacy-settings", operation_id="privacy_settings_get", response_model=PrivacySettingsRead)
async def privacy_settings_get(session: Annotated[ReadSession, reads("privacy:read")]) -> Response:
    """What the organization contacts people for, its lists, and how long it keeps what the law asks for."""
    return reply(await service.settings_of(session))


@routes.put("/v1/privacy-settings", operation_id="privacy_settings_replace", response_model=PrivacySettingsRead)
async def privacy_settings_replace(
    session: Annotated[WriteSession, writes("privacy:write")],
    body: Annotated[PrivacySettings, json_body(PrivacySettings)],
) -> Response:
    """Replace the privacy settings. Built-in purposes stay; naming one changes its legal basis."""
    return reply(await service.save_settings(session, body))


Token = Annotated[str, Path(min_length=20, max_length=400, pattern=r"^[A-Za-z0-9_-]+$")]
_HTML: dict[int | str, dict[str, Any]] = {
    200: {"content": {"text/html": {"schema": {"type": "string"}}}, "description": "A page in the person's language"}
}
_ACTOR = Actor("contact", "unsubscribe_link")


def _page(choices: unsubscribe.Choices, organization_language: str, *, done: bool) -> Response:
    headers = {"Content-Security-Policy": page.POLICY, "X-Robots-Tag": "noindex"}
    return Response(
        page.render(choices, organization_language, done=done), media_type="text/html; charset=utf-8", headers=headers
    )


@routes.get("/v1/unsubscribe/{ticket}", operation_id="unsubscribe_show", response_class=Response, responses=_HTML)
async def unsubscribe_show(request: Request, ticket: Token) -> Response:
    """The page behind a letter's unsubscribe link: the list, its purpose, or everything. Looking changes nothing, so
    that programs which follow links do no harm."""
    lent = services(request)
    opened = unsubscribe.read_token(lent.more["vault"], ticket)
    session = lent.database.read(unsubscribe.bare_tenant(opened), _ACTOR)
    choices = await unsubscribe.choices(session, opened)
    tenant = await load_tenant(session)
    return _page(choices, tenant.language if tenant else "en", done=False)


@routes.post(
    "/v1/unsubscribe/{ticket}",
    operation_id="unsubscribe_leave",
    response_class=Response,
    responses=_HTML,
    openapi_extra={
        "requestBody": {
            "required": False,
            "content": {
                "application/x-www-form-urlencoded": {
                    "schema": {
                        "type": "object",
                        "properties": {
                            "List-Unsubscribe": {"const": "One-Click"},
                            "choice": {"enum": ["list", "purpose", "all"]},
                        },
                        "additionalProperties": False,
                    }
                }
            },
        }
    },
)
async def unsubscribe_leave(request: Request, ticket: Token) -> Response:
    """Leave: by a mail program's one click (RFC 8058), which leaves what the letter was sent to, or by a button of the
    page. Doing it twice is doing it once."""
    lent = services(request)
    opened = unsubscribe.read_token(lent.more["vault"], ticket)
    body = await request.body()
    choice = _choice(body) or unsubscribe.narrowest(opened)
    tenant = await load_tenant(lent.database.read(unsubscribe.bare_tenant(opened), _ACTOR))
    if tenant is None:
        raise unsubscribe.invalid()
    async with lent.database.write(tenant, _ACTOR) as session:
        choices = await unsubscribe.leave(session, opened, choice)
    return _page(choices, tenant.language, done=True)


def _choice(body: bytes) -> str | None:
    """What was chosen; nothing for a one-click."""
    try:
        fields = parse_qs(body.decode("ascii"), max_num_fields=5)
    except (ValueError, UnicodeDecodeError):
        raise BadRequest("Send the form as the page does.", code="form_malformed") from None
    chosen = fields.get("choice", [""])[0]
    if chosen and chosen not in {"list", "purpose", "all"}:
        raise BadRequest("choice must be list, purpose or all.", code="form_malformed")
    return chosen or None
