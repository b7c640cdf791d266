"""What clients send and get of segments."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import ConfigDict, Field, JsonValue

from crm_api.kit.schemas import Input, LongText, Name, NotNull, Output, Versioned

Rule = Annotated[
    dict[str, JsonValue],
    Field(
        min_length=1,
        max_length=6,
        description="A tree of `all`, `any` and `not` over tests: `field`, `op`, `value`; or `related` with `where`, "
        "`aggregate`, `field`, `op`, `value`. `GET /v1/segments/fields` lists what can be asked about.",
    ),
]


class SegmentCreate(Input):
    """A new segment: dynamic with a rule, or static without."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"name": "Slipping away", "rule": {"field": "language", "value": "uk"}}]}
    )

    name: Name
    description: LongText | None = None
    rule: Rule | None = None
    """Who belongs to it. Without one the segment is static: its members are added by hand."""


class SegmentPatch(Input):
    """Changes to a segment (JSON merge patch). A static segment takes no rule, a dynamic one keeps one."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "Slipping away, to be called"}]})

    name: Annotated[Name | None, NotNull] = None
    description: LongText | None = None
    rule: Annotated[Rule | None, NotNull] = None
    status: Annotated[Literal["active", "archived"] | None, NotNull] = None


class SegmentRead(Versioned):
    """A segment."""

    name: str
    description: str | None
    kind: str
    rule: dict[str, JsonValue] | None
    reads: list[str]
    """Sources the rule looks at: it is looked at anew, for the contacts concerned, when one of them changes."""
    moves_with_time: bool
    status: str
    state: str
    """Of the last reckoning of everybody: queued, running, succeeded, failed."""
    reason: str | None
    size: int
    computed_at: datetime | None


class SegmentPage(Output):
    """A page of segments."""

    data: list[SegmentRead]
    has_more: bool
    next_cursor: str | None
    total: int | None = None


class SegmentMemberRead(Output):
    """Somebody in a segment."""

    contact_id: UUID
    display_name: str
    entered_at: datetime


class SegmentMemberPage(Output):
    """A page of a segment's members, by contact id."""

    data: list[SegmentMemberRead]
    has_more: bool
    next_cursor: str | None
    total: int | None = None


class MembersChange(Input):
    """Contacts to add to a static segment, or to take out of it."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"contact_ids": ["01938d6e-5a00-7000-8000-000000000001"]}]}
    )

    contact_ids: Annotated[list[UUID], Field(min_length=1, max_length=1_000)]


class MembersChanged(Output):
    """How many came in or went out; the others were where they are already."""

    changed: int


class ChangeRead(Output):
    """Somebody entered or left."""

    contact_id: UUID
    change: str
    changed_at: datetime


class ChangePage(Output):
    """A page of who came and went, newest first."""

    data: list[ChangeRead]
    has_more: bool
    next_cursor: str | None
    total: int | None = None


class SizeRead(Output):
    """How many were in a segment at the end of a reckoning of that day."""

    day: date
    size: int


class SizeList(Output):
    """A segment's size over time, oldest first."""

    data: list[SizeRead]


class PreviewRequest(Input):
    """A rule to try."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"rule": {"field": "language", "value": "uk"}, "sample": 3}]}
    )

    rule: Rule
    sample: Annotated[int, Field(ge=0, le=50)] = 10


class SampleContact(Output):
    """A contact the rule holds for."""

    contact_id: UUID
    display_name: str


class PreviewCost(Output):
    """What the rule costs."""

    planned: float
    """By Postgres' own estimate, in its units (a page read in order is 1)."""
    milliseconds: float
    """What finding everybody took just now."""


class PreviewRead(Output):
    """Whom a rule would hold for."""

    count: int
    sample: list[SampleContact]
    reads: list[str]
    moves_with_time: bool
    cost: PreviewCost


class ExplanationRead(Output):
    """Why a contact is in a segment, or is not."""

    segment_id: UUID
    contact_id: UUID
    member: bool
    """Whether it is stored as a member."""
    entered_at: datetime | None
    verdict: bool
    """What the rule says now."""
    tree: dict[str, JsonValue] | None
    """The rule with what each test found (`actual`) and each part's `verdict`; null for a static segment."""
    today: date


class Comparison(Output):
    """Two segments beside each other."""

    a: UUID
    b: UUID
    in_both: int
    only_in_a: int
    only_in_b: int


class FieldRead(Output):
    """A field that rules can test."""

    name: str
    kind: str
    operators: list[str]
    choices: list[str]
    description: str
    scope: str


class RelationRead(Output):
    """Rows that rules can reckon over."""

    name: str
    description: str
    scope: str
    fields: list[FieldRead]


class FieldsRead(Output):
    """Everything that rules can ask about."""

    fields: list[FieldRead]
    related: list[RelationRead]
    aggregates: list[str]


class ContactSegments(Output):
    """The segments a contact is in."""

    data: list[SegmentOfContact]


class SegmentOfContact(Output):
    """A segment a contact is in."""

    segment_id: UUID
    name: str
    entered_at: datetime


ContactSegments.model_rebuild()
