"""RFM: how recently (R), how often (F) and how much (M) a donor gives, each scored 1 to 5 among all donors.

Source: `scoring.md` §3. Over integers, with N scored donors:

    score(v) = floor(5 * (donors strictly below v) / N) + 1

F and M are scores; R = 6 - score(days since the last gift), so that 5 is best throughout. Equal values get equal
scores and row order never matters, which is why ``NTILE`` is forbidden. The same scores come from four stored borders
per dimension: score = 1 + #{k = 1..4 : v > the ceil(kN/5)-th smallest value}. Between rebuilds a donor is scored
against the stored borders. Days are calendar days, money is minor units; a donor without a counted gift has no score.

A rebuild is two statements over one relation (`RFM_BORDERS_SQL`, then `RFM_SCORES_SQL` or, against stored borders,
`RFM_AGAINST_BORDERS_SQL`); the tests hold them equal to the functions here.
"""

from __future__ import annotations

import csv
import re
import unicodedata
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from types import MappingProxyType
from typing import Any, Final, Literal

from crm_api.scoring.summary import DonorSummary

MIN_DONORS_FOR_QUINTILES: Final = 25
"""With fewer scored donors the scores carry `TOO_FEW_FOR_QUINTILES`."""

TOO_FEW_FOR_QUINTILES: Final = "too_few_for_quintiles"
GIFTS_WITHOUT_RATE: Final = "gifts_without_rate"
"""Flag: some of the donor's gifts have no exchange rate yet and are missing from M (not from R and F)."""

MAX_NAME_LENGTH: Final = 60

RFM_SCORES_SQL: Final = """
SELECT contact_id,
  5 - 5 * (RANK() OVER (ORDER BY days_since_last_gift) - 1) / COUNT(*) OVER () AS recency,
  5 * (RANK() OVER (ORDER BY gift_count) - 1) / COUNT(*) OVER () + 1 AS frequency,
  5 * (RANK() OVER (ORDER BY monetary_value) - 1) / COUNT(*) OVER () + 1 AS monetary
FROM rfm_values
"""
"""The scores of every donor of one organization, by the exact formula (``RANK() - 1`` is the number strictly below).

``rfm_values`` is a common table expression the caller puts in front: one row per contact with a counted gift, columns
``contact_id, days_since_last_gift, gift_count, monetary_value``, all whole numbers as in `RfmValues`."""

RFM_BORDERS_SQL: Final = """
SELECT COUNT(*) AS n,
  MAX(CASE WHEN by_days = (donors + 4) / 5 THEN days_since_last_gift END) AS recency_1,
  MAX(CASE WHEN by_days = (2 * donors + 4) / 5 THEN days_since_last_gift END) AS recency_2,
  MAX(CASE WHEN by_days = (3 * donors + 4) / 5 THEN days_since_last_gift END) AS recency_3,
  MAX(CASE WHEN by_days = (4 * donors + 4) / 5 THEN days_since_last_gift END) AS recency_4,
  MAX(CASE WHEN by_count = (donors + 4) / 5 THEN gift_count END) AS frequency_1,
  MAX(CASE WHEN by_count = (2 * donors + 4) / 5 THEN gift_count END) AS frequency_2,
  MAX(CASE WHEN by_count = (3 * donors + 4) / 5 THEN gift_count END) AS frequency_3,
  MAX(CASE WHEN by_count = (4 * donors + 4) / 5 THEN gift_count END) AS frequency_4,
  MAX(CASE WHEN by_money = (donors + 4) / 5 THEN monetary_value END) AS monetary_1,
  MAX(CASE WHEN by_money = (2 * donors + 4) / 5 THEN monetary_value END) AS monetary_2,
  MAX(CASE WHEN by_money = (3 * donors + 4) / 5 THEN monetary_value END) AS monetary_3,
  MAX(CASE WHEN by_money = (4 * donors + 4) / 5 THEN monetary_value END) AS monetary_4
FROM (
  SELECT days_since_last_gift, gift_count, monetary_value, COUNT(*) OVER () AS donors,
    ROW_NUMBER() OVER (ORDER BY days_since_last_gift) AS by_days,
    ROW_NUMBER() OVER (ORDER BY gift_count) AS by_count,
    ROW_NUMBER() OVER (ORDER BY monetary_value) AS by_money
  FROM rfm_values
) AS ranked
"""
"""One row with the borders to store, over the same ``rfm_values``; read it with `borders_from_row`.

The ceil(kN/5)-th smallest value, in whole numbers ((kN + 4) / 5 is the ceiling). ``ROW_NUMBER`` breaks ties at will,
but the j-th smallest *value* is the same whichever tied row holds it."""

