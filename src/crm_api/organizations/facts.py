"""What can happen to organizations."""

from __future__ import annotations

from crm_api.outbox.facts import Fact


class TimezoneChanged(Fact):
    """The organization's calendar dates are counted in another zone from now on."""

    timezone: str
    previous: str
