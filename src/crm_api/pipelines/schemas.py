"""What clients send and get of pipelines and stages."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import AfterValidator, ConfigDict, Field, model_validator

from crm_api.kit.schemas import Input, Name, NotNull, Output, Versioned

MAX_STAGES = 50
Kind = Literal["major_gifts", "grants", "partnerships", "volunteers", "aid", "other"]
Outcome = Literal["open", "won", "lost"]
CERTAIN = {"won": 100, "lost": 0}
_CHANCE = "Percent; won is always 100, lost always 0, null not estimated."
_PLACE = "Where it goes, 0 first; the ones from there move on. At the end when not given."


class StageNew(Input):
    """A stage of a new pipeline."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "Application sent", "probability": 40}]})

    name: Name
    outcome: Outcome = "open"
    probability: Annotated[int, Field(ge=0, le=100, description=_CHANCE)] | None = None

    @model_validator(mode="after")
    def _certain(self) -> StageNew:
        if self.probability is not None and self.probability != CERTAIN.get(self.outcome, self.probability):
            raise ValueError(f"a {self.outcome} stage has the probability {CERTAIN[self.outcome]}")
        return self

    def chance(self) -> int | None:
        """The probability as stored; null where nobody has estimated it."""
        return CERTAIN.get(self.outcome, self.probability)


class StageCreate(StageNew):
    """A stage added to a pipeline."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"name": "Site visit", "probability": 40, "position": 2}]}
    )

    position: Annotated[int, Field(ge=0, le=MAX_STAGES, description=_PLACE)] | None = None


def _can_begin(stages: list[StageNew]) -> list[StageNew]:
    if all(stage.outcome != "open" for stage in stages):
        raise ValueError("at least one stage must be open, so that deals can begin")
    return stages


Stages = Annotated[list[StageNew], Field(min_length=1, max_length=MAX_STAGES), AfterValidator(_can_begin)]


class PipelineCreate(Input):
    """A new pipeline. Without `stages` it gets those of moves management, from identify to steward and lost."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "name": "Foundation grants",
                    "kind": "grants",
                    "stages": [
                        {"name": "Research", "probability": 10},
                        {"name": "Application sent", "probability": 40},
                        {"name": "Awarded", "outcome": "won"},
                        {"name": "Declined", "outcome": "lost"},
                    ],
                }
            ]
        }
    )

    name: Name
    kind: Kind = "other"
    stages: Stages | None = None


class PipelinePatch(Input):
    """Changes to a pipeline (JSON merge patch)."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "Foundation grants", "status": "active"}]})

    name: Annotated[Name | None, NotNull] = None
    kind: Annotated[Kind | None, NotNull] = None
    status: Annotated[Literal["active", "archived"] | None, NotNull] = None


class StageRead(Output):
    """A stage. `probability` is in percent, null where nobody has estimated it."""

    id: UUID
    pipeline_id: UUID
    name: str
    position: int
    outcome: str
    probability: int | None
    created_at: datetime


class PipelineSummary(Versioned):
    """A pipeline without its stages."""

    name: str
    kind: str
    status: str


class PipelineRead(PipelineSummary):
    """A pipeline with its stages in order."""

    stages: list[StageRead]


class PipelinePage(Output):
    """A page of pipelines."""

    data: list[PipelineSummary]
    has_more: bool
    next_cursor: str | None
    total: int | None = None


class StagePage(Output):
    """A page of stages."""

    data: list[StageRead]
    has_more: bool
    next_cursor: str | None
    total: int | None = None
