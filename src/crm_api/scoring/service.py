"""Verbs of scoring."""

from __future__ import annotations

from datetime import date
from typing import Any
from uuid import UUID

from crm_api.donations.gifts.service import note_donor, note_donors
from crm_api.kit import clock
from crm_api.kit.db import ReadSession, WriteSession
from crm_api.kit.ids import new_id
from crm_api.kit.problems import NotFound
from crm_api.kit.schemas import money_or_none
from crm_api.outbox.service import emit
from crm_api.scoring import rebuilding, repository
from crm_api.scoring.facts import DonorsRefreshed, DonorStatusChanged, ScoringRebuilt
from crm_api.scoring.models import donor_status_changes
from crm_api.scoring.profile import foreseen
from crm_api.scoring.repository import Giving, Standing
from crm_api.scoring.rfm import RfmBorders, cell, values_of
from crm_api.scoring.settings import Rfm, ltv_of, rfm_of
from crm_api.scoring.status import Reason, StatusResult, StatusRules, evaluate
from crm_api.scoring.summary import DonorSummary

SMALL = 25
"""Below this many donors the borders are taken anew with every gift: quintiles of a handful move with each of them."""


def today(session: ReadSession) -> date:
    """The organization's date."""
    return clock.local_date(session.now, session.tenant.timezone)


async def rules_of(session: ReadSession) -> StatusRules:
    """The donor-status rules in force."""
    return (await repository.standing(session, today(session))).rules


async def refresh_donor(session: WriteSession, contact_id: UUID) -> None:
    """Bring a donor's figures, status and scores up to date after a gift or plan changed."""
    as_of = today(session)
    if _settled(await repository.latest_borders(session, as_of)):
        await repository.lock_shared(session)
    else:
        await repository.lock_all(session)
    await repository.lock_donor(session, contact_id)
    by = await repository.standing(session, as_of)  # under the lock: a rebuild by other rules is over, or is to come
    giving = await repository.summarize_donor(session, contact_id, as_of)
    summary = giving.summary
    result = evaluate(summary, rules=by.rules, as_of=as_of, has_live_plan=summary.has_gift_of(giving.live_plan_ids))
    before = await repository.stored_summary(session, contact_id)
    if before is None and summary.gift_count == 0:
        emit(session, DonorsRefreshed(contact_ids=(contact_id,)))
        return
    await repository.store_summary(session, contact_id, _columns(giving, result, by.rules, session))
    if before is None or before["donor_status"] != result.status:
        _note_change(session, contact_id, before["donor_status"] if before else None, result, by.rules, as_of)
    touched = {contact_id, *await _rescore_after(session, by, contact_id, as_of)}
    emit(session, DonorsRefreshed(contact_ids=tuple(sorted(touched))))
    if summary.gift_count and (before is None or not before["gift_count"]):
        await note_donor(session, contact_id)


def _columns(giving: Giving, result: StatusResult, rules: StatusRules, session: WriteSession) -> dict[str, Any]:
    summary = giving.summary
    return {
        **giving.columns(),
        "gift_count": summary.gift_count,
        "gifts_without_rate": summary.gifts_without_rate,
        "total_given": summary.total_given,
        "average_gift": summary.average_gift,
        "largest_gift": summary.largest_gift,
        "total_last_365_days": summary.total_last_365_days,
        "first_gift_at": summary.first_gift_at,
        "last_gift_at": summary.last_gift_at,
        "first_gift_date": summary.first_gift_date,
        "last_gift_date": summary.last_gift_date,
        "donor_status": result.status,
        "is_new": result.is_new,
        "is_major": result.is_major,
        "is_recurring": result.is_recurring,
        "rules_version": rules.version,
        "as_of": summary.as_of,
        "computed_at": session.now,
    }


def _note_change(
    session: WriteSession,
    contact_id: UUID,
    before: str | None,
    result: StatusResult,
    rules: StatusRules,
    as_of: date,
) -> None:
    change_id = new_id()
    session.later(
        donor_status_changes,
        id=change_id,
        contact_id=contact_id,
        previous_status=before,
        status=result.status,
        rules_version=rules.version,
        reasons=[_reason(reason) for reason in result.reasons],
        as_of=as_of,
        changed_at=session.now,
    )
    emit(
        session,
        DonorStatusChanged(
            contact_id=contact_id,
            previous_status=before,
            status=result.status,
            rules_version=rules.version,
            change_id=change_id,
        ),
    )


def _settled(borders: RfmBorders | None) -> bool:
    """Whether there are donors enough for the borders to stand until the next rebuild."""
    return borders is not None and borders.n >= SMALL


async def _rescore_after(session: WriteSession, by: Standing, contact_id: UUID, as_of: date) -> list[UUID]:
    """Score the donor; where borders move with every gift, everybody. Whose scores changed beside."""
    rfm = rfm_of(by.settings)
    if by.borders is not None and _settled(by.borders):
        await rebuilding.rescore(session, by.borders, as_of, contact_id, rfm)
        return []
    await repository.lock_all(session)  # held already, except where a rebuild has just left fewer donors
    borders = rfm.effective(await rebuilding.rebuild_borders(session, as_of, rfm))
    return [] if borders is None else await rebuilding.rescore_few(session, borders, as_of, rfm)


