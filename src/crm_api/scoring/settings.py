"""What an organization sets about scores: how RFM is drawn, and how lifetime values are reckoned."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field
from sqlalchemy import text

from crm_api.audit.service import record
from crm_api.kit.db import ReadSession, WriteSession, prepare
from crm_api.kit.problems import FieldError, Invalid
from crm_api.kit.schemas import Input, Money, Output
from crm_api.kit.updates import check_version
from crm_api.outbox.service import emit
from crm_api.scoring import ltv
from crm_api.scoring.calculator import DecimalText
from crm_api.scoring.facts import RfmSettingsChanged
from crm_api.scoring.rfm import (
    MIN_DONORS_FOR_QUINTILES,
    FourBorders,
    MonetaryBasis,
    OverrideInvalid,
    RfmBorders,
    fixed_borders,
    validate_override,
)
from crm_api.scoring.status import Days, DonorStatus

DonorMethod = Literal["predicted_giving", "arpu_lifetime", "multiplicative", "margin_churn", "npv"]
_LOCK = prepare(text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))"))
_GET = prepare(text("SELECT * FROM scoring_settings WHERE organization_id = :organization_id AND part = :part"))
_PUT = prepare(
    text(
        "INSERT INTO scoring_settings (organization_id, part, content, version, updated_at) "
        "VALUES (:organization_id, :part, CAST(:content AS jsonb), :version, :now) "
        "ON CONFLICT (organization_id, part) DO UPDATE SET content = excluded.content, version = excluded.version, "
        "updated_at = excluded.updated_at"
    )
)
Ascending = Annotated[list[Annotated[int, Field(ge=0, le=2**53 - 1)]], Field(min_length=4, max_length=4)]
Cell = Annotated[str, Field(pattern=r"^[1-5]{3}$")]


class CutPoints(Input):
    """Values a donor must exceed for 2, 3, 4 and 5: days since the last gift (5 is the fewest), gifts, minor units."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"recency": [30, 90, 180, 365], "frequency": [1, 2, 4, 8], "monetary": [1000, 5000, 10000, 50000]}
            ]
        }
    )

    recency: Ascending
    frequency: Ascending
    monetary: Ascending


class RfmSettings(Input):
    """How RFM is drawn; what is left out takes its default."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"look_back_days": 1825, "monetary": "average"}]})

    look_back_days: Days | None = None
    """Only gifts of so many days count; all of them when null."""
    monetary: MonetaryBasis = "sum"
    cut_points: CutPoints | None = None
    """Used in place of quintiles while there are fewer than 25 donors."""
    names: Annotated[dict[str, Annotated[list[Cell], Field(max_length=125)]], Field(max_length=125)] | None = None
    """Names of your own for the 125 cells, each cell exactly once; the eleven usual names when null."""


class RfmSettingsRead(Output):
    """How RFM is drawn."""

    version: int
    look_back_days: int | None
    monetary: str
    cut_points: dict[str, list[int]] | None
    names: dict[str, list[str]] | None


class BandSetting(Input):
    """A range of LTV:CAC: below this bound, from that of the band before; the last has none."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "healthy", "below": "5"}]})

    name: Annotated[str, Field(min_length=1, max_length=40, pattern=r"^[a-z][a-z0-9_]*$")]
    below: DecimalText | None = None


class LtvSettings(Input):
    """How lifetime values of donors are reckoned, in periods of a year; what is left out takes its default."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"method": "margin_churn", "margin": "0.8", "status_methods": {"major": "npv"}}]
        }
    )

    method: DonorMethod = "predicted_giving"
    status_methods: dict[DonorStatus, DonorMethod] = {}
    """Another method for donors of a status."""
    margin: DecimalText = "1"
    discount_rate: DecimalText = "0"
    lifespan_years: Annotated[int, Field(ge=1, le=100)] = 5
    """Years that `npv` and `multiplicative` look ahead."""
    churn: DecimalText | None = None
    """Yearly churn for everybody; each donor's own churn risk when null."""
    service_cost_per_year: Money | None = None
    """What serving a donor costs; taken off in `net`."""
    bands: Annotated[list[BandSetting], Field(min_length=1, max_length=10)] | None = None
    """Ranges of LTV:CAC; loss, weak, healthy, possibly_under_investing at 1, 3 and 5 when null."""


class BandRead(Output):
    """A range of LTV:CAC."""

    name: str
    below: str | None


class LtvSettingsRead(Output):
    """How lifetime values of donors are reckoned."""

    version: int
    method: str
    status_methods: dict[str, str]
    margin: str
    discount_rate: str
    lifespan_years: int
    churn: str | None
    service_cost_per_year: Money | None
    bands: list[BandRead]


@dataclass(frozen=True, slots=True)
class Rfm:
    """RFM as an organization draws it."""

    look_back_days: int | None = None
    monetary: MonetaryBasis = "sum"
    cut_points: RfmBorders | None = None
    names: Mapping[str, str] | None = None
    """Cell → name; None for the usual ones."""

    def effective(self, borders: RfmBorders | None) -> RfmBorders | None:
        """The borders to score against: the fixed ones where there are fewer donors than quintiles need."""
        if borders is not None and self.cut_points is not None and borders.n < MIN_DONORS_FOR_QUINTILES:
            return self.cut_points
        return borders


