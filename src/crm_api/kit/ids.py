"""Identifiers: UUIDv7, made by the application, so that a row's key is known before the row exists."""

from __future__ import annotations

from typing import Final
from uuid import UUID

from uuid_utils import compat


def new_id() -> UUID:
    """A UUIDv7: unique, and ordered by the time it was made, so primary keys stay dense."""
    return compat.uuid7()


NEW_ID_SQL: Final = "CAST(overlay(CAST(gen_random_uuid() AS text) PLACING :id_head FROM 1 FOR 15) AS uuid)"
"""A UUIDv7 that Postgres makes, for rows that come of one statement: the time of `id_head`, the same for all of them,
and random bits."""


def id_head() -> str:
    """What `NEW_ID_SQL` begins with, of this moment."""
    return str(new_id())[:15]
