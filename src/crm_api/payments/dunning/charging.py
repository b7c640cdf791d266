"""Charging a stored card, and asking what became of a charge: what runs outside of transactions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

from crm_api.kit import clock, http
from crm_api.kit.db import Row, Tenant, WriteSession
from crm_api.kit.log import get_logger
from crm_api.kit.money import Money
from crm_api.outbox.facts import Job
from crm_api.payments.abilities import ChargeResult, ChargesTokens, OutcomeUnknown, Refused, TokenCharge
from crm_api.payments.connections import service as connections
from crm_api.payments.dunning import attempts
from crm_api.payments.providers import PROVIDERS, service_of

log = get_logger("crm_api.dunning")
_PROMPT_SECONDS = 60.0
"""A charge that has not left so long after it was begun never leaves: by then others may ask what became of it."""
_DESCRIPTIONS: Mapping[str, str] = {
    "en": "Regular donation",
    "uk": "Регулярний внесок",
    "ka": "რეგულარული შემოწირულობა",
    "ru": "Регулярное пожертвование",
    "ar": "تبرع منتظم",
}


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be asked of a provider; holds secrets, is never shown or logged."""

    provider: str
    charges: ChargesTokens
    account: Mapping[str, str]
    charge: TokenCharge
    ref: str | None


async def _order(session: WriteSession, runner: Any, plan: Row, attempt: Row) -> Order | None:
    """The question to the provider; nothing where the connection cannot be used. The charge is the same each time."""
    row = await connections.get_connection(session, attempt["connection_id"])
    provider: Any = PROVIDERS.get(row["provider"])
    if row["status"] != "active" or not isinstance(provider, ChargesTokens) or plan["card_token"] is None:
        return None
    opened = connections.open_connection(runner.vault, session.tenant, row)
    token = runner.vault.open(session.organization_id, plan["id"], plan["card_token"]).decode()
    path = connections.webhook_path(row["provider"], row["id"])
    charge = TokenCharge(
        key=str(attempt["id"]),
        token=token,
        amount=Money(attempt["amount"], attempt["currency"]),
        description=_DESCRIPTIONS.get(session.tenant.language, _DESCRIPTIONS["en"]),
        webhook_url=runner.settings.public_url.rstrip("/") + path,
    )
    return Order(row["provider"], provider, opened.credentials, charge, attempt["provider_ref"])


def _ids(job: Job) -> tuple[UUID, UUID]:
    return UUID(job.payload["plan_id"]), UUID(job.payload["period_id"])


async def charge_period(runner: Any, tenant: Tenant, job: Job) -> None:
    """Charge a claimed period: begin, send, record. A run that finds the charge begun already sends nothing: whoever
    began it may have sent it, and the alarm has the provider asked."""
    plan_id, period_id = _ids(job)
    started = clock.monotonic()
    async with runner.write(tenant) as session:
        work = await attempts.lock(session, plan_id, period_id)
        order = await _usable(session, runner, work)
        attempt = await attempts.begin(session, work) if order is not None else None
        if attempt is not None:
            order = await _order(session, runner, work.plan, attempt)
        if attempt is None or order is None:
            await runner.finish(session, job)
            return
    result = await _send(order, tenant, started)
    async with runner.write(tenant) as session:
        await runner.finish(session, job)
        work = await attempts.lock(session, plan_id, period_id)
        if work.attempt is None or work.attempt["id"] != attempt["id"]:
            return
        if result == "unknown":
            await attempts.mark_unknown(session, work)
        elif result == "not_made":
            await attempts.never_made(session, work, wait=True)
        else:
            await attempts.settle_attempt(session, work, order.provider, result)


async def _usable(session: WriteSession, runner: Any, work: attempts.Work) -> Any:
    """Whether the plan's connection can charge now; a plan whose connection cannot waits for the next morning."""
    plan = work.plan
    if plan["connection_id"] is None or plan["card_token"] is None or plan["contact_id"] is None:
        return plan  # `begin` says what becomes of it
    row = await connections.get_connection(session, plan["connection_id"])
    if row["status"] == "active" and isinstance(PROVIDERS.get(row["provider"]), ChargesTokens):
        return row
    if work.period["state"] in {"due", "retrying"}:
        await attempts.postpone(session, work, "connection_disabled")
    return None


async def _send(order: Order, tenant: Tenant, started: float) -> ChargeResult | Literal["unknown", "not_made"]:
    """Charge. Only an answer of the provider's is an outcome; and only what certainly did not reach it was not made."""
    import httpx

    if clock.monotonic() - started > _PROMPT_SECONDS:
        return "not_made"
    try:
        async with http.client(service_of(order.provider, tenant.mode)) as client:
            return await order.charges.charge_token(client, order.account, order.charge)
    except Refused as refused:
        return ChargeResult("failed", "", decline_class="technical", decline_code=refused.code[:100])
    except httpx.HTTPError as error:
        log.warning("charge_not_taken", attempt_id=order.charge.key, error=type(error).__name__)
        return "not_made"
    except OutcomeUnknown:
        return "unknown"
    except Exception as error:  # whatever it was, the charge may have been made
        log.warning("charge_uncertain", attempt_id=order.charge.key, error=type(error).__name__)
        return "unknown"


async def look_at_charge(runner: Any, tenant: Tenant, job: Job) -> None:
    """Ask the provider what became of a charge."""
    plan_id, period_id = _ids(job)
    async with runner.write(tenant) as session:
        work = await attempts.lock(session, plan_id, period_id)
        await attempts.mark_unknown(session, work)
        attempt = work.under_way
        order = await _order(session, runner, work.plan, attempt) if attempt is not None else None
        if attempt is None or order is None:
            await runner.finish(session, job)
            return
    found: ChargeResult | None = None
    try:
        async with http.client(service_of(order.provider, tenant.mode)) as client:
            found = await order.charges.find_charge(client, order.account, order.charge, order.ref)
    except Exception as error:  # the next look is set already
        log.warning("charge_not_found_out", attempt_id=order.charge.key, error=type(error).__name__)
        async with runner.write(tenant) as session:
            await runner.finish(session, job)
        return
    async with runner.write(tenant) as session:
        await runner.finish(session, job)
        work = await attempts.lock(session, plan_id, period_id)
        if work.attempt is None or work.attempt["id"] != attempt["id"]:
            return
        if found is not None:
            await attempts.settle_attempt(session, work, order.provider, found)
        elif session.now - attempt["sent_at"] >= attempts.SETTLING:
            await attempts.never_made(session, work)
