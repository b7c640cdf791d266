"""Identifiers: UUIDv7, made by the application, so that a row's key is known before the row exists."""

from __future__ import annotations

from uuid import UUID

from uuid_utils import compat


def new_id() -> UUID:
    """A UUIDv7: unique, and ordered by the time it was made, so primary keys stay dense."""
    return compat.uuid7()
