"""Verbs of funds."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy import text

from crm_api.audit.service import record
from crm_api.donations.funds.models import funds
from crm_api.donations.funds.schemas import FundCreate, FundPatch
from crm_api.kit import simple
from crm_api.kit.db import ReadSession, WriteSession, prepare


def create_fund(session: WriteSession, body: FundCreate) -> dict[str, Any]:
    """Add a fund; its code is unique in the organization."""
    row = simple.add(session, funds, {**body.model_dump(), "status": "active"})
    record(session, "fund.created", "fund", row["id"])
    return row


async def get_fund(session: ReadSession, fund_id: UUID) -> dict[str, Any]:
    """One fund, or 404."""
    return simple.to_read(funds, await simple.get(session, funds, fund_id, "fund"))


async def patch_fund(session: WriteSession, fund_id: UUID, body: FundPatch, *, expected: int | None) -> dict[str, Any]:
    """Change a fund."""
    row = await simple.patch(session, funds, fund_id, body, expected=expected)
    record(session, "fund.updated", "fund", fund_id, fields=body.model_fields_set)
    return row


_BY_CODE = prepare(text("SELECT id FROM funds WHERE organization_id = :organization_id AND code = :code"))


async def find_by_code(session: ReadSession, code: str) -> UUID | None:
    """The fund with this code."""
    found: UUID | None = await session.fetch_val(_BY_CODE, code=code)
    return found