def rfm_of(settings: Mapping[str, Any]) -> Rfm:
    """RFM by stored settings (`Standing.settings`)."""
    stored = settings.get("rfm")
    if stored is None:
        return Rfm()
    content = stored["content"]
    names = content["names"]
    return Rfm(
        look_back_days=content["look_back_days"],
        monetary=content["monetary"],
        cut_points=_fixed(content["cut_points"]),
        names=None if names is None else {cell: name for name, cells in names.items() for cell in cells},
    )


def _fixed(points: Mapping[str, list[int]] | None) -> RfmBorders | None:
    if points is None:
        return None
    four: dict[str, FourBorders] = {name: (v[0], v[1], v[2], v[3]) for name, v in points.items()}
    return fixed_borders(recency=four["recency"], frequency=four["frequency"], monetary=four["monetary"])


def ltv_of(settings: Mapping[str, Any]) -> LtvSettings:
    """How lifetime values are reckoned by stored settings (`Standing.settings`)."""
    stored = settings.get("ltv")
    return LtvSettings() if stored is None else LtvSettings.model_validate(stored["content"], strict=False)


def bands_of(settings: LtvSettings) -> tuple[ltv.Band, ...]:
    """The ranges of LTV:CAC."""
    if settings.bands is None:
        return ltv.BANDS
    return tuple(ltv.Band(one.name, None if one.below is None else Fraction(one.below)) for one in settings.bands)


async def _stored(session: ReadSession, part: str) -> dict[str, Any]:
    row = await session.fetch_row(_GET, part=part)
    return {} if row is None else {part: {"version": row["version"], "content": row["content"]}}


async def get_rfm(session: ReadSession) -> dict[str, Any]:
    """How RFM is drawn, as the API shows it."""
    stored = (await _stored(session, "rfm")).get("rfm")
    content = RfmSettings().model_dump() if stored is None else stored["content"]
    return {"version": 1 if stored is None else stored["version"], **content}


async def get_ltv(session: ReadSession) -> dict[str, Any]:
    """How lifetime values are reckoned, as the API shows it."""
    stored = await _stored(session, "ltv")
    found = ltv_of(stored)
    bands = [{"name": one.name, "below": None if one.below is None else _decimal(one.below)} for one in bands_of(found)]
    return {**found.model_dump(), "bands": bands, "version": stored["ltv"]["version"] if stored else 1}


async def ltv_settings(session: ReadSession) -> LtvSettings:
    """The settings of lifetime values in force."""
    return ltv_of(await _stored(session, "ltv"))


def _decimal(value: Fraction) -> str:
    return ltv.rounded(value, 12).rstrip("0").rstrip(".")


async def _save(session: WriteSession, part: str, content: dict[str, Any], expected: int | None) -> None:
    await session.fetch(_LOCK, name=f"{session.organization_id}:scoring_settings:{part}")
    before = (await _stored(session, part)).get(part, {"version": 1})
    check_version(before["version"], expected)
    version = before["version"] + 1
    await session.execute(_PUT, part=part, content=content, version=version, now=session.now)
    record(session, f"scoring_settings.{part}_changed", "scoring_settings", part)


async def put_rfm(session: WriteSession, body: RfmSettings, *, expected: int | None) -> dict[str, Any]:
    """Draw RFM another way; the worker scores everybody anew."""
    errors = []
    for name, values in (body.cut_points.model_dump() if body.cut_points else {}).items():
        if values != sorted(values):
            said = "Cut-points ascend: each is at least the one before."
            errors.append(FieldError(f"/cut_points/{name}", "not_ascending", said))
    if body.names is not None:
        try:
            validate_override(body.names)
        except OverrideInvalid as error:
            errors.append(FieldError("/names", "cells_not_covered_once", f"{error}."[:1000]))
    if errors:
        raise Invalid("RFM cannot be drawn this way; see errors.", errors=errors)
    await _save(session, "rfm", body.model_dump(), expected)
    emit(session, RfmSettingsChanged())
    return await get_rfm(session)


async def put_ltv(session: WriteSession, body: LtvSettings, *, expected: int | None) -> dict[str, Any]:
    """Reckon lifetime values another way."""
    errors = []
    if Fraction(body.discount_rate) <= -1:
        errors.append(FieldError("/discount_rate", "out_of_range", "A discount rate is above -1."))
    if Fraction(body.margin) > 1:
        errors.append(FieldError("/margin", "out_of_range", "A margin is at most 1."))
    if body.churn is not None and not 0 < Fraction(body.churn) <= 1:
        errors.append(FieldError("/churn", "out_of_range", "A churn lies above 0 and is at most 1."))
    cost = body.service_cost_per_year
    if cost is not None and (cost.currency != session.tenant.currency or cost.amount < 0):
        said = "The cost is in the organization's currency and not below 0."
        errors.append(FieldError("/service_cost_per_year", "out_of_range", said))
    bounds = [None if one.below is None else Fraction(one.below) for one in body.bands or ()]
    inner = [bound for bound in bounds[:-1] if bound is not None]
    if bounds and (bounds[-1] is not None or len(inner) < len(bounds) - 1 or inner != sorted(set(inner))):
        said = "Each band has a bound above that of the one before; the last has none."
        errors.append(FieldError("/bands", "not_ascending", said))
    if errors:
        raise Invalid("Lifetime values cannot be reckoned this way; see errors.", errors=errors)
    await _save(session, "ltv", body.model_dump(), expected)
    return await get_ltv(session)
