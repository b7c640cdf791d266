"""Which chart each report has, and how its figures are written on it. The figures are those of the JSON answer."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from crm_api.reports.charts.bars import bars
from crm_api.reports.charts.donations import donations_chart
from crm_api.reports.charts.heat import Cell, Side, heat_map
from crm_api.reports.charts.lines import Line, lines
from crm_api.reports.charts.outlook import forecast_chart, ltv_chart, prospects_chart
from crm_api.reports.charts.pyramid import Step, pyramid
from crm_api.reports.charts.style import SERIES, Heading, Point, Spec
from crm_api.reports.charts.words import Words, words_of

Found = Mapping[str, Any]
_RATES: Final = ("retention_rate", "new_donor_retention_rate", "repeat_donor_retention_rate", "recapture_rate")
_MOST_BARS: Final = 25
_MOST_FIGURES: Final = 16
"""Beyond that many columns a map of cohorts shows colours alone."""


def spec_of(name: str, found: Found, language: str | None) -> Spec:
    """The chart of the answer of the report of that name, in a language."""
    return _CHARTS[name](words_of(language), found)


def _heading(words: Words, found: Found, title: str, *lines: str, **values: str) -> Heading:
    said = [words.say("said.as_of", day=words.day(found["as_of"])), *lines]
    if found["gifts_without_rate"]:
        said.append(words.say("said.without_rate", count=words.count(found["gifts_without_rate"])))
    return Heading(words.say(f"title.{title}", **values), said)


def _gain_loss(words: Words, found: Found) -> Spec:
    currency = found["currency"]
    points = [
        Point(
            one["state"],
            words.say(f"state.{one['state']}"),
            float(int(one["amount"])),
            f"{words.money(one['amount'], currency)} ({words.count(one['donors'])})",
            one,
        )
        for one in found["states"]
    ]
    growth = words.say("said.growth", amount=words.money(found["net"], currency))
    heading = _heading(words, found, "gain-loss", growth, year=str(found["year"]))
    drawn = points if any(one["donors"] for one in found["states"]) else []
    return bars(words, heading, drawn, words.directed(f"{words.say('axis.change')} ({words.say('axis.donors')})"))


def _retention(words: Words, found: Found) -> Spec:
    years = [str(one["year"]) for one in found["years"]]
    drawn = [
        Line(
            name,
            words.say(f"rate.{name}"),
            colour,
            [
                Point(str(one["year"]), "", None if one[name] is None else float(one[name]), "", {name: one[name]})
                for one in found["years"]
            ],
        )
        for name, colour in zip(_RATES, SERIES, strict=False)
    ]
    heading = _heading(words, found, "retention")
    return lines(words, heading, drawn, [(year, year) for year in years], lambda v: words.percent(str(v)), top=1.0)


def _absent(words: Words, found: Found) -> Spec:
    name, currency = found["report"], found["currency"]
    member = "last_year_total" if name == "lybunt" else "total"
    shown = found["data"][:_MOST_BARS]
    points = [
        Point(
            str(one["contact_id"]),
            one["display_name"],
            float(int(one[member])),
            words.money(one[member], currency),
            {"contact_id": one["contact_id"], member: one[member]},
        )
        for one in shown
    ]
    part = words.say("said.first_of", count=words.count(len(shown)), total=words.count(found["donors"]))
    total = words.say("said.total", amount=words.money(found["total"], currency))
    year = found["year"]
    heading = _heading(words, found, name, words.joined(part, total), year=str(year), before=str(year - 1))
    return bars(words, heading, points, words.say("axis.given"))


def _cohorts(words: Words, found: Found) -> Spec:
    by = found["by"]
    label = str if by == "year" else words.month
    rows = {one["cohort"]: f"{label(one['cohort'])} ({words.count(one['donors'])})" for one in found["cohorts"]}
    ages = range(max((len(one["periods"]) for one in found["cohorts"]), default=0))
    cells = [
        Cell(
            str(part["period"]),
            one["cohort"],
            float(part["rate"] or 0),
            words.percent(part["rate"] or "0"),
            {"cohort": one["cohort"], **part},
        )
        for one in found["cohorts"]
        for part in one["periods"]
    ]
    across = Side(words.say(f"axis.{by}s_after"), {str(age): words.count(age) for age in ages})
    down = Side(words.say("axis.first_gift"), rows)
    heading = _heading(words, found, f"cohorts.{by}")
    return heat_map(words, heading, cells, across, down, most=1.0, written=len(ages) <= _MOST_FIGURES)


def _range(words: Words, low: int, below: int | None, currency: str) -> str:
    start = words.money(low, currency)
    if below is None:
        return words.say("range.from", **{"from": start})
    end = words.money(below, currency)
    return words.say("range.below", below=end) if low <= 0 else words.say("range.between", below=end, **{"from": start})


def _giving_pyramid(words: Words, found: Found) -> Spec:
    currency = found["currency"]
    steps = [
        _step(
            words,
            str(one["from_amount"]),
            _range(words, one["from_amount"], one["below_amount"], currency),
            one,
            currency,
        )
        for one in found["levels"]
    ]
    return _two_sides(
        words,
        found,
        _heading(words, found, "giving-pyramid", words.say(f"span.{found['span']}"), _sums(words, found)),
        steps,
    )


def _step(words: Words, key: str, label: str, one: Found, currency: str) -> Step:
    return Step(
        key,
        label,
        float(one["donors_share"] or 0),
        _with_share(words, words.count(one["donors"]), one["donors_share"]),
        float(one["amount_share"] or 0),
        _with_share(words, words.money(one["amount"], currency), one["amount_share"]),
        one,
    )


def _with_share(words: Words, figure: str, share: str | None) -> str:
    return figure if share is None or not float(share) else f"{figure} ({words.percent(share)})"


def _two_sides(words: Words, found: Found, heading: Heading, steps: Sequence[Step]) -> Spec:
    return pyramid(words, heading, steps, words.say("axis.donors"), words.say("axis.given"))


def _sums(words: Words, found: Found) -> str:
    donors = words.say("said.donors", count=words.count(found["donors"]))
    return words.joined(donors, words.say("said.total", amount=words.money(found["total"], found["currency"])))


def _giving_levels(words: Words, found: Found) -> Spec:
    """The levels of every program, from the highest down."""
    currency, many = found["currency"], len(found["programs"]) > 1
    points = []
    for program in found["programs"]:
        for one in reversed(program["levels"]):
            text = words.joined(words.count(one["donors"]), words.money(one["amount"], currency))
            name = words.joined(program["program"], one["name"]) if many else one["name"]
            points.append(Point(str(one["giving_level_id"]), name, float(one["donors"]), text, one))
    names = ", ".join(program["program"] for program in found["programs"])
    span = words.say(f"span.{found['span']}")
    return bars(words, _heading(words, found, "giving-levels", span, program=names), points, words.say("axis.donors"))


def _concentration(words: Words, found: Found) -> Spec:
    currency = found["currency"]
    points = [
        Point(
            str(one["top_percent"]),
            words.say("axis.top", percent=words.percent(str(one["top_percent"] / 100))),
            float(one["share"] or 0),
            f"{words.percent(one['share'] or '0')} ({words.money(one['amount'], currency)})",
            one,
        )
        for one in found["shares"]
    ]
    warning = words.say("said.ten_carry") if found["warning"] else ""
    heading = _heading(words, found, "concentration", words.say(f"span.{found['span']}"), _sums(words, found), warning)
    return bars(words, heading, points if found["donors"] else [], words.say("axis.share_of_giving"))


def _rfm(words: Words, found: Found) -> Spec:
    held: defaultdict[tuple[int, int], list[Found]] = defaultdict(list)
    for one in found["cells"]:
        held[one["recency"], one["frequency"]].append(one)
    cells = []
    for (recency, frequency), parts in sorted(held.items()):
        donors = sum(one["donors"] for one in parts)
        by_name: defaultdict[str, int] = defaultdict(int)
        for one in parts:
            by_name[one["name"]] += one["donors"]
        name = max(by_name, key=lambda key: (by_name[key], key))
        of = {"recency": recency, "frequency": frequency, "donors": donors, "name": name}
        said = words.say(f"rfm.{name}")
        cells.append(Cell(str(recency), str(frequency), donors, words.count(donors), of, second=said))
    across = Side(words.say("axis.recency"), {str(score): words.count(score) for score in range(1, 6)})
    down = Side(words.say("axis.frequency"), {str(score): words.count(score) for score in range(5, 0, -1)})
    few = words.say("said.too_few") if found["flags"] else ""
    heading = _heading(words, found, "rfm", _sums(words, found), few)
    return heat_map(words, heading, cells, across, down, cell_height=62)


def _rfm_migration(words: Words, found: Found) -> Spec:
    names = {name: words.say(f"rfm.{name}") for name in found["names"]}
    cells = [
        Cell(one["to_name"], one["from_name"], one["donors"], words.count(one["donors"]), one) for one in found["moves"]
    ]
    days = {"from": words.day(found["from_date"]), "to": words.day(found["as_of"])}
    heading = _heading(words, found, "rfm-migration", **days)
    across, down = Side(words.say("axis.to"), names), Side(words.say("axis.from"), names)
    return heat_map(words, heading, cells, across, down, angle=-45)


_CHARTS: Final[Mapping[str, Callable[[Words, Found], Spec]]] = {
    "gain-loss": _gain_loss,
    "retention": _retention,
    "lybunt": _absent,
    "sybunt": _absent,
    "cohorts": _cohorts,
    "giving-pyramid": _giving_pyramid,
    "concentration": _concentration,
    "rfm": _rfm,
    "rfm-migration": _rfm_migration,
    "giving-levels": _giving_levels,
    "ltv": ltv_chart,
    "income-forecast": forecast_chart,
    "prospects": prospects_chart,
    "donations": donations_chart,
}
