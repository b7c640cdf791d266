"""The fund around its gifts: who works there, what it collects for, its campaigns, and whom it is talking to."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any
from uuid import UUID

from crm_api.campaigns.appeals.schemas import AppealCreate
from crm_api.campaigns.appeals.service import create_appeal
from crm_api.campaigns.schemas import CampaignCreate
from crm_api.campaigns.service import create_campaign
from crm_api.demo.people import Donor, known
from crm_api.demo.rates import make_rates
from crm_api.demo.script import Script
from crm_api.donations.funds.schemas import FundCreate, FundPatch
from crm_api.donations.funds.service import create_fund, patch_fund
from crm_api.kit import clock
from crm_api.kit.db import WriteSession
from crm_api.organizations.members.schemas import MemberCreate
from crm_api.organizations.members.service import add_member
from crm_api.organizations.rates.schemas import ExchangeRateCreate
from crm_api.organizations.rates.service import put_rate
from crm_api.organizations.service import get_organization, patch_organization
from crm_api.pipelines.deals.schemas import DealCreate
from crm_api.pipelines.deals.service import create_deal, move_deal
from crm_api.pipelines.schemas import PipelineCreate
from crm_api.pipelines.service import create_pipeline


@dataclass(frozen=True, slots=True)
class Stage:
    """Ids of what gifts and deals refer to."""

    funds: Mapping[str, UUID]
    campaigns: Mapping[str, UUID]
    members: Mapping[str, UUID]
    pipelines: Mapping[str, dict[str, Any]]

    def fund(self, code: str) -> UUID:
        """The fund with a code."""
        return self.funds[code]

    def campaign(self, code: str | None) -> UUID | None:
        """The campaign with a code, where there is one."""
        return self.campaigns[code] if code else None


async def set_up(session: WriteSession, script: Script, rng: random.Random) -> Stage:
    """Everything that is there before the first gift."""
    words = known()["fund"]
    begins = script.calendar.midnight(script.calendar.first) - timedelta(days=30)
    await _profile(session, words["profile"])
    session.now = begins
    roles = {member["role"] for member in words["members"]}
    members = {
        member["email"]: add_member(session, MemberCreate(**member), grantable=roles)["id"]
        for member in words["members"]
    }
    funds = {
        fund["code"]: create_fund(session, FundCreate(**{k: v for k, v in fund.items() if k != "closed"}))["id"]
        for fund in words["funds"]
    }
    pipelines = {item["name"]: create_pipeline(session, _pipeline(item)) for item in words["pipelines"]}
    campaigns = _campaigns(session, script)
    session.now = begins
    await session.flush()
    for fund in words["funds"]:
        if fund.get("closed"):
            session.now = begins + timedelta(days=500)
            await patch_fund(session, funds[fund["code"]], FundPatch(status="closed"), expected=None)
    calendar = script.calendar
    for currency, day, rate in make_rates(rng, calendar.first, calendar.today, session.tenant.currency):
        session.now = calendar.midnight(day) + timedelta(hours=6)
        body = ExchangeRateCreate(
            source_currency=currency, target_currency=session.tenant.currency, rate=rate, rate_date=day, origin="demo"
        )
        await put_rate(session, body)
    return Stage(funds, campaigns, members, pipelines)


async def _profile(session: WriteSession, profile: Mapping[str, str]) -> None:
    """How the fund can be reached, where nobody has said it yet: letters show it."""
    row = await get_organization(session)
    changes = {name: value for name, value in profile.items() if row[name] is None}
    if changes:
        await patch_organization(session, changes, expected=None)


def _pipeline(item: Mapping[str, Any]) -> PipelineCreate:
    stages: Sequence[Sequence[Any]] | None = item["stages"]
    body = {"name": item["name"], "kind": item["kind"]}
    if stages is None:
        return PipelineCreate.model_validate(body)
    named = [{"name": name, "probability": chance, "outcome": outcome} for name, chance, outcome in stages]
    return PipelineCreate.model_validate({**body, "stages": named})


def _campaigns(session: WriteSession, script: Script) -> dict[str, UUID]:
    made: dict[str, UUID] = {}
    for campaign in script.campaigns:
        planned = datetime.combine(campaign.starts_on - timedelta(days=40), time(9), clock.UTC)
        session.now = min(planned, script.ends)
        body = {
            "code": campaign.code,
            "name": campaign.name,
            "description": campaign.description,
            "status": campaign.status,
            "starts_on": campaign.starts_on,
            "ends_on": campaign.ends_on,
            "goal": campaign.goal,
        }
        made[campaign.code] = create_campaign(session, CampaignCreate.model_validate(body))["id"]
        for appeal in campaign.appeals:
            sent_on: date = appeal["sent_on"]
            plan = {**appeal, "campaign_id": made[campaign.code]}
            if sent_on > script.calendar.today:
                plan["sent_on"] = None
            create_appeal(session, AppealCreate.model_validate(plan))
    return made


_WHO = {"Major gifts": ("great",), "Foundation grants": ("grants",), "Partnerships": ("company",)}
_SIZE = {"Major gifts": (20, 400), "Foundation grants": (80, 1200), "Partnerships": (10, 120)}
_OWNER = {"Major gifts": "major.gifts@example.org", "Foundation grants": "major.gifts@example.org"}


async def add_deals(
    session: WriteSession, stage: Stage, script: Script, contacts: Mapping[int, UUID], rng: random.Random
) -> None:
    """Talks with those who could give much, each with the moves it has made."""
    for name, titles in known()["fund"]["deals"].items():
        donors = [donor for _, donor in script.donors if donor.habit in _WHO[name]]
        for title in titles:
            await _deal(session, stage, script, name, title, donors, contacts, rng)


async def _deal(
    session: WriteSession,
    stage: Stage,
    script: Script,
    name: str,
    title: str,
    donors: Sequence[Donor],
    contacts: Mapping[int, UUID],
    rng: random.Random,
) -> None:
    low, high = _SIZE[name]
    began = script.ends - timedelta(days=rng.randint(20, 520), hours=rng.randint(7, 14))
    session.now = began
    body: dict[str, Any] = {
        "pipeline_id": stage.pipelines[name]["id"],
        "title": title,
        "contact_id": contacts[rng.choice(donors).number] if donors else None,
        "expected_on": (began + timedelta(days=rng.randint(120, 300))).date().replace(day=28),
        "owner_member_id": stage.members[_OWNER.get(name, "appeals@example.org")],
    }
    if name != "Partnerships" or rng.random() < 0.5:
        body["amount"] = {"amount": rng.randint(low, high) * 10_000, "currency": session.tenant.currency}
    deal = await create_deal(session, DealCreate.model_validate(body))
    await session.flush()
    for stage_id in _way(rng, stage.pipelines[name]["stages"]):
        session.now += timedelta(days=rng.randint(9, 70), hours=rng.randint(-3, 3))
        if session.now > script.ends:
            break
        await move_deal(session, deal["id"], stage_id, expected=None)


def _way(rng: random.Random, stages: Sequence[Mapping[str, Any]]) -> list[UUID]:
    """The stages a deal goes through after its first: as far as it gets, or to one of its ends."""
    still = [stage["id"] for stage in stages if stage["outcome"] == "open"][1:]
    ends = {stage["outcome"]: stage["id"] for stage in stages if stage["outcome"] != "open"}
    reached = still[: rng.randint(0, len(still))]
    end = rng.choices(("open", "won", "lost"), (50, 30, 20))[0]
    if end == "lost":
        return [*reached, ends["lost"]]
    return [*still, ends["won"]] if end == "won" else reached
