"""HTTP of the queue of unmatched payments and of match rules."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Annotated
from uuid import UUID

from fastapi import Response

from crm_api.idempotency.boundary import IfMatch, json_body, list_query, reads, router, writes
from crm_api.kit import simple
from crm_api.kit.db import ReadSession, WriteSession
from crm_api.kit.listing import Filter, ListQuery, read_page
from crm_api.kit.reply import created, reply
from crm_api.payments.matching import ruling, service
from crm_api.payments.matching.fields import MATCH_RULES, UNMATCHED
from crm_api.payments.matching.models import payment_match_rules
from crm_api.payments.matching.schemas import (
    MatchCreate,
    MatchRuleCreate,
    MatchRulePage,
    MatchRulePatch,
    MatchRuleRead,
    SuggestionList,
    UnmatchedPage,
    UnmatchedRead,
)

routes = router("unmatched payments")


@routes.get("/v1/payments/unmatched", operation_id="payments_unmatched_list", response_model=UnmatchedPage)
async def payments_unmatched_list(
    session: Annotated[ReadSession, reads("payments:read")], query: Annotated[ListQuery, list_query(UNMATCHED)]
) -> Response:
    """Payments that belong to nobody yet: gifts without their donor, and events without their payment. Newest first;
    those that wait, unless a `state` is asked for."""
    if not any(one.field.name == "state" for one in query.filters):
        query = replace(query, filters=(*query.filters, Filter(UNMATCHED.by_name["state"], "eq", "waiting")))
    return await read_page(session, UNMATCHED, query, partial(service.to_read, session))


@routes.get(
    "/v1/payments/unmatched/{donation_id}/suggestions",
    operation_id="payments_unmatched_suggest",
    response_model=SuggestionList,
)
async def payments_unmatched_suggest(
    session: Annotated[ReadSession, reads("contacts:read")], donation_id: UUID
) -> Response:
    """Contacts that a gift may be from, the likeliest first, with the reasons."""
    return reply(await service.suggest(session, donation_id))


@routes.post(
    "/v1/payments/unmatched/{donation_id}/match",
    operation_id="payments_unmatched_match",
    status_code=201,
    response_model=UnmatchedRead,
)
async def payments_unmatched_match(
    session: Annotated[WriteSession, writes("payments:write")],
    donation_id: UUID,
    body: Annotated[MatchCreate, json_body(MatchCreate)],
) -> Response:
    """Join a gift to its donor. What follows from a gift (figures, thanks) follows now."""
    return created(await service.match(session, donation_id, body), f"/v1/donations/{donation_id}")


@routes.post(
    "/v1/payments/unmatched/{donation_id}/dismiss",
    operation_id="payments_unmatched_dismiss",
    response_model=UnmatchedRead,
)
async def payments_unmatched_dismiss(
    session: Annotated[WriteSession, writes("payments:write")], donation_id: UUID
) -> Response:
    """Set a gift aside: nobody will be found. It can be matched later all the same."""
    return reply(await service.dismiss(session, donation_id))


@routes.post(
    "/v1/payment-match-rules",
    operation_id="payment_match_rules_create",
    status_code=201,
    response_model=MatchRuleRead,
)
async def payment_match_rules_create(
    session: Annotated[WriteSession, writes("payments:write")],
    body: Annotated[MatchRuleCreate, json_body(MatchRuleCreate)],
) -> Response:
    """Add a rule that joins payments by their text. It looks at what waits, and at everything that comes."""
    rule = await ruling.create_rule(session, body)
    return created(rule, f"/v1/payment-match-rules/{rule['id']}")


@routes.get("/v1/payment-match-rules", operation_id="payment_match_rules_list", response_model=MatchRulePage)
async def payment_match_rules_list(
    session: Annotated[ReadSession, reads("payments:read")], query: Annotated[ListQuery, list_query(MATCH_RULES)]
) -> Response:
    """List match rules in the order in which they decide."""
    return await read_page(session, MATCH_RULES, query, partial(simple.to_read, payment_match_rules))


@routes.get("/v1/payment-match-rules/{rule_id}", operation_id="payment_match_rules_get", response_model=MatchRuleRead)
async def payment_match_rules_get(session: Annotated[ReadSession, reads("payments:read")], rule_id: UUID) -> Response:
    """One match rule."""
    rule = await ruling.get_rule(session, rule_id)
    return reply(rule, version=rule["version"])


@routes.patch(
    "/v1/payment-match-rules/{rule_id}", operation_id="payment_match_rules_update", response_model=MatchRuleRead
)
async def payment_match_rules_update(
    session: Annotated[WriteSession, writes("payments:write")],
    rule_id: UUID,
    body: Annotated[MatchRulePatch, json_body(MatchRulePatch, media_type="application/merge-patch+json")],
    expected: Annotated[int | None, IfMatch],
) -> Response:
    """Change a match rule, or switch it off. What it has joined stays joined."""
    rule = await ruling.patch_rule(session, rule_id, body, expected=expected)
    return reply(rule, version=rule["version"])
