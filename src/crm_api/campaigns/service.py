"""Verbs of campaigns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, select

from crm_api.audit.service import record
from crm_api.campaigns.models import campaigns
from crm_api.campaigns.schemas import CampaignCreate, CampaignPatch
from crm_api.kit import simple
from crm_api.kit.db import ReadSession, Row, WriteSession, prepare
from crm_api.kit.problems import Invalid
from crm_api.kit.schemas import money_or_none
from crm_api.kit.updates import lock_row, update_row

_READ = (
    "id", "code", "name", "description", "status", "starts_on", "ends_on", "version", "created_at", "updated_at",
)  # fmt: skip
_BY_CODE = prepare(
    select(campaigns.c.id).where(
        campaigns.c.organization_id == bindparam("organization_id"), campaigns.c.code == bindparam("code")
    )
)


def to_read(row: Row | Mapping[str, Any]) -> dict[str, Any]:
    """A campaign as the API shows it."""
    campaign = {name: row[name] for name in _READ}
    campaign["goal"] = money_or_none(row["goal_amount"], row["goal_currency"])
    return campaign


def create_campaign(session: WriteSession, body: CampaignCreate) -> dict[str, Any]:
    """Add a campaign; its code is unique in the organization."""
    row = simple.add(session, campaigns, body.stored())
    record(session, "campaign.created", "campaign", row["id"])
    return to_read(row)


async def get_campaign(session: ReadSession, campaign_id: UUID) -> dict[str, Any]:
    """One campaign, or 404."""
    return to_read(await simple.get(session, campaigns, campaign_id, "campaign"))


async def find_by_code(session: ReadSession, code: str) -> UUID | None:
    """The campaign with a code, as payments name it; `None` when there is none."""
    found: UUID | None = await session.fetch_val(_BY_CODE, code=code)
    return found


async def patch_campaign(
    session: WriteSession, campaign_id: UUID, body: CampaignPatch, *, expected: int | None
) -> dict[str, Any]:
    """Change a campaign."""
    changes = body.stored()
    await lock_row(session, campaigns, campaign_id, expected=expected, what="campaign")
    before = await simple.get(session, campaigns, campaign_id, "campaign")
    if not changes:
        return to_read(before)
    starts_on, ends_on = (changes.get(name, before[name]) for name in ("starts_on", "ends_on"))
    if starts_on and ends_on and ends_on < starts_on:
        raise Invalid.at("/ends_on", "before_start", "ends_on must not be before starts_on.")
    row = await update_row(session, campaigns, campaign_id, changes, expected=None)
    record(session, "campaign.updated", "campaign", campaign_id, fields=body.model_fields_set)
    return to_read(row)