RFM_AGAINST_BORDERS_SQL: Final = """
SELECT contact_id,
  5 - CASE WHEN days_since_last_gift > CAST(:recency_1 AS BIGINT) THEN 1 ELSE 0 END
    - CASE WHEN days_since_last_gift > CAST(:recency_2 AS BIGINT) THEN 1 ELSE 0 END
    - CASE WHEN days_since_last_gift > CAST(:recency_3 AS BIGINT) THEN 1 ELSE 0 END
    - CASE WHEN days_since_last_gift > CAST(:recency_4 AS BIGINT) THEN 1 ELSE 0 END AS recency,
  1 + CASE WHEN gift_count > CAST(:frequency_1 AS BIGINT) THEN 1 ELSE 0 END
    + CASE WHEN gift_count > CAST(:frequency_2 AS BIGINT) THEN 1 ELSE 0 END
    + CASE WHEN gift_count > CAST(:frequency_3 AS BIGINT) THEN 1 ELSE 0 END
    + CASE WHEN gift_count > CAST(:frequency_4 AS BIGINT) THEN 1 ELSE 0 END AS frequency,
  1 + CASE WHEN monetary_value > CAST(:monetary_1 AS BIGINT) THEN 1 ELSE 0 END
    + CASE WHEN monetary_value > CAST(:monetary_2 AS BIGINT) THEN 1 ELSE 0 END
    + CASE WHEN monetary_value > CAST(:monetary_3 AS BIGINT) THEN 1 ELSE 0 END
    + CASE WHEN monetary_value > CAST(:monetary_4 AS BIGINT) THEN 1 ELSE 0 END AS monetary
FROM rfm_values
"""
"""The scores of any of the donors against stored borders (`RfmBorders.sql_params`): needs no sort and no window, so
``rfm_values`` may hold just the donors that changed. With the borders of the same rows it equals `RFM_SCORES_SQL`."""

FourBorders = tuple[int, int, int, int]
MonetaryBasis = Literal["sum", "average"]
Dimension = Literal["recency", "frequency", "monetary"]
_DIMENSIONS: Final[tuple[Dimension, ...]] = ("recency", "frequency", "monetary")


@dataclass(frozen=True, slots=True)
class RfmValues:
    """What is scored for one donor."""

    days_since_last_gift: int
    gift_count: int
    monetary_value: int
    """Sum or average of the gifts in minor units of the organization's currency; gifts without a rate left out."""


@dataclass(frozen=True, slots=True)
class RfmBorders:
    """The stored borders of an organization: per dimension the four values a donor must exceed for 2, 3, 4, 5.

    ``n`` is the number of donors they were drawn from. ``fixed`` marks cut-points the organization configured
    instead of quintiles; then ``n`` says nothing and is 0.
    """

    n: int
    recency: FourBorders
    """Days since the last gift, ascending: a donor beyond k of them has R = 5 - k."""
    frequency: FourBorders
    monetary: FourBorders
    fixed: bool = False

    def __post_init__(self) -> None:
        for values in (self.recency, self.frequency, self.monetary):
            if len(values) != 4 or list(values) != sorted(values):
                raise ValueError("borders are four ascending whole numbers")

    @property
    def too_few(self) -> bool:
        """Whether quintiles were drawn from too few donors to mean much."""
        return not self.fixed and self.n < MIN_DONORS_FOR_QUINTILES

    def sql_params(self) -> dict[str, int]:
        """The named parameters of `RFM_AGAINST_BORDERS_SQL`: ``recency_1`` to ``monetary_4``."""
        values = zip(_DIMENSIONS, (self.recency, self.frequency, self.monetary), strict=True)
        return {f"{name}_{k}": border for name, four in values for k, border in enumerate(four, start=1)}