async def rebuild(session: WriteSession, *, figures: bool = True, scores: bool = True) -> int:
    """Rebuild every figure and status of the organization, every score, or both; how many donors' figures changed.
    `ScoringRebuilt` is told either way."""
    as_of = today(session)
    await rebuilding.patience(session)
    await repository.lock_all(session)
    by = await repository.standing(session, as_of)
    count = await rebuilding.rebuild_summaries(session, by, as_of) if figures else 0
    if scores:
        rfm = rfm_of(by.settings)
        borders = rfm.effective(await rebuilding.rebuild_borders(session, as_of, rfm))
        if borders is not None:
            await rebuilding.rescore(session, borders, as_of, rfm=rfm)
    if figures:
        await note_donors(session, await rebuilding.unnoted_donors(session))
    emit(session, ScoringRebuilt(as_of=as_of))
    return count


def _reason(reason: Reason) -> dict[str, Any]:
    return {"rule": reason.rule, "field": reason.field, "value": reason.value, "verdict": reason.verdict}


async def donor_profile(session: ReadSession, contact_id: UUID, as_of: date | None) -> dict[str, Any]:
    """What is known of a contact as a donor, as of a date (today when not given).

    Figures and status come straight from the gifts, so they are never behind; the scores stand against the stored
    quintile borders.
    """
    now = today(session)
    day = as_of or now
    giving = await repository.summarize_profile(session, contact_id, day)
    summary = giving.summary
    if not summary.gift_count:
        from crm_api.contacts.service import get_contact

        await get_contact(session, contact_id)
    by = await repository.standing(session, day)
    result = evaluate(summary, rules=by.rules, as_of=day, has_live_plan=summary.has_gift_of(giving.live_plan_ids))
    unscored = by.borders is None and day < now  # no borders were stored by then: no score, rather than a guess
    currency = session.tenant.currency
    return {
        "contact_id": contact_id,
        "donor_status": result.status,
        "is_new": result.is_new,
        "is_major": result.is_major,
        "is_recurring": result.is_recurring,
        "gift_count": summary.gift_count,
        "gifts_without_rate": summary.gifts_without_rate,
        "total_given": {"amount": summary.total_given, "currency": currency},
        "average_gift": money_or_none(summary.average_gift, currency),
        "largest_gift": money_or_none(summary.largest_gift, currency),
        "total_last_365_days": {"amount": summary.total_last_365_days, "currency": currency},
        "first_gift_at": summary.first_gift_at,
        "last_gift_at": summary.last_gift_at,
        "fiscal_years": _years(giving, currency),
        "first_channel": giving.first_channel,
        "soft_credits": {
            "gift_count": giving.soft_credits[0],
            "total": {"amount": giving.soft_credits[1], "currency": currency},
            "gifts_without_rate": giving.soft_credits[2],
        },
        "rfm": None if unscored else await _rfm(session, contact_id, summary, by),
        **foreseen(giving, result.status, ltv_of(by.settings), currency, past=day < now),
        "reasons": [_reason(reason) for reason in result.reasons],
        "rules_version": by.rules.version,
        "as_of": day,
        "computed_at": session.now,
    }


def _years(giving: Giving, currency: str) -> dict[str, Any]:
    years = giving.years
    return {
        "fiscal_year": giving.fiscal_year,
        "this_year": {"amount": years.this_year_total, "currency": currency},
        "last_year": {"amount": years.last_year_total, "currency": currency},
        "previous_year": {"amount": years.previous_year_total, "currency": currency},
        "streak_years": years.streak_years,
        "best_year": years.best_year,
        "best_year_total": money_or_none(years.best_year_total, currency),
    }


async def rfm_on(session: ReadSession, day: date, by: Standing | None = None) -> tuple[Rfm, RfmBorders | None]:
    """How RFM is drawn, and the borders that a day's donors are scored against: those in force then. Where none were
    stored by then, or RFM has been drawn another way since, they are those of that day's donors."""
    by = by or await repository.standing(session, day)
    rfm = rfm_of(by.settings)
    in_force = by.borders if day >= today(session) or not by.borders_outdated else None
    return rfm, rfm.effective(in_force or await rebuilding.borders_of_day(session, day, rfm))


async def _rfm(session: ReadSession, contact_id: UUID, summary: DonorSummary, by: Standing) -> dict[str, Any] | None:
    rfm = rfm_of(by.settings)
    values = values_of(summary, monetary_basis=rfm.monetary)
    if values is not None and rfm.look_back_days is not None:
        values = await repository.values_within(session, contact_id, summary.as_of, rfm.look_back_days, rfm.monetary)
    if values is None:
        return None
    _, stored = await rfm_on(session, summary.as_of, by)
    if stored is None:
        raise NotFound("There are no donors to score against yet.")
    scored = cell(
        values.days_since_last_gift,
        values.gift_count,
        values.monetary_value,
        stored,
        names=rfm.names,
        gifts_without_rate=summary.gifts_without_rate,
    )
    return {
        "recency": scored.recency,
        "frequency": scored.frequency,
        "monetary": scored.monetary,
        "code": scored.code,
        "name": scored.name,
        "flags": list(scored.flags),
    }
