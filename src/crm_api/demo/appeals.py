"""The fund's campaigns over the years, as dates from today."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from crm_api.demo.people import known


@dataclass(frozen=True, slots=True)
class Campaign:
    """A campaign with its season and its solicitations."""

    code: str
    name: str
    description: str
    fund: str
    starts_on: date
    ends_on: date
    status: str
    goal: dict[str, Any]
    pull: int
    appeals: tuple[dict[str, Any], ...]


def make_campaigns(today: date) -> list[Campaign]:
    """Every campaign, oldest first."""
    made = [_campaign(item, today, back) for item in known()["fund"]["campaigns"] for back in item["years"]]
    return sorted(made, key=lambda campaign: (campaign.starts_on, campaign.code))


def _campaign(item: Mapping[str, Any], today: date, back: int) -> Campaign:
    year = today.year + back
    starts_on = date.fromisoformat(f"{year}-{item['from']}")
    ends_on = date.fromisoformat(f"{year}-{item['to']}")
    if ends_on < starts_on:
        ends_on = date.fromisoformat(f"{year + 1}-{item['to']}")
    status = "planned" if starts_on > today else "completed" if ends_on < today else "active"
    code = item["code"].format(year=year)
    appeals = tuple(
        {
            "code": f"{code}-{short}",
            "name": name,
            "channel": channel,
            "sent_on": starts_on + timedelta(days=after),
            "cost": _money(cost),
        }
        for short, name, channel, after, cost in item["appeals"]
    )
    return Campaign(
        code, item["name"].format(year=year), item["description"], item["fund"], starts_on, ends_on, status,
        _money(item["goal"]) or {}, item["pull"], appeals,
    )  # fmt: skip


def _money(pair: Sequence[Any] | None) -> dict[str, Any] | None:
    return {"amount": pair[0], "currency": pair[1]} if pair else None


def campaign_of(rng: random.Random, campaigns: Sequence[Campaign], day: date) -> Campaign | None:
    """What moved somebody to give on a day: one of the campaigns of that day, or none."""
    running = [campaign for campaign in campaigns if campaign.starts_on <= day <= campaign.ends_on]
    if not running or rng.random() > 0.62:
        return None
    return rng.choices(running, [campaign.pull for campaign in running])[0]
