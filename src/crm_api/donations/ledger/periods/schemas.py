"""What clients send and get of closed periods."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated

from pydantic import ConfigDict, StringConstraints

from crm_api.kit.schemas import VISIBLE, Input, Output, Versioned

Reason = Annotated[str, StringConstraints(min_length=1, max_length=500, pattern=VISIBLE)]


class LedgerPeriodClose(Input):
    """Close the books up to and with a day that is over."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"through": "2025-12-31"}]})

    through: date


class LedgerPeriodReopen(Input):
    """Open a closed period again."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"reason": "The auditor asked for a correction."}]})

    reason: Reason


class LedgerPeriodRead(Versioned):
    """A closing of the books up to and with `through`. While it is `closed`, nothing is posted on a day in it."""

    through: date
    state: str
    reason: str | None
    closed_at: datetime
    reopened_at: datetime | None


class LedgerPeriodPage(Output):
    """A page of closings."""

    data: list[LedgerPeriodRead]
    has_more: bool
    next_cursor: str | None
    total: int | None = None
