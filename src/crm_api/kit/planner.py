"""Postgres settings of one transaction, for statements that are not like others: they go through everything an
organization has, may take minutes, or are planned badly from what the planner knows.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy import text

from crm_api.kit.db import ReadSession, WriteSession, prepare

_SET = prepare(
    text(
        "SELECT set_config(s.name, s.value, true) FROM unnest(CAST(:names AS text[]), CAST(:values AS text[])) "
        "AS s(name, value) WHERE CAST(:organization_id AS uuid) IS NOT NULL"
    )
)
_NOW = prepare(
    text(
        "SELECT current_setting(s.name) AS value FROM unnest(CAST(:names AS text[])) WITH ORDINALITY AS s(name, place) "
        "WHERE CAST(:organization_id AS uuid) IS NOT NULL ORDER BY s.place"
    )
)


async def configure(session: ReadSession, **settings: str) -> None:
    """Set these until the end of the transaction (``statement_timeout="900s"``)."""
    await session.fetch(_SET, names=list(settings), values=list(settings.values()))


@asynccontextmanager
async def configured(session: WriteSession, **settings: str) -> AsyncIterator[None]:
    """The same for a part of the transaction; what was set before holds again after it. An error ends the transaction,
    and its settings with it."""
    before = {
        name: row["value"] for name, row in zip(settings, await session.fetch(_NOW, names=list(settings)), strict=True)
    }
    await configure(session, **settings)
    yield
    await configure(session, **before)
