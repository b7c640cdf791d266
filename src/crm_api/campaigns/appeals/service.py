"""Verbs of appeals."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from crm_api.audit.service import record
from crm_api.campaigns.appeals.models import appeals
from crm_api.campaigns.appeals.schemas import AppealCreate, AppealPatch
from crm_api.kit import simple
from crm_api.kit.db import ReadSession, Row, WriteSession
from crm_api.kit.schemas import money_or_none
from crm_api.kit.updates import check_version, update_row

_READ = ("id", "campaign_id", "code", "name", "channel", "sent_on", "version", "created_at", "updated_at")


def to_read(row: Row | Mapping[str, Any]) -> dict[str, Any]:
    """An appeal as the API shows it."""
    appeal = {name: row[name] for name in _READ}
    appeal["cost"] = money_or_none(row["cost_amount"], row["cost_currency"])
    return appeal


def create_appeal(session: WriteSession, body: AppealCreate) -> dict[str, Any]:
    """Add an appeal to a campaign; its code is unique in the organization."""
    row = simple.add(session, appeals, body.stored())
    record(session, "appeal.created", "appeal", row["id"])
    return to_read(row)


async def get_appeal(session: ReadSession, appeal_id: UUID) -> dict[str, Any]:
    """One appeal, or 404."""
    return to_read(await simple.get(session, appeals, appeal_id, "appeal"))


async def patch_appeal(
    session: WriteSession, appeal_id: UUID, body: AppealPatch, *, expected: int | None
) -> dict[str, Any]:
    """Change an appeal."""
    changes = body.stored()
    if not changes:
        row = await simple.get(session, appeals, appeal_id, "appeal")
        check_version(row["version"], expected)
        return to_read(row)
    row = await update_row(session, appeals, appeal_id, changes, expected=expected)
    record(session, "appeal.updated", "appeal", appeal_id, fields=body.model_fields_set)
    return to_read(row)
