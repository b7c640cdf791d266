"""Verbs of giving levels."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, delete

from crm_api.audit.service import record
from crm_api.kit import simple
from crm_api.kit.db import ReadSession, RowLike, WriteSession, prepare
from crm_api.kit.problems import Invalid
from crm_api.kit.schemas import Money
from crm_api.kit.updates import check_version, get_row, lock_row, update_row
from crm_api.reports.levels.models import giving_levels
from crm_api.reports.levels.schemas import GivingLevelCreate, GivingLevelPatch

_DELETE = prepare(
    delete(giving_levels).where(
        giving_levels.c.organization_id == bindparam("organization_id"), giving_levels.c.id == bindparam("id")
    )
)


def to_read(row: RowLike, currency: str) -> dict[str, Any]:
    """A level as the API shows it."""
    return {**simple.to_read(giving_levels, row), "min_amount": {"amount": row["min_amount"], "currency": currency}}


def _amount(session: ReadSession, money: Money) -> int:
    """Levels are in the organization's currency, as the sums are that they are compared with."""
    if money.currency != session.tenant.currency:
        said = f"Levels are in the organization's currency, {session.tenant.currency}."
        raise Invalid.at("/min_amount/currency", "other_currency", said)
    return money.amount


def create_level(session: WriteSession, body: GivingLevelCreate) -> dict[str, Any]:
    """Add a level; a program has each name and each amount once."""
    values = {"program": body.program, "name": body.name, "min_amount": _amount(session, body.min_amount)}
    row = simple.add(session, giving_levels, values)
    record(session, "giving_level.created", "giving_level", row["id"])
    return to_read(row, session.tenant.currency)


async def get_level(session: ReadSession, level_id: UUID) -> dict[str, Any]:
    """One level, or 404."""
    return to_read(await simple.get(session, giving_levels, level_id, "giving level"), session.tenant.currency)


async def patch_level(
    session: WriteSession, level_id: UUID, body: GivingLevelPatch, *, expected: int | None
) -> dict[str, Any]:
    """Change a level. Reports of earlier days follow; kept runs stay as they are."""
    changes: dict[str, Any] = {name: getattr(body, name) for name in body.model_fields_set}
    if body.min_amount is not None:
        changes["min_amount"] = _amount(session, body.min_amount)
    if not changes:
        row = await get_row(session, giving_levels, level_id, "giving level")
        check_version(row["version"], expected)
    else:
        row = await update_row(session, giving_levels, level_id, changes, expected=expected)
        record(session, "giving_level.updated", "giving_level", level_id, fields=changes)
    return to_read(row, session.tenant.currency)


async def delete_level(session: WriteSession, level_id: UUID, *, expected: int | None) -> None:
    """Remove a level; whoever was on it is on the next lower one."""
    await lock_row(session, giving_levels, level_id, expected=expected, what="giving level")
    await session.execute(_DELETE, id=level_id)
    record(session, "giving_level.deleted", "giving_level", level_id)
