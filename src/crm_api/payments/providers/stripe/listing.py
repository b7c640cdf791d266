"""Stripe's own lists, for reconciliation: its charges and its subscriptions, newest first, a hundred at a time.

A payment intent may have several charges of which one succeeded. Each is listed under the intent's id; whoever compares
takes the one that is furthest along.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal

from crm_api.payments.abilities import Listed, ListedPage, ListedPlans, Refused
from crm_api.payments.provider import PlanOutcome
from crm_api.payments.providers.reading import at, ident, instant, mapping, sequence, unix
from crm_api.payments.providers.stripe.amounts import money
from crm_api.payments.providers.stripe.charges import fee_of
from crm_api.payments.providers.stripe.fetch import StripeApi
from crm_api.payments.providers.stripe.intents import payment_refs
from crm_api.payments.providers.stripe.plans import HANDLERS as PLANS
from crm_api.payments.providers.stripe.reading import Event

_AT_ONCE = "100"
Status = Literal["pending", "succeeded", "failed", "canceled", "partially_refunded", "refunded", "disputed"]


async def _page(
    api: StripeApi, what: str, asked: Sequence[tuple[str, str]], cursor: str | None
) -> tuple[list[dict[str, Any]], str | None, datetime]:
    """A page of a list of Stripe's, where to go on if there is more, and when it was answered."""
    after = [("starting_after", cursor)] if cursor is not None else []
    answer, now = await api.read(f"/v1/{what}", *asked, *after)
    if answer is None:
        raise Refused("not_readable", f"the api_key must be allowed to read {what}")
    found = [mapping(one) for one in sequence(answer.get("data"))]
    return found, ident(found[-1]) if found and answer.get("has_more") is True else None, now


async def list_payments(api: StripeApi, since: datetime, until: datetime, cursor: str | None) -> ListedPage:
    """Charges made in that time. `Refused` where the key may not read them."""
    asked = [("created[gte]", str(unix(since))), ("created[lt]", str(unix(until))), ("limit", _AT_ONCE)]
    asked.append(("expand[]", "data.balance_transaction"))
    charges, last, _ = await _page(api, "charges", asked, cursor)
    return ListedPage(tuple(found for one in charges if (found := listed(one)) is not None), last)


def listed(charge: dict[str, Any]) -> Listed | None:
    """A charge as a listed payment; nothing for what is no money."""
    made = instant(charge.get("created"))
    refs = payment_refs(charge.get("payment_intent"), charge)
    captured = charge.get("amount_captured") if charge.get("status") == "succeeded" else None
    amount = money(captured or charge.get("amount"), charge.get("currency"))
    refunded = money(charge.get("amount_refunded") or 0, charge.get("currency"))
    if made is None or not refs or amount is None or amount.amount == 0 or refunded is None:
        return None
    fee = fee_of(charge, amount.currency, made)
    return Listed(
        ref=refs[0],
        occurred_at=made,
        status=_status(charge, amount.amount, refunded.amount),
        amount=amount,
        refunded=0 if charge.get("captured") is False else refunded.amount,
        fee=None if fee is None else fee.amount,
    )


def _status(charge: dict[str, Any], amount: int, refunded: int) -> Status:
    """What became of a charge. What was authorized only is no money yet; given back, it never was. Stripe keeps
    ``disputed`` true for ever: that a dispute was won stands in the dispute."""
    stated = at(charge, "status")
    if stated == "failed":
        return "failed"
    if stated != "succeeded":
        return "pending"
    if charge.get("captured") is False:
        return "canceled" if refunded or charge.get("refunded") is True else "pending"
    if charge.get("disputed") is True:
        return "disputed"
    return "succeeded" if not refunded else "refunded" if refunded >= amount else "partially_refunded"


async def list_plans(api: StripeApi, cursor: str | None) -> ListedPlans:
    """Subscriptions of every status. `Refused` where the key may not read them."""
    found, last, now = await _page(api, "subscriptions", [("status", "all"), ("limit", _AT_ONCE)], cursor)
    return ListedPlans(tuple(plan for one in found if (plan := listed_plan(one, now)) is not None), last)


def listed_plan(subscription: dict[str, Any], now: datetime) -> PlanOutcome | None:
    """A subscription as the event would have told it that brought it to where it is: one that has ended when it ended,
    any other as of Stripe's answer, for Stripe keeps no time of a pause."""
    over = subscription.get("status") in ("canceled", "incomplete_expired")
    ended = instant(subscription.get("ended_at")) or instant(subscription.get("canceled_at"))
    kind = "customer.subscription.deleted" if over else "customer.subscription.updated"
    return PLANS[kind](Event(kind, subscription, ended if over and ended else now, {})).plan