@dataclass(frozen=True, slots=True)
class Cell:
    """One of the 125 cells and the name its donors go by."""

    code: str
    recency: int
    frequency: int
    monetary: int
    name: str


@dataclass(frozen=True, slots=True)
class RfmScore(Cell):
    """A donor's cell, with what to keep in mind when reading it."""

    flags: tuple[str, ...] = ()


class OverrideInvalid(ValueError):
    """An override of the names that does not cover each cell exactly once; the message repeats no rejected value."""

    def __init__(self, problem: str, *, missing: Iterable[str] = (), double: Iterable[str] = ()) -> None:
        super().__init__(problem)
        self.missing = tuple(missing)
        self.double = tuple(double)


def score(values: Sequence[int]) -> list[int]:
    """floor(5 * #{values below v} / N) + 1 for each value, in the order given."""
    ascending = sorted(values)
    return [5 * bisect_left(ascending, value) // len(ascending) + 1 for value in values]


def borders(values: Iterable[int]) -> FourBorders:
    """The ceil(kN/5)-th smallest value for k = 1..4; `ValueError` when there are none."""
    ascending = sorted(values)
    n = len(ascending)
    if not n:
        raise ValueError("no donors, no borders")
    first, second, third, fourth = (ascending[(k * n + 4) // 5 - 1] for k in range(1, 5))
    return first, second, third, fourth


def score_against(value: int, four: FourBorders) -> int:
    """1 + the number of borders the value exceeds; equal to `score` when the borders come from the same values."""
    return 1 + sum(value > border for border in four)


def recency_scores(days: Sequence[int]) -> list[int]:
    """R = 6 - score(days since the last gift) for each donor."""
    return [6 - points for points in score(days)]


def values_of(summary: DonorSummary, *, monetary_basis: MonetaryBasis = "sum") -> RfmValues | None:
    """What is scored of a donor: the summary made with the organization's look-back. None without a counted gift.

    A donor whose gifts all lack a rate has M value 0 and, in `cell`, the flag that says so.
    """
    days = summary.days_since_last_gift
    if days is None:
        return None
    money = summary.total_given if monetary_basis == "sum" else (summary.average_gift or 0)
    return RfmValues(days, summary.gift_count, money)


def borders_of(donors: Sequence[RfmValues]) -> RfmBorders | None:
    """The quintile borders of a rebuild; None when no donor has a gift."""
    if not donors:
        return None
    return RfmBorders(
        n=len(donors),
        recency=borders(donor.days_since_last_gift for donor in donors),
        frequency=borders(donor.gift_count for donor in donors),
        monetary=borders(donor.monetary_value for donor in donors),
    )


def fixed_borders(*, recency: FourBorders, frequency: FourBorders, monetary: FourBorders) -> RfmBorders:
    """Configured cut-points in place of quintiles, each list ascending (days, gifts, minor units)."""
    return RfmBorders(0, recency, frequency, monetary, fixed=True)


def borders_from_row(row: Mapping[str, Any]) -> RfmBorders | None:
    """The borders in the one row of `RFM_BORDERS_SQL` (any driver's whole number, ``Decimal`` too); None for no
    donors."""
    if not row["n"]:
        return None
    recency, frequency, monetary = (_four(row, name) for name in _DIMENSIONS)
    return RfmBorders(int(row["n"]), recency, frequency, monetary)


def _four(row: Mapping[str, Any], name: Dimension) -> FourBorders:
    first, second, third, fourth = (int(row[f"{name}_{k}"]) for k in range(1, 5))
    return first, second, third, fourth


def cell(
    days_since_last_gift: int,
    gift_count: int,
    monetary_value: int,
    stored: RfmBorders,
    *,
    names: Mapping[str, str] | None = None,
    gifts_without_rate: int = 0,
) -> RfmScore:
    """The donor's cell against stored borders, named by ``names`` (an organization's override as `validate_override`
    returned it; None = the default table). ``gifts_without_rate`` is the summary's count of gifts missing from M."""
    recency = 6 - score_against(days_since_last_gift, stored.recency)
    frequency = score_against(gift_count, stored.frequency)
    money = score_against(monetary_value, stored.monetary)
    code = f"{recency}{frequency}{money}"
    flags = []
    if stored.too_few:
        flags.append(TOO_FEW_FOR_QUINTILES)
    if gifts_without_rate:
        flags.append(GIFTS_WITHOUT_RATE)
    name = (default_names() if names is None else names)[code]
    return RfmScore(code, recency, frequency, money, name, tuple(flags))


@lru_cache(maxsize=1)
def default_names() -> Mapping[str, str]:
    """Code ("111" to "555") to one of the 11 names, by the enumerated list bundled as ``rfm_cells.csv``."""
    text = resources.files("crm_api.scoring").joinpath("rfm_cells.csv").read_text(encoding="utf-8")
    return MappingProxyType({row["cell"]: row["segment"] for row in csv.DictReader(text.splitlines())})


def cells(names: Mapping[str, str] | None = None) -> list[Cell]:
    """All 125 cells with their names, from 111 to 555."""
    table = default_names() if names is None else names
    return [Cell(code, int(code[0]), int(code[1]), int(code[2]), table[code]) for code in sorted(table)]


def validate_override(override: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """An organization's own names, checked: ``{"Champions": ["555", "554", ...], ...}`` becomes code -> name.

    Any names will do (1 to 60 characters, no control characters, no blank at the ends), but each of the 125 cells
    must be listed exactly once. `OverrideInvalid` names the missing and the doubled cells; of malformed input it
    tells only the place.
    """
    if not isinstance(override, Mapping):
        raise OverrideInvalid("an override maps each name to a list of cells")
    listed: list[tuple[str, str]] = []
    for place, (name, codes) in enumerate(override.items(), start=1):
        listed.extend((code, name) for code in _codes(place, name, codes))
    times = Counter(code for code, _ in listed)
    missing = [code for code in default_names() if code not in times]
    double = sorted(code for code, count in times.items() if count > 1)
    if missing or double:
        parts = [f"{word}: {', '.join(them)}" for word, them in (("missing", missing), ("double", double)) if them]
        raise OverrideInvalid(
            "each cell must be listed exactly once; " + "; ".join(parts), missing=missing, double=double
        )
    return dict(sorted(listed))


def _codes(place: int, name: object, codes: object) -> list[str]:
    """The cells of one entry of an override, checked for their shape."""
    if not _is_name(name):
        raise OverrideInvalid(f"entry {place}: a name has 1 to {MAX_NAME_LENGTH} characters, none of them a control")
    if not isinstance(codes, (list, tuple)):
        raise OverrideInvalid(f"entry {place}: the cells of a name are a list")
    if not all(isinstance(code, str) and re.fullmatch("[1-5]{3}", code) for code in codes):
        raise OverrideInvalid(f"entry {place}: a cell is written with three digits from 1 to 5")
    return list(codes)


def _is_name(name: object) -> bool:
    """Format characters pass (Persian and emoji need joiners); controls and lone surrogates do not."""
    if not isinstance(name, str) or not 1 <= len(name) <= MAX_NAME_LENGTH or name != name.strip():
        return False
    return not any(unicodedata.category(character) in {"Cc", "Cs"} for character in name)
