"""What clients send and get of match rules, candidates, the review queue and sweeps."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import ConfigDict, Field

from crm_api.contacts.dedupe.matching import RuleSet
from crm_api.kit.schemas import Code, Input, Output, Versioned

MatchField = Literal[
    "email", "phone", "handle", "given_name", "family_name", "middle_name", "generation", "organization_name",
    "birth_date", "gender", "address", "external_id",
]  # fmt: skip
Least = Literal["agree", "close"]
_DEFAULTS = RuleSet()
Points = Annotated[int, Field(ge=-100, le=100)]


class MatchWeights(Input):
    """What each verdict on a field counts, in decibans: ten more are ten times the odds."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"agree": 22, "close": 10, "differ": -1}]})

    agree: Points
    close: Points
    differ: Points


class DuplicateRule(Input):
    """What must agree, or at least be close, for two contacts to be candidates. With `action` merge, a sweep merges the
    certain ones among them by itself."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"code": "email_and_name", "fields": {"email": "close", "given_name": "close", "family_name": "close"}}
            ]
        }
    )

    code: Code
    fields: Annotated[dict[MatchField, Least], Field(min_length=1, max_length=12)]
    kind: Literal["person", "organization"] = "person"
    action: Literal["queue", "merge"] = "queue"
    active: bool = True


class DuplicateRules(Input):
    """Match rules. `rules` left out are the defaults; `weights` replace the defaults of the fields they name."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "certain": 34,
                    "possible": 18,
                    "rules": [
                        {
                            "code": "email_and_name",
                            "fields": {"email": "close", "given_name": "close", "family_name": "close"},
                        }
                    ],
                }
            ]
        }
    )

    certain: Annotated[int, Field(ge=1, le=200)] = _DEFAULTS.certain
    possible: Annotated[int, Field(ge=1, le=200)] = _DEFAULTS.possible
    largest_block: Annotated[int, Field(ge=2, le=500)] = _DEFAULTS.largest_block
    rules: Annotated[list[DuplicateRule], Field(min_length=1, max_length=50)] | None = None
    weights: Annotated[dict[MatchField, MatchWeights], Field(max_length=12)] = {}


class DuplicateRulesRead(Output):
    """The match rules in force. Version 0 are the defaults."""

    version: int
    certain: int
    possible: int
    largest_block: int
    rules: list[DuplicateRule]
    weights: dict[str, MatchWeights]


class FieldComparison(Output):
    """How one field of two contacts compares: a verdict, what it rests on, and what it weighs. Never a value."""

    field: str
    verdict: str
    reason: str | None
    weight: int


class CandidateRead(Output):
    """A contact that may be the same, with the reasons field by field."""

    contact_id: UUID
    display_name: str
    score: int
    certainty: str
    rules: list[str]
    fields: list[FieldComparison]


class CandidateList(Output):
    """The candidates of one contact, the best first."""

    data: list[CandidateRead]


class DuplicateRead(Versioned):
    """Two contacts that may be one, waiting for somebody to decide."""

    contact_ids: list[UUID]
    state: str
    certainty: str
    score: int
    rules: list[str]
    fields: list[FieldComparison]
    rules_version: int
    origin: str
    merge_id: UUID | None
    decided_at: datetime | None
    decided_by: str | None


class DuplicatePage(Output):
    """A page of the review queue."""

    data: list[DuplicateRead]
    has_more: bool
    next_cursor: str | None
    total: int | None = None


class DuplicateMerge(Input):
    """Which of the two survives. Left out: the older one."""

    model_config = ConfigDict(json_schema_extra={"examples": [{}]})

    survivor_id: UUID | None = None


class SkippedKey(Output):
    """A key that too many contacts share to mean anything."""

    kind: str
    size: int


class SweepRead(Versioned):
    """A search for duplicates over the whole organization."""

    state: str
    origin: str
    progress: float
    pairs_compared: int
    pairs_found: int
    merged: int
    skipped: list[SkippedKey]
    rules_version: int
    reason: str | None
    finished_at: datetime | None


class SweepPage(Output):
    """A page of sweeps."""

    data: list[SweepRead]
    has_more: bool
    next_cursor: str | None
    total: int | None = None
