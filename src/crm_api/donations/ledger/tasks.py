"""What the books do about facts: follow each gift, catch up with many, match payouts, prove themselves at night."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from crm_api.donations.gifts.facts import GiftChanged, GiftRecorded, GiftsRestated
from crm_api.donations.ledger import pledges, posting, repository
from crm_api.donations.ledger.facts import LedgerBehind, LedgerProofAsked, LedgerProofDue, PayoutRecorded
from crm_api.donations.ledger.payouts import matching
from crm_api.donations.ledger.proofs import service as proofs
from crm_api.donations.pledges.facts import PledgeChanged
from crm_api.kit.db import WriteSession
from crm_api.outbox.facts import HousekeepingDue, Job, Registry, Schedule, Subscriber
from crm_api.outbox.service import emit

_UNSETTLED = frozenset({"pending", "failed", "canceled"})
_STUCK = "The proof could not be finished; see GET /v1/jobs for the reason, then ask for another one."


def _has_money(fact: GiftRecorded | GiftChanged) -> bool:
    """Whether there may be something to post; a payment that has not arrived is posted when it does."""
    return not {fact.status, getattr(fact, "previous_status", fact.status)} <= _UNSETTLED


async def post_gift(session: WriteSession, job: Job) -> None:
    """Post what a gift's books lack, and look whether a payout waits for it."""
    gift_id = UUID(job.payload["gift_id"])
    await posting.post_gifts(session, [gift_id])
    await matching.match_gift(session, gift_id)


async def catch_up(session: WriteSession, job: Job) -> None:
    """Post the gifts that are behind, some thousands in a transaction; another run takes the next."""
    if await repository.later_pass(session, job.id):
        return  # that one begins from the start
    after = UUID(job.payload["after"]) if "after" in job.payload else posting.FIRST
    _, last = await posting.post_next(session, after)
    if last is not None:
        emit(session, LedgerBehind(after=last))
    else:
        await matching.match_open(session)
        await pledges.post_behind(session)


async def post_pledge(session: WriteSession, job: Job) -> None:
    """Post what a pledge's books lack."""
    await pledges.post_pledges(session, [UUID(job.payload["pledge_id"])])


async def match_payout(session: WriteSession, job: Job) -> None:
    """Match a payout's items with gifts."""
    await matching.match_payout(session, UUID(job.payload["payout_id"]))


async def begin_proof(session: WriteSession, job: Job) -> None:
    """Begin the night's proof."""
    await proofs.start_proof(session, origin="schedule")


async def prove(session: WriteSession, job: Job) -> None:
    """Do the next step of a proof."""
    await proofs.go_on(session, UUID(job.payload["proof_id"]))


async def proof_gave_up(session: WriteSession, job: Job) -> None:
    """The job is dead: so is its proof."""
    await proofs.fail(session, UUID(job.payload["proof_id"]), _STUCK)


def register(registry: Registry) -> None:
    """Subscribe to facts."""
    registry.subscribe(Subscriber("ledger.post_gift", (GiftRecorded, GiftChanged), handle=post_gift, wants=_has_money))
    registry.subscribe(Subscriber("ledger.catch_up", (GiftsRestated, LedgerBehind, HousekeepingDue), handle=catch_up))
    registry.subscribe(Subscriber("ledger.post_pledge", (PledgeChanged,), handle=post_pledge))
    registry.subscribe(Subscriber("ledger.match_payout", (PayoutRecorded,), handle=match_payout))
    registry.subscribe(Subscriber("ledger.begin_proof", (LedgerProofDue,), handle=begin_proof))
    registry.subscribe(Subscriber("ledger.prove", (LedgerProofAsked,), handle=prove, on_dead=proof_gave_up))
    # After the housekeeping, which posts what was left behind.
    registry.schedule(Schedule("ledger.proof", LedgerProofDue, every=timedelta(days=1), at_hour=5))
