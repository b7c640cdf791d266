"""What clients ask of the donation report, and get."""

from __future__ import annotations

from datetime import date
from typing import Literal

from crm_api.kit.schemas import Output
from crm_api.kit.sums import Sum

GroupBy = Literal["day", "month", "campaign", "fund", "channel", "method", "currency"]


class DonationFigures(Output):
    """Sums in one currency, in its minor units. `net` is `gross` less `refunded`, `charged_back` and `fee`."""

    currency: str
    count: int
    gross: Sum
    refunded: Sum
    charged_back: Sum
    fee: Sum
    net: Sum


class BaseFigures(Output):
    """The same in the organization's currency, of the gifts that have a rate; `gifts_without_rate` is how many it
    leaves out. `refunded` holds what was lost in disputes too."""

    currency: str
    gifts_without_rate: int
    gross: Sum
    refunded: Sum
    fee: Sum
    net: Sum


class DonationGroup(Output):
    """A day, a month (`2026-03`), a campaign, a fund, a channel, a method or a currency. `key` is null for gifts
    without one. Sums of two currencies are never added: each has figures of its own."""

    key: str | None
    label: str | None
    count: int
    currencies: list[DonationFigures]
    base: BaseFigures


class DonationTotals(Output):
    """All groups together. A gift for several funds counts once here, and once in each of its funds."""

    count: int
    currencies: list[DonationFigures]
    base: BaseFigures


class DonationReport(Output):
    """Gifts whose money has arrived, by their gift date in the organization's time zone, with what was given back
    since. Days and months without a gift are there too, with nothing in them."""

    title: str
    group_by: str
    from_date: date
    to_date: date
    currency: str | None
    groups: list[DonationGroup]
    totals: DonationTotals
