"""From a provider event to the ledger: what the event says in our words, applied in any order, any number of times."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

from crm_api.campaigns.service import find_by_code as find_campaign
from crm_api.contacts.payers import find_customer, resolve_payer
from crm_api.contacts.service import contact_exists
from crm_api.donations.funds.service import find_by_code as find_fund
from crm_api.donations.gifts import evidence
from crm_api.donations.gifts.balances import Entry
from crm_api.donations.gifts.service import PaymentFacts, record_gift, settle
from crm_api.donations.ledger.payouts.service import return_payout, state_payout
from crm_api.donations.recurring.service import PlanStatement, state_plan
from crm_api.kit.db import Row, WriteSession
from crm_api.kit.ids import new_id
from crm_api.payments import origins, ours, payers, twins
from crm_api.payments.dunning.naming import name_charge
from crm_api.payments.matching import queue
from crm_api.payments.provider import Interpretation, PaymentOutcome, PayoutOutcome, PlanOutcome
from crm_api.payments.uniting import canonical, contradictions, find_gifts, lock_payment, unite


class PaymentUnknown(Exception):
    """The event names a payment that no event has brought yet."""

    def __init__(self, ref: str) -> None:
        super().__init__(ref)
        self.ref = ref


class CurrencyMismatch(Exception):
    """The event states amounts in another currency than its gift: a person must say what that means."""

    def __init__(self, stated: str, expected: str) -> None:
        super().__init__(f"it states {stated}, the gift is in {expected}; record it by hand")


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
        cleaned = replace(said.payment, payer=payers.clean(said.payment.payer))
        said = replace(said, payment=await ours.named(session, connection_id, cleaned))
        assert said.payment is not None
        await name_charge(session, connection_id, said.payment)
        await lock_payment(session, connection_id, said.payment)
    if said.payout is not None:
        await _payout(session, connection_id, said.payout)
    plan = None
    if said.plan is not None or (said.payment is not None and said.payment.plan_ref):
        plan = await _plan(session, connection_id, provider, said)
    if said.payment is None:
        return Applied()
    return await _payment(session, connection_id, provider, said.payment, plan)


async def _payout(session: WriteSession, connection_id: UUID, outcome: PayoutOutcome) -> None:
    """Take over what is said of a payout; whoever else is told of it just now is waited for."""
    await evidence.lock_ids(session, connection_id, [outcome.said.payout_ref])
    if outcome.failure_code is None:
        await state_payout(session, connection_id, outcome.said)
    else:
        await return_payout(session, connection_id, outcome.said, outcome.failure_code)


async def _plan(session: WriteSession, connection_id: UUID, provider: str, said: Interpretation) -> Row:
    payment = said.payment
    outcome = said.plan
    if outcome is None:
        assert payment is not None
        assert payment.plan_ref is not None
        outcome = PlanOutcome(ref=payment.plan_ref, status=None, stated_at=payment.occurred_at)
    await evidence.lock_ids(session, connection_id, [outcome.ref])
    contact_id = None
    if payment is None and outcome.customer_ref:
        contact_id = await find_customer(session, provider, outcome.customer_ref)
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


async def _payment(
    session: WriteSession, connection_id: UUID, provider: str, outcome: PaymentOutcome, plan: Row | None
) -> Applied:
    known = await find_gifts(session, connection_id, provider, outcome)
    if strangers := {ref for gift_id in known for ref in await contradictions(session, gift_id, outcome)}:
        if outcome.joins:
            return Applied(known[0])
        outcome = replace(outcome, refs=tuple(ref for ref in outcome.refs if ref not in strangers))
        known = await find_gifts(session, connection_id, provider, outcome)
    heirs: list[Row] = []
    if len(known) > 1:
        target, heirs = await unite(session, connection_id, provider, outcome, known)
        return await _extend(session, connection_id, provider, target, outcome, plan, heirs)
    if known:
        return await _extend(session, connection_id, provider, known[0], outcome, plan, heirs)
    if not outcome.creates or outcome.amount is None:
        raise PaymentUnknown(outcome.refs[0])
    return await _create(session, connection_id, provider, outcome, plan)


async def _create(
    session: WriteSession, connection_id: UUID, provider: str, outcome: PaymentOutcome, plan: Row | None
) -> Applied:
    assert outcome.amount is not None
    document = payers.told(outcome)
    contact_id, given = await _who(session, provider, outcome, document, None, plan)
    plan = await _plan_of(session, connection_id, provider, outcome, plan, contact_id)
    campaign_id = await find_campaign(session, outcome.campaign_code) if outcome.campaign_code else None
    campaign_id, details = await origins.details_of(session, outcome, campaign_id)
    facts = PaymentFacts(
        amount=outcome.amount.amount,
        currency=outcome.amount.currency,
        method=outcome.method,
        contact_id=contact_id,
        fund_id=await find_fund(session, outcome.fund_code) if outcome.fund_code else None,
        campaign_id=campaign_id,
        plan_id=plan["id"] if plan else None,
        connection_id=connection_id,
        provider=provider,
        provider_payment_id=canonical(outcome.refs),
        provider_customer_id=outcome.payer.customer_ref,
        payer=_with_given(document, given),
        is_anonymous=outcome.is_anonymous,
        details=details,
    )
    gift_id = new_id()
    await record_gift(session, facts, _unique(outcome.entries), refs=outcome.refs, gift_id=gift_id)
    if outcome.hint:
        await session.flush()
        await queue.note_hint(session, gift_id, outcome.hint)
    return Applied(gift_id, outcome.refs)


async def _extend(
    session: WriteSession,
    connection_id: UUID,
    provider: str,
    gift_id: UUID,
    outcome: PaymentOutcome,
    plan: Row | None,
    heirs: Sequence[Row],
) -> Applied:
    """Add what an event says to a gift, and what is known of gifts that it has just taken the place of."""
    row = await evidence.lock_gift(session, gift_id)
    if (stated := outcome.stated_currency) is not None and stated != row["currency"]:
        raise CurrencyMismatch(stated, row["currency"])
    new = _unique(outcome.entries)
    await evidence.add_evidence(session, gift_id, new, connection_id=connection_id, refs=outcome.refs)
    refs = await evidence.ids_of(session, gift_id)
    changes: dict[str, Any] = {"provider_payment_id": canonical(refs)}
    for name in ("contact_id", "plan_id", "campaign_id", "fund_id", "provider_customer_id", *origins.COLUMNS):
        changes[name] = next((one[name] for one in (row, *heirs) if one[name] is not None), None)
    before = row["payer"]
    for heir in heirs:
        before = payers.join(before, heir["payer"])
    document = payers.join(before, payers.told(outcome))
    contact_id = changes["contact_id"]
    if document != row["payer"] or contact_id is None or outcome.payer.email or outcome.payer.customer_ref:
        contact_id, given = await _who(session, provider, outcome, document, contact_id, plan)
        changes["contact_id"] = contact_id
        document = _with_given(document, given)
    changes["payer"] = document
    plan = await _plan_of(session, connection_id, provider, outcome, plan, contact_id)
    if changes["plan_id"] is None and plan is not None:
        changes["plan_id"] = plan["id"]
    if changes["provider_customer_id"] is None:
        changes["provider_customer_id"] = outcome.payer.customer_ref
    if any(map(twins.is_twin, refs)):
        await _own(session, connection_id, row, outcome, changes)
    changes["method"] = payers.telling_method(row["method"], outcome.method, *(one["method"] for one in heirs))
    await _purpose(session, changes, before, document)
    if row["is_split"]:
        changes["fund_id"] = None  # its split is its purpose
    await origins.fill(session, changes, outcome)
    changes["is_anonymous"] = outcome.is_anonymous or any(one["is_anonymous"] for one in (row, *heirs))
    await settle(session, row, changes)
    if outcome.hint:
        await queue.note_hint(session, gift_id, outcome.hint)
    return Applied(gift_id, refs)


async def _own(
    session: WriteSession, connection_id: UUID, row: Row, outcome: PaymentOutcome, changes: dict[str, Any]
) -> None:
    """Whose a gift is that two connections tell of, and whose fee counts."""
    owner = await twins.owned(session, row, outcome, connection_id)
    changes |= {**owner["columns"], "provider_payment_id": canonical(owner["refs"])}
    await twins.yield_fee(session, row["id"])


async def _purpose(
    session: WriteSession, changes: dict[str, Any], before: Mapping[str, Any] | None, after: Mapping[str, Any] | None
) -> None:
    """Campaign and fund by the codes that the payment carries, where they are new or could not be found before."""
    for name, code, find in (("campaign_id", "campaign_code", find_campaign), ("fund_id", "fund_code", find_fund)):
        wanted = (after or {}).get(code)
        if wanted and (changes[name] is None or wanted != (before or {}).get(code)):
            changes[name] = await find(session, wanted) or changes[name]


async def _who(
    session: WriteSession,
    provider: str,
    outcome: PaymentOutcome,
    document: Mapping[str, Any] | None,
    contact_id: UUID | None,
    plan: Row | None,
) -> tuple[UUID | None, dict[str, str]]:
    """The contact who paid, and what it has from this payment: the one that our own side has named, else the one the
    gift has, else whoever the details lead to."""
    told, customer = document or {}, outcome.payer.customer_ref
    given = dict(told.get("given", {}))
    named = _uuid(outcome.contact_id) if outcome.contact_id == told.get("contact_id") else None
    if named is not None and named != contact_id and await contact_exists(session, named):
        contact_id, given = named, {}
    if contact_id is None and plan is not None and not told.get("email"):
        contact_id = plan["contact_id"]
    sure = not outcome.needs_matching  # what is only hinted at makes no contact
    return await resolve_payer(
        session,
        payers.person(told if sure else None),
        contact_id=contact_id,
        customer=(provider, customer) if customer else None,
        source=provider,
        emails=[outcome.payer.email] if outcome.payer.email and sure else [],
        given=given,
    )


def _with_given(document: dict[str, Any] | None, given: dict[str, str]) -> dict[str, Any] | None:
    """The document with a note of what the contact has taken over."""
    return {**document, "given": given} if document and given else document


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


def _unique(entries: Sequence[Entry]) -> list[Entry]:
    return list({entry.key: entry for entry in entries}.values())


def _uuid(text: str | None) -> UUID | None:
    try:
        return UUID(text) if text else None
    except ValueError:
        return None
