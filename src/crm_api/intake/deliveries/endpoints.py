"""HTTP of intake: where the other side delivers, where forms are sent, and where people look what came of it."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from fastapi import Path, Query, Request, Response

from crm_api.idempotency.boundary import json_body, list_query, reads, router, services, writes
from crm_api.intake.deliveries import service
from crm_api.intake.deliveries.fields import DELIVERIES
from crm_api.intake.deliveries.schemas import (
    FormSubmission,
    IntakeDelivery,
    IntakeDeliveryPage,
    IntakeTaken,
    SubmissionTaken,
)
from crm_api.intake.kinds import META
from crm_api.intake.kinds.kind import Received, Refused
from crm_api.intake.kinds.signing import header
from crm_api.intake.sources.service import OpenSource
from crm_api.kit.db import ReadSession, WriteSession
from crm_api.kit.listing import ListQuery, read_page
from crm_api.kit.problems import BadRequest, NotFound, PayloadTooLarge, TooManyRequests
from crm_api.kit.ratelimit import RateLimiter
from crm_api.kit.reply import Reply, reply
from crm_api.outbox.service import ring_now

routes = router("intake")
MOST_BYTES = 256_000
"""Of one delivery. Providers send a few kilobytes, Standard Webhooks asks for less than 20."""
_TAKEN = b'{"status":"success"}'
_PER_ADDRESS = RateLimiter(per_second=0.5, burst=30)
_PER_FORM = RateLimiter(per_second=10.0, burst=300)
KindSegment = Annotated[str, Path(min_length=1, max_length=40, pattern=r"^[a-z_]+$")]
Token = Annotated[str | None, Query(max_length=255, description="Of browser forms and of Ringostat.")]
_BODY = {
    "required": True,
    "content": {
        "application/json": {"schema": {"type": "object"}},
        "application/x-www-form-urlencoded": {"schema": {"type": "object"}},
    },
}
_LIMITED: dict[int | str, dict[str, Any]] = {429: {}}


@routes.post(
    "/v1/intake/form/{form_id}/submissions",
    operation_id="intake_form_submit",
    status_code=202,
    response_model=SubmissionTaken,
)
async def intake_form_submit(
    request: Request,
    session: Annotated[WriteSession, writes("forms:submit")],
    form_id: UUID,
    body: Annotated[FormSubmission, json_body(FormSubmission)],
) -> Response:
    """Send a filled-in form from a web page with a publishable key, or from a server. It is handled in a moment."""
    if session.actor.scopes <= {"forms:submit", "donations:intend"}:  # a key that everybody can read
        _limit(request, str(form_id))
    return reply(await service.submit(session, form_id, body), status=202)


@routes.post(
    "/v1/intake/{kind}/{source_id}",
    operation_id="intake_receive",
    response_model=IntakeTaken,
    responses=_LIMITED,
    openapi_extra={"requestBody": _BODY},
)
async def intake_receive(request: Request, kind: KindSegment, source_id: UUID, token: Token = None) -> Response:
    """Where a source delivers: the signature, or the secret it was given, is the authentication.

    The delivery is stored before the answer leaves and handled by the worker; the same delivery may come again at any
    time. A form of a web page, which can keep no secret, posts here with the form's public `token`.
    """
    return await _receive(request, kind, source_id, token=token)


@routes.post(
    "/v1/intake/{kind}/{source_id}/{path_secret}",
    operation_id="intake_receive_secret",
    response_model=IntakeTaken,
    openapi_extra={"requestBody": _BODY},
)
async def intake_receive_secret(
    request: Request, kind: KindSegment, source_id: UUID, path_secret: Annotated[str, Path(max_length=128)]
) -> Response:
    """Where a source delivers that signs nothing (Binotel): the last segment is its secret."""
    return await _receive(request, kind, source_id, secret=path_secret)


async def _receive(
    request: Request, kind: str, source_id: UUID, *, secret: str | None = None, token: str | None = None
) -> Response:
    lent = services(request)
    source: OpenSource = await lent.more["intake"].find(kind, source_id)
    body = await request.body()
    if not body:
        raise BadRequest("The body is empty.", code="body_missing")
    if len(body) > MOST_BYTES:
        raise PayloadTooLarge(f"The body is larger than {MOST_BYTES} bytes.")
    if kind == "form" and header(request.headers, "webhook-signature") is None:
        _limit(request, str(source_id))
    received = Received(body, request.headers, secret, token)
    request_id = request.scope.get("crm.request_id", "")
    if await service.receive(lent.database, source, received, request_id=request_id):
        ring_now(source.tenant.id)
    return Reply(_TAKEN)


def _limit(request: Request, form: str) -> None:
    """Anybody can read a page's key: so much per visitor's address and per form passes in each process."""
    address = request.client.host if request.client else ""
    for limiter, key in ((_PER_ADDRESS, f"{form} {address}"), (_PER_FORM, form)):
        verdict = limiter.hit(key)
        if not verdict.allowed:
            problem = TooManyRequests(f"Too many forms at once. Wait {verdict.reset_seconds} s, then send it again.")
            problem.headers["Retry-After"] = str(verdict.reset_seconds)
            raise problem


@routes.get(
    "/v1/intake/{kind}/{source_id}",
    operation_id="intake_verify",
    response_class=Response,
    responses={
        200: {"description": "The challenge, as it came", "content": {"text/plain": {"schema": {"type": "string"}}}},
        400: {},
    },
)
async def intake_verify(
    request: Request,
    kind: KindSegment,
    source_id: UUID,
    mode: Annotated[str | None, Query(alias="hub.mode", max_length=40)] = None,
    challenge: Annotated[str | None, Query(alias="hub.challenge", max_length=200)] = None,
    verify_token: Annotated[str | None, Query(alias="hub.verify_token", max_length=1000)] = None,
) -> Response:
    """Meta asks once whether the address is ours: the challenge comes back where the word fits."""
    source: OpenSource = await services(request).more["intake"].find(kind, source_id)
    if kind != META.name:
        raise NotFound("Nothing is to be verified here; deliveries come by POST.")
    try:
        answer = META.challenge(mode, verify_token, challenge, source.credentials["verify_token"])
    except Refused as error:
        detail = "hub.verify_token is not the source's; enter the same word at both sides."
        raise BadRequest(detail, code=f"signature_{error.code}") from None
    return Response(answer, media_type="text/plain", headers={"X-Content-Type-Options": "nosniff"})


@routes.get("/v1/intake-deliveries", operation_id="intake_deliveries_list", response_model=IntakeDeliveryPage)
async def intake_deliveries_list(
    session: Annotated[ReadSession, reads("intake:read")], query: Annotated[ListQuery, list_query(DELIVERIES)]
) -> Response:
    """List deliveries, newest first. `state=failed` and `state=unmatched` are those that somebody should look at."""
    return await read_page(session, DELIVERIES, query, service.to_read)


@routes.get("/v1/intake-deliveries/{delivery_id}", operation_id="intake_deliveries_get", response_model=IntakeDelivery)
async def intake_deliveries_get(session: Annotated[ReadSession, reads("intake:read")], delivery_id: UUID) -> Response:
    """One delivery."""
    return reply(service.to_read(await service.get_delivery(session, delivery_id)))


@routes.post(
    "/v1/intake-deliveries/{delivery_id}/replay",
    operation_id="intake_deliveries_replay",
    status_code=202,
    response_model=IntakeDelivery,
)
async def intake_deliveries_replay(
    session: Annotated[WriteSession, writes("intake:write")], delivery_id: UUID
) -> Response:
    """Handle a delivery again, after the source was put right; safe at any time."""
    return reply(service.to_read(await service.replay(session, delivery_id)), status=202)
