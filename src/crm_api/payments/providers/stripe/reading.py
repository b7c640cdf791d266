"""A Stripe event as its handlers get it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from crm_api.payments.provider import Interpretation


@dataclass(frozen=True, slots=True)
class Event:
    """One classic (v1) Stripe event whose frame is sound; `obj` may still hold anything."""

    type: str
    obj: dict[str, Any]
    at: datetime
    """When Stripe made the event: the time of the state that `obj` shows."""
    previous: dict[str, Any]
    """Old values of what an update changed."""


Handler = Callable[[Event], Interpretation]
