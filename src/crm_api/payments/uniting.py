"""Finding every gift that is one and the same payment, and making one of them.

Provider ids decide. Since 2025-03-31 Stripe's invoices and intents share none, and only an event of its own says that
they belong together; until it comes, an invoice and an intent of the same customer, amount and hour are taken for one
payment. All events of one customer and amount are serialized for that, so that no two of them look past each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from crm_api.donations.gifts import evidence
from crm_api.donations.gifts.balances import Entry, derive
from crm_api.donations.gifts.service import settle
from crm_api.donations.inheriting import inherit
from crm_api.kit.db import Row, WriteSession
from crm_api.payments import twins
from crm_api.payments.inbox.service import move_events
from crm_api.payments.ours import OURS
from crm_api.payments.provider import PaymentOutcome

_KIN_WINDOW = timedelta(hours=1)
_KIN_SIDES = {"invoice": ("in_", "pi_"), "intent": ("pi_", "in_")}
"""By what prefix of id the two sides of one recurring payment are told apart: (this side, the other one)."""
_KEYS = ("in_", "pi_", "ch_", "py_", "cs_")
"""Kinds of ids, the one that is to name the gift first: a recurring payment's invoice, else the intent."""


async def lock_payment(session: WriteSession, connection_id: UUID, outcome: PaymentOutcome) -> None:
    """Let one worker at a time look for the gifts of a payment. Customer and amount come first, so that whoever holds
    an id of an invoice or intent does not wait for somebody who needs it to unite them."""
    await twins.lock(session, outcome)
    if outcome.kin and outcome.payer.customer_ref and outcome.amount:
        kin = f"kin:{outcome.payer.customer_ref}:{outcome.amount.amount}:{outcome.amount.currency}"
        await evidence.lock_ids(session, connection_id, [kin])
    await evidence.lock_ids(session, connection_id, outcome.refs)


def canonical(refs: Sequence[str]) -> str:
    """The payment key of a gift among all ids that name it, whatever their order: by Stripe's prefixes, else the one
    that is of no other kind (``order:…``)."""
    for prefix in _KEYS:
        if found := sorted(ref for ref in refs if ref.startswith(prefix)):
            return found[0]
    return min(refs, key=lambda ref: (":" in ref, ref))


async def find_gifts(session: WriteSession, connection_id: UUID, provider: str, outcome: PaymentOutcome) -> list[UUID]:
    """The gifts that are this payment, as far as anything is known of it."""
    known = await twins.gifts_named(session, connection_id, provider, outcome)
    if not outcome.kin or not outcome.payer.customer_ref or not outcome.amount or len(known) > 1:
        return known
    ours, theirs = _KIN_SIDES[outcome.kin]
    named = await evidence.ids_of(session, known[0]) if known else []
    if any(ref.startswith(theirs) for ref in (*outcome.refs, *named)):
        return known
    kin = await evidence.gift_like(
        session,
        connection_id=connection_id,
        customer=outcome.payer.customer_ref,
        amount=outcome.amount.amount,
        currency=outcome.amount.currency,
        at=outcome.occurred_at,
        within=_KIN_WINDOW,
        without=(ours, "cs_") if theirs == "pi_" else (ours,),  # a checkout without an invoice is a single gift
        having=theirs,
    )
    return [*known, kin] if kin and kin not in known else known


async def contradictions(session: WriteSession, gift_id: UUID, outcome: PaymentOutcome) -> list[str]:
    """Ids by which an event would tie a second invoice, or a second intent, to a gift that one has paid already. Then
    the gift owes its other side to a guess that took the wrong one of two payments alike; it is left at that, since
    each of the two is counted once, by its own event."""
    if not all(any(ref.startswith(side) for ref in outcome.refs) for side in ("in_", "pi_")):
        return []
    await evidence.lock_gift(session, gift_id)  # whoever is tying the other side to it just now is waited for
    named = await evidence.ids_of(session, gift_id)
    paid = _paid_by(await evidence.entries_of(session, gift_id))
    found: list[str] = []
    for side in ("in_", "pi_"):
        fresh = [ref for ref in outcome.refs if ref.startswith(side) and ref not in named]
        others = [ref for ref in named if ref.startswith(side) and ref not in outcome.refs]
        if fresh and others and side in paid:
            found += fresh
    return found


async def unite(
    session: WriteSession, connection_id: UUID, provider: str, outcome: PaymentOutcome, known: Sequence[UUID]
) -> tuple[UUID, list[Row]]:
    """Make one gift of several that are one payment: the gift that stays, and the rows of those it supersedes.

    The checkout's or the invoice's stays and takes over the evidence and the provider's ids of the others, which count
    for nothing from then on, and what hangs on them: split, credits, matches, tributes, premiums. Two gifts each paid
    in full by an invoice or intent of its own stay two: then a guess by customer and amount took the wrong one of them
    for the other's side, and no money may get lost over that.
    """
    await twins.lock_gifts(session, known)
    known = await find_gifts(session, connection_id, provider, outcome)  # who held one of those ids may have changed it
    named = {gift_id: await evidence.ids_of(session, gift_id) for gift_id in known}
    target = min(known, key=lambda one: _seniority(one, named[one]))
    own = await evidence.entries_of(session, target)
    heirs = []
    for other in sorted(known):
        if other == target:
            continue
        entries = await evidence.entries_of(session, other)
        if _two_payments(own, entries):
            continue
        row = await evidence.lock_gift(session, other)
        heirs.append(row)
        await evidence.add_evidence(session, target, entries)
        end = Entry(kind="superseded", key=f"superseded:{target}", occurred_at=row["received_at"], ref=str(target))
        await evidence.add_evidence(session, other, [end])
        await evidence.move_ids(session, other, target)
        await move_events(session, other, target)
        left = await inherit(session, row, target)
        await settle(session, row, {**left, "provider_payment_id": None, "superseded_by": target})
    return target, heirs


def _seniority(gift_id: UUID, refs: Sequence[str]) -> tuple[bool, bool, str]:
    """Which gift stays: the one that a checkout has named to its donor, else the invoice's, else the oldest."""
    return not any(ref.startswith(OURS) for ref in refs), not any(ref.startswith("in_") for ref in refs), str(gift_id)


def _two_payments(first: Sequence[Entry], second: Sequence[Entry]) -> bool:
    """Whether each is a whole payment of its own: as much money, and an invoice (or an intent) of each says so."""
    return derive(first).gross == derive(second).gross and bool(_paid_by(first) & _paid_by(second))


def _paid_by(entries: Sequence[Entry]) -> set[str]:
    """From which sides it is said that the whole amount has come."""
    gross = derive(entries).gross
    subjects = [entry.key.split(":")[1] for entry in entries if entry.kind == "charge" and entry.amount == gross]
    sides = {"in_": ("in_",), "pi_": ("pi_", "ch_", "py_")}
    return {side for side, kinds in sides.items() if any(subject.startswith(kinds) for subject in subjects)}
