"""From a provider event to the ledger: what the event says in our words, applied in any order, any number of times."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import orjson

from crm_api.campaigns.service import find_by_code as find_campaign
from crm_api.contacts.schemas import clean_email, clean_phone
from crm_api.contacts.service import rename_from_gift, resolve_payer
from crm_api.donations.funds.service import find_by_code as find_fund
from crm_api.donations.gifts import repository as gift_rows
from crm_api.donations.gifts.balances import Entry
from crm_api.donations.gifts.service import PaymentFacts, record_gift, settle
from crm_api.donations.recurring.service import PlanStatement, state_plan
from crm_api.kit.db import Row, WriteSession
from crm_api.kit.ids import new_id
from crm_api.payments.provider import Interpretation, Payer, PaymentOutcome, PlanOutcome

KIN_WINDOW = timedelta(hours=1)
# By what prefix of id the two sides of one recurring payment are told apart: (what the other side lacks, what it has).
_KIN_SIDES = {"invoice": ("in\\_%", "pi\\_%"), "intent": ("pi\\_%", "in\\_%")}


class PaymentUnknown(Exception):
    """The event names a payment that no event has brought yet."""

    def __init__(self, ref: str) -> None:
        super().__init__(ref)
        self.ref = ref


class Applied:
    """What came of an event: the gift it is about, the provider ids to wake waiting events for, and events that must
    be looked at again."""

    def __init__(self, gift_id: UUID | None = None, refs: Sequence[str] = ()) -> None:
        self.gift_id = gift_id
        self.refs = list(refs)


def wait_key(connection_id: UUID, ref: str) -> str:
    """What an event waits for."""
    return f"payment:{connection_id}:{ref}"


async def apply(session: WriteSession, connection_id: UUID, provider: str, said: Interpretation) -> Applied:
    """Apply one interpretation. Raises `PaymentUnknown` when it must wait for its payment."""
    if said.payment is not None:
        await gift_rows.lock_refs(session, connection_id, said.payment.refs)
    plan = None
    if said.plan is not None or (said.payment is not None and said.payment.plan_ref):
        plan = await _plan(session, connection_id, provider, said)
    if said.payment is None:
        return Applied()
    return await _payment(session, connection_id, provider, said.payment, plan)


async def _plan(session: WriteSession, connection_id: UUID, provider: str, said: Interpretation) -> Row:
    payment = said.payment
    outcome = said.plan
    if outcome is None:
        assert payment is not None
        assert payment.plan_ref is not None
        outcome = PlanOutcome(ref=payment.plan_ref, status=None, stated_at=payment.occurred_at)
    await gift_rows.lock_refs(session, connection_id, [outcome.ref])
    contact_id = None
    if payment is None and outcome.customer_ref:
        contact_id = await _customer(session, provider, outcome.customer_ref)
    return await state_plan(
        session,
        connection_id,
        provider,
        PlanStatement(
            ref=outcome.ref,
            stated_at=outcome.stated_at,
            status=outcome.status,
            amount=outcome.amount,
            frequency_unit=outcome.frequency_unit,
            frequency_interval=outcome.frequency_interval,
            customer_ref=outcome.customer_ref or (payment.payer.customer_ref if payment else None),
            started_at=outcome.started_at,
            next_date=outcome.next_date,
            ended_at=outcome.ended_at,
            whole=outcome.whole,
            contact_id=contact_id,
        ),
    )


async def _customer(session: WriteSession, provider: str, customer_ref: str) -> UUID | None:
    from crm_api.contacts.repository import by_external_id

    row = await by_external_id(session, provider, customer_ref)
    return None if row is None else row["id"]


async def _payment(
    session: WriteSession, connection_id: UUID, provider: str, outcome: PaymentOutcome, plan: Row | None
) -> Applied:
    known = await gift_rows.by_refs(session, connection_id, outcome.refs)
    if not known and outcome.kin and outcome.payer.customer_ref and outcome.amount:
        missing, present = _KIN_SIDES[outcome.kin]
        kin = await gift_rows.find_kin(
            session,
            connection_id=connection_id,
            customer=outcome.payer.customer_ref,
            amount=outcome.amount.amount,
            currency=outcome.amount.currency,
            at=outcome.occurred_at,
            within=KIN_WINDOW,
            missing=missing,
            present=present,
        )
        known = [kin] if kin else []
    if not known:
        if not outcome.creates or outcome.amount is None:
            raise PaymentUnknown(outcome.refs[0])
        return await _create(session, connection_id, provider, outcome, plan)
    target = known[0]
    if len(known) > 1:
        target = await _unite(session, connection_id, known)
    return await _extend(session, connection_id, provider, target, outcome, plan)


async def _create(
    session: WriteSession, connection_id: UUID, provider: str, outcome: PaymentOutcome, plan: Row | None
) -> Applied:
    assert outcome.amount is not None
    gift_id = new_id()
    payer = _clean(outcome.payer)
    contact_id = await _who(session, provider, outcome, payer, gift_id, plan)
    plan = await _plan_of(session, connection_id, provider, outcome, plan, contact_id)
    facts = PaymentFacts(
        amount=outcome.amount.amount,
        currency=outcome.amount.currency,
        method=outcome.method,
        contact_id=contact_id,
        fund_id=await find_fund(session, outcome.fund_code) if outcome.fund_code else None,
        campaign_id=await find_campaign(session, outcome.campaign_code) if outcome.campaign_code else None,
        plan_id=plan["id"] if plan else None,
        connection_id=connection_id,
        provider=provider,
        provider_payment_id=outcome.refs[0],
        provider_customer_id=payer.customer_ref,
        payer=_stored(payer),
    )
    await record_gift(session, facts, _unique(outcome.entries), refs=outcome.refs, gift_id=gift_id)
    return Applied(gift_id, outcome.refs)


async def _extend(
    session: WriteSession,
    connection_id: UUID,
    provider: str,
    gift_id: UUID,
    outcome: PaymentOutcome,
    plan: Row | None,
) -> Applied:
    row = await gift_rows.lock(session, gift_id)
    assert row is not None
    before = await gift_rows.refs_of(session, gift_id)
    await gift_rows.add_refs(session, connection_id, gift_id, outcome.refs)
    await gift_rows.add_entries(session, gift_id, _unique(outcome.entries))
    payer = _clean(outcome.payer)
    changes: dict[str, Any] = {}
    if _rank(_stored(payer)) > _rank(row["payer"]):
        changes["payer"] = _stored(payer)
    contact_id = row["contact_id"]
    if contact_id is None:
        contact_id = await _who(session, provider, outcome, payer, gift_id, plan)
        changes["contact_id"] = contact_id
    elif payer.email or payer.customer_ref:
        await _who(session, provider, replace(outcome, contact_id=str(contact_id)), payer, gift_id, plan)
    if contact_id is not None and changes.get("payer", {}).get("name"):
        await rename_from_gift(session, contact_id, gift_id, changes["payer"]["name"])
    plan = await _plan_of(session, connection_id, provider, outcome, plan, contact_id)
    for name, value in (("plan_id", plan["id"] if plan else None), ("provider_customer_id", payer.customer_ref)):
        if row[name] is None and value is not None:
            changes[name] = value
    if row["method"] == "other" and outcome.method != "other":
        changes["method"] = outcome.method
    for name, code, find in (
        ("campaign_id", outcome.campaign_code, find_campaign),
        ("fund_id", outcome.fund_code, find_fund),
    ):
        if row[name] is None and code:
            changes[name] = await find(session, code)
    refs = sorted({*before, *outcome.refs})
    changes["provider_payment_id"] = canonical(row["provider_payment_id"], refs)
    await settle(session, row, changes)
    return Applied(gift_id, refs)


def canonical(current: str, refs: Sequence[str]) -> str:
    """The payment key of a gift: the invoice of a recurring payment, else its payment intent, else what it was first
    known by. A function of the set of ids, so it does not depend on their order."""
    for prefix in ("in_", "pi_"):
        found = sorted(ref for ref in refs if ref.startswith(prefix))
        if found:
            return current if current in found else found[0]
    return current


async def _unite(session: WriteSession, connection_id: UUID, known: list[UUID]) -> UUID:
    """Two gifts turn out to be one payment: the invoice's stays and takes over the evidence and the provider's ids of
    the other, which is superseded and counts for nothing."""
    named = {gift_id: await gift_rows.refs_of(session, gift_id) for gift_id in known}
    target = min(known, key=lambda one: (not any(ref.startswith("in_") for ref in named[one]), str(one)))
    for other in known:
        if other == target:
            continue
        row = await gift_rows.lock(session, other)
        assert row is not None
        evidence = [gift_rows.entry_of(entry) for entry in await gift_rows.entry_rows(session, other)]
        await gift_rows.add_entries(session, target, evidence)
        await gift_rows.add_entries(
            session,
            other,
            [Entry(kind="superseded", key=f"superseded:{target}", occurred_at=row["received_at"], ref=str(target))],
        )
        await gift_rows.move_refs(session, other, target)
        await settle(session, row, {"provider_payment_id": None})
    return target


async def _who(
    session: WriteSession, provider: str, outcome: PaymentOutcome, payer: Payer, gift_id: UUID, plan: Row | None
) -> UUID | None:
    named = _uuid(outcome.contact_id) or (plan["contact_id"] if plan and not payer.email else None)
    return await resolve_payer(
        session,
        contact_id=named,
        email=payer.email,
        name=payer.name,
        phone=payer.phone,
        language=payer.language,
        country=payer.country,
        city=payer.city,
        customer=(provider, payer.customer_ref) if payer.customer_ref else None,
        gift_id=gift_id,
        source=provider,
    )


async def _plan_of(
    session: WriteSession,
    connection_id: UUID,
    provider: str,
    outcome: PaymentOutcome,
    plan: Row | None,
    contact_id: UUID | None,
) -> Row | None:
    """The plan the payment belongs to, told whose it is."""
    if plan is None or contact_id is None or plan["contact_id"] is not None:
        return plan
    said = PlanStatement(ref=plan["provider_plan_id"], stated_at=outcome.occurred_at, contact_id=contact_id)
    return await state_plan(session, connection_id, provider, said)


def _clean(payer: Payer) -> Payer:
    """The payer without what is no e-mail or phone number."""
    email = phone = None
    try:
        email = clean_email(payer.email) if payer.email else None
    except ValueError:
        email = None
    try:
        phone = clean_phone(payer.phone) if payer.phone else None
    except ValueError:
        phone = None
    name = " ".join((payer.name or "").replace("\x00", "").split())[:200] or None
    return replace(payer, email=email, phone=phone, name=name)


def _stored(payer: Payer) -> dict[str, Any] | None:
    known = {name: value for name, value in asdict(payer).items() if value}
    return known if known.keys() - {"rank"} else None


def _rank(payer: dict[str, Any] | None) -> tuple[int, bytes]:
    """Order of trust; among equals any fixed order will do, as long as arrival plays no part."""
    if payer is None:
        return (-1, b"")
    return (payer.get("rank", 0), orjson.dumps(payer, option=orjson.OPT_SORT_KEYS))


def _unique(entries: Sequence[Entry]) -> list[Entry]:
    return list({entry.key: entry for entry in entries}.values())


def _uuid(text: str | None) -> UUID | None:
    try:
        return UUID(text) if text else None
    except ValueError:
        return None
