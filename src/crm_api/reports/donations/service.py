"""The donation report: gifts by day, month, campaign, fund, channel, method or currency."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

from crm_api.kit import clock
from crm_api.kit.db import ReadSession, RowLike
from crm_api.kit.money import exponent
from crm_api.kit.problems import Invalid
from crm_api.kit.sums import exact
from crm_api.reports.donations import repository
from crm_api.reports.donations.schemas import GroupBy
from crm_api.reports.report import Column, Report

MOST_DAYS = 3_700
"""About ten years of days; months may go back as far as gifts do."""
_TITLES: Mapping[str, str] = {
    "day": "Donations by day",
    "month": "Donations by month",
    "campaign": "Donations by campaign",
    "fund": "Donations by fund",
    "channel": "Donations by channel",
    "method": "Donations by method",
    "currency": "Donations by currency",
}
_PLAIN = ("count", "gross", "refunded", "charged_back", "fee", "without_rate", "once", "without_rate_once")


@dataclass(slots=True)
class Sums:
    """Sums in one currency, and what they come to in the organization's; whole minor units."""

    count: int = 0
    gross: int = 0
    refunded: int = 0
    charged_back: int = 0
    fee: int = 0
    base_gross: int = 0
    base_counted: int = 0
    base_fee: int = 0
    without_rate: int = 0
    once: int = 0
    without_rate_once: int = 0
    """The same counts over several funds, where a gift for more than one is counted in one of them only."""

    @property
    def net(self) -> int:
        """What is left."""
        return self.gross - self.refunded - self.charged_back - self.fee

    def add(self, other: Sums) -> None:
        """Take another one in; of the same currency, or for what both come to in the organization's."""
        for name in self.__slots__:
            setattr(self, name, getattr(self, name) + getattr(other, name))


Groups = dict[str | None, dict[str, Sums]]
"""By key, then by currency."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a report is asked for; both days are included."""

    group_by: GroupBy
    first: date
    last: date
    currency: str | None


def asked(
    session: ReadSession, group_by: GroupBy, first: date | None, last: date | None, currency: str | None
) -> Asked:
    """A question with its defaults: up to today; from thirty days, or twelve months, before."""
    end = last or clock.local_date(session.now, session.tenant.timezone)
    if first is None:
        first = end - timedelta(days=29) if group_by == "day" else _months_before(end, 11)
    if first > end:
        raise Invalid.at("?to", "before_start", "to must not lie before from.")
    if not (first.year >= 1900 and end.year <= 2200):
        raise Invalid.at("?from", "out_of_range", "from and to must lie between the years 1900 and 2200.")
    if group_by == "day" and (end - first).days >= MOST_DAYS:
        said = f"A report by day takes at most {MOST_DAYS} days; ask for months, or for fewer days."
        raise Invalid.at("?from", "out_of_range", said)
    return Asked(group_by, first, end, currency)


def _months_before(day: date, count: int) -> date:
    months = day.year * 12 + day.month - 1 - count
    return date(months // 12, months % 12 + 1, 1)


async def donations(session: ReadSession, question: Asked) -> dict[str, Any]:
    """The report as the API shows it."""
    groups = await _groups(session, question)
    labels = await repository.names(session, question.group_by, [key for key in groups if key is not None])
    whole: dict[str, Sums] = defaultdict(Sums)
    for parts in groups.values():
        for currency, sums in parts.items():
            whole[currency].add(sums)
    for sums in whole.values():
        sums.count, sums.without_rate = sums.once, sums.without_rate_once
    base = session.tenant.currency
    return {
        "title": _TITLES[question.group_by],
        "group_by": question.group_by,
        "from_date": question.first,
        "to_date": question.last,
        "currency": question.currency,
        "groups": [
            {"key": key, "label": labels.get(key) if key else None, **_figures(parts, base)}
            for key, parts in groups.items()
        ],
        "totals": _figures(whole, base),
    }


async def _groups(session: ReadSession, question: Asked) -> Groups:
    """Every group in its order: days and months by date and without gaps, others by what they brought."""
    rows = await repository.sums(session, question.group_by, question.first, question.last, question.currency)
    found: Groups = {bucket: {} for bucket in _buckets(question)}
    for row in rows:
        found.setdefault(row["key"], {})[row["currency"]] = _sums(row, session.tenant.currency)
    if question.group_by in ("day", "month"):
        return found
    worth = {key: sum(sums.base_counted for sums in parts.values()) for key, parts in found.items()}
    return {key: found[key] for key in sorted(found, key=lambda key: (key is None, -worth[key], key))}


def _buckets(question: Asked) -> Iterable[str]:
    """Every day or month between the two days."""
    if question.group_by == "day":
        for number in range((question.last - question.first).days + 1):
            yield (question.first + timedelta(days=number)).isoformat()
    elif question.group_by == "month":
        for number in range(_month(question.first), _month(question.last) + 1):
            yield f"{number // 12:04}-{number % 12 + 1:02}"


def _month(day: date) -> int:
    return day.year * 12 + day.month - 1


def _sums(row: RowLike, base: str) -> Sums:
    """A row of the statement; the fee is converted as a sum, so that it is rounded once."""
    scale = Decimal(10) ** (exponent(base) - exponent(row["currency"]))
    fee = (row["base_fee"] or Decimal(0)) * scale
    return Sums(
        **{name: int(row[name]) for name in _PLAIN},
        base_gross=int(row["base_gross"] or 0),
        base_counted=int(row["base_counted"] or 0),
        base_fee=int(fee.to_integral_value(rounding=ROUND_HALF_EVEN)),
    )


def _figures(parts: Mapping[str, Sums], base: str) -> dict[str, Any]:
    together = Sums()
    for sums in parts.values():
        together.add(sums)
    return {
        "count": together.count,
        "currencies": [
            {
                "currency": currency,
                "count": sums.count,
                **{name: exact(getattr(sums, name)) for name in ("gross", "refunded", "charged_back", "fee", "net")},
            }
            for currency, sums in sorted(parts.items())
        ],
        "base": {
            "currency": base,
            "gifts_without_rate": together.without_rate,
            "gross": exact(together.base_gross),
            "refunded": exact(together.base_gross - together.base_counted),
            "fee": exact(together.base_fee),
            "net": exact(together.base_counted - together.base_fee),
        },
    }


def as_table(found: Mapping[str, Any]) -> Report:
    """The report as a table, one row for each group and currency, and one for a group without gifts."""
    money = ("gross", "refunded", "charged_back", "fee", "net")
    columns = (
        Column("key", "text", str(found["group_by"]).capitalize()),
        Column("label", "text", "Name"),
        Column("currency", "text", "Currency"),
        Column("count", "count", "Gifts"),
        *(Column(name, "money", name.replace("_", " ").capitalize(), "currency") for name in money),
    )
    rows: list[Sequence[Any]] = []
    for group in found["groups"]:
        for one in group["currencies"]:
            rows.append((group["key"], group["label"], one["currency"], one["count"], *(one[name] for name in money)))
        if not group["currencies"]:
            rows.append((group["key"], group["label"], None, 0, *(None for _ in money)))
    left_out = found["totals"]["base"]["gifts_without_rate"]
    notes = (f"{left_out} gifts have no exchange rate yet.",) if left_out else ()
    return Report(found["title"], columns, rows, notes)
