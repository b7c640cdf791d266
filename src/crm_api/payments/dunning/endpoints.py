"""HTTP of dunning: the policy, and the attempts to charge."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import Response

from crm_api.idempotency.boundary import IfMatch, json_body, list_query, reads, router, writes
from crm_api.kit.db import ReadSession, WriteSession
from crm_api.kit.listing import ListQuery, read_page
from crm_api.kit.reply import reply
from crm_api.payments.dunning import attempts, policies, service
from crm_api.payments.dunning.fields import ATTEMPTS
from crm_api.payments.dunning.schemas import (
    ChargeAttemptPage,
    ChargeAttemptRead,
    ChargeOutcome,
    DunningPolicy,
    DunningPolicyRead,
)

routes = router("recurring plans")


@routes.get("/v1/dunning-policy", operation_id="dunning_policy_get", response_model=DunningPolicyRead)
async def dunning_policy_get(session: Annotated[ReadSession, reads("donations:read")]) -> Response:
    """What follows failed charges of regular gifts, by the class of the decline."""
    found = policies.to_read(await policies.policy_of(session))
    return reply(found, version=found["version"])


@routes.put("/v1/dunning-policy", operation_id="dunning_policy_replace", response_model=DunningPolicyRead)
async def dunning_policy_replace(
    session: Annotated[WriteSession, writes("organization:write")],
    body: Annotated[DunningPolicy, json_body(DunningPolicy)],
    expected: Annotated[int | None, IfMatch],
) -> Response:
    """Put another policy in force; what is left out takes its default. Earlier versions are kept."""
    found = await policies.save_policy(session, body, expected=expected)
    return reply(found, version=found["version"])


@routes.get("/v1/charge-attempts", operation_id="charge_attempts_list", response_model=ChargeAttemptPage)
async def charge_attempts_list(
    session: Annotated[ReadSession, reads("payments:read")], query: Annotated[ListQuery, list_query(ATTEMPTS)]
) -> Response:
    """List attempts to charge stored cards, newest first; `state=unknown` is what somebody may have to find out."""
    return await read_page(session, ATTEMPTS, query, attempts.to_read)


@routes.get("/v1/charge-attempts/{attempt_id}", operation_id="charge_attempts_get", response_model=ChargeAttemptRead)
async def charge_attempts_get(session: Annotated[ReadSession, reads("payments:read")], attempt_id: UUID) -> Response:
    """One attempt to charge a stored card."""
    row = await attempts.get_attempt(session, attempt_id)
    return reply(attempts.to_read(row), version=row["version"])


@routes.post(
    "/v1/charge-attempts/{attempt_id}/resolve",
    operation_id="charge_attempts_resolve",
    response_model=ChargeAttemptRead,
)
async def charge_attempts_resolve(
    session: Annotated[WriteSession, writes("payments:write")],
    attempt_id: UUID,
    body: Annotated[ChargeOutcome, json_body(ChargeOutcome)],
    expected: Annotated[int | None, IfMatch],
) -> Response:
    """Say what became of a charge that the provider could not be asked about: look in its own list first. After
    `not_charged` the payment comes up anew."""
    row = await service.resolve(session, attempt_id, body.donation_id, expected=expected)
    return reply(attempts.to_read(row), version=row["version"])
