"""What clients send and get of relationships and their types."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal
from uuid import UUID

from pydantic import ConfigDict, Field, StringConstraints

from crm_api.kit.schemas import Input, Language, LongText, Name, NotNull, Output, Versioned

End = Literal["person", "organization", "any"]
TypeCode = Annotated[
    str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,62}$", max_length=63), Field(examples=["employee"])
]
Position = Annotated[int, Field(ge=0, le=10_000, description="Where it stands in lists, 0 first.")]


class RelationshipNames(Input):
    """How a relationship is called from each side in one language."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"name": "хрещений батько / мати", "reciprocal_name": "похресник / похресниця"}]
        }
    )

    name: Name
    reciprocal_name: Name


Names = Annotated[
    dict[Language, RelationshipNames], Field(max_length=50, json_schema_extra={"additionalProperties": False})
]


class RelationshipTypeCreate(Input):
    """A type of relationship. "from" is `name` "to"; "to" is `reciprocal_name` "from". The same name from both sides
    makes it symmetric. Affiliations (`kind`) lead to an organization."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "code": "godparent",
                    "kind": "personal",
                    "name": "godparent of",
                    "reciprocal_name": "godchild of",
                    "names": {"uk": {"name": "хрещений батько / мати", "reciprocal_name": "похресник / похресниця"}},
                }
            ]
        }
    )

    code: TypeCode
    kind: Literal["personal", "affiliation"] = "personal"
    from_kind: End = "person"
    to_kind: Annotated[End | None, Field(description="By default a person, of an affiliation an organization.")] = None
    name: Name
    reciprocal_name: Name
    names: Names = {}
    position: Position = 100


class RelationshipTypePatch(Input):
    """Changes to a type (JSON merge patch). An archived one gives no new relationships."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "godparent of", "status": "active"}]})

    name: Annotated[Name | None, NotNull] = None
    reciprocal_name: Annotated[Name | None, NotNull] = None
    names: Annotated[Names | None, NotNull] = None
    position: Annotated[Position | None, NotNull] = None
    status: Annotated[Literal["active", "archived"] | None, NotNull] = None


class RelationshipNamesRead(Output):
    """How a relationship is called from each side in one language."""

    name: str
    reciprocal_name: str


class RelationshipTypeRead(Versioned):
    """A type of relationship."""

    code: str
    kind: str
    from_kind: str
    to_kind: str
    is_symmetric: bool
    name: str
    reciprocal_name: str
    names: dict[str, RelationshipNamesRead]
    position: int
    status: str


class RelationshipTypePage(Output):
    """A page of types."""

    data: list[RelationshipTypeRead]
    has_more: bool
    next_cursor: str | None
    total: int | None = None


_PRIMARY = "A person has at most one; a new one takes the place of the one before."


class RelationshipCreate(Input):
    """A new relationship: `from_contact_id` is *`type`'s name* `to_contact_id`. `job_title` and `is_primary` belong to
    affiliations."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "type": "employee",
                    "from_contact_id": "01938d6e-5a00-7000-8000-000000000001",
                    "to_contact_id": "01938d6e-5a00-7000-8000-000000000002",
                    "since": "2024-03-01",
                    "until": "2026-06-30",
                    "job_title": "Head of partnerships",
                }
            ]
        }
    )

    type: TypeCode
    from_contact_id: UUID
    to_contact_id: UUID
    since: date | None = None
    until: Annotated[date | None, Field(description="The last day; null while it lasts.")] = None
    note: LongText | None = None
    job_title: Name | None = None
    is_primary: Annotated[bool, Field(description=_PRIMARY)] = False


class RelationshipPatch(Input):
    """Changes to a relationship (JSON merge patch). Its contacts and type are for good."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"job_title": "Director", "since": "2024-03-01"}]})

    since: date | None = None
    until: date | None = None
    note: LongText | None = None
    job_title: Name | None = None
    is_primary: Annotated[bool | None, NotNull, Field(description=_PRIMARY)] = None


class RelationshipRead(Versioned):
    """A relationship. `name` reads it from `from_contact_id` ("parent of"), `reciprocal_name` from `to_contact_id`
    ("child of"), in the organization's language where the type has it."""

    type: str
    type_id: UUID
    kind: str
    from_contact_id: UUID
    from_name: str
    to_contact_id: UUID
    to_name: str
    name: str
    reciprocal_name: str
    since: date | None
    until: date | None
    note: str | None
    job_title: str | None
    is_primary: bool


class RelationshipPage(Output):
    """A page of relationships."""

    data: list[RelationshipRead]
    has_more: bool
    next_cursor: str | None
    total: int | None = None
