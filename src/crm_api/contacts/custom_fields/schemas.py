"""What clients send and get of custom fields."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, StringConstraints, model_validator

from crm_api.kit import rules
from crm_api.kit.schemas import Input, Language, LongText, Name, NotNull, Output, Versioned

MOST_CHOICES = 500
Type = Literal["text", "number", "date", "choice", "multi_choice", "boolean", "money", "reference"]
Sensitivity = Literal["internal", "donor_sensitive", "beneficiary_sensitive"]
Resource = Literal["contacts"]
Key = Annotated[
    str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,62}$", max_length=63), Field(examples=["shirt_size"])
]
ChoiceCode = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$", max_length=63)]
CLOSED = {"additionalProperties": False}
Labels = Annotated[
    dict[Language, Name], Field(max_length=50, description="The label in other languages.", json_schema_extra=CLOSED)
]
Position = Annotated[int, Field(ge=0, le=10_000, description="Where it stands in forms, 0 first.")]


class CustomFieldChoice(Input):
    """One choice. A retired one stays valid where it is held and cannot be chosen anew."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"code": "m", "label": "Medium", "labels": {"uk": "Середній"}}]}
    )

    code: ChoiceCode
    label: Name
    labels: Labels = {}
    retired: bool = False


def _once_each(choices: list[CustomFieldChoice]) -> list[CustomFieldChoice]:
    if len({choice.code for choice in choices}) != len(choices):
        raise ValueError("must not hold a code twice")
    return choices


def _named_by_its_code(choice: Any) -> Any:
    return {"code": choice, "label": choice} if isinstance(choice, str) else choice


Choice = Annotated[
    CustomFieldChoice, BeforeValidator(_named_by_its_code, json_schema_input_type=CustomFieldChoice | ChoiceCode)
]
"""A choice, or its code alone, which is its label then."""
Choices = Annotated[list[Choice], Field(max_length=MOST_CHOICES), AfterValidator(_once_each)]


class CustomFieldCreate(Input):
    """A new field. `resource`, `key` and `type` are for good. A choice can be sent as its code alone."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "resource": "contacts",
                    "key": "shirt_size",
                    "label": "Shirt size",
                    "labels": {"uk": "Розмір футболки"},
                    "type": "choice",
                    "choices": [{"code": "s", "label": "Small"}, {"code": "m", "label": "Medium"}],
                    "filterable": True,
                },
                {"key": "languages", "label": "Languages", "type": "multi_choice", "choices": ["uk", "en"]},
            ],
            **rules.where(
                "type",
                ["choice", "multi_choice"],
                {"required": ["choices"], "properties": {"choices": {"minItems": 1}}},
                {"properties": {"choices": {"maxItems": 0}}},
            ),
        }
    )

    resource: Resource = "contacts"
    key: Key
    label: Name
    labels: Labels = {}
    type: Type
    choices: Choices = []
    required: bool = False
    filterable: bool = False
    sensitivity: Sensitivity = "internal"
    description: LongText | None = None
    position: Position = 0

    @model_validator(mode="after")
    def _choices_belong_to_choices(self) -> CustomFieldCreate:
        if self.type in {"choice", "multi_choice"} and not self.choices:
            raise ValueError(f"a {self.type} field needs choices")
        if self.type not in {"choice", "multi_choice"} and self.choices:
            raise ValueError(f"a {self.type} field has no choices")
        return self


class CustomFieldPatch(Input):
    """Changes to a field (JSON merge patch). `choices` is replaced whole; a choice that was offered is retired, not
    left out. `status` archives the field or restores it. `labels` is merged."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"label": "T-shirt size", "filterable": True}]})

    label: Annotated[Name | None, NotNull] = None
    labels: Annotated[dict[Language, Name | None], Field(max_length=50, json_schema_extra=CLOSED)] | None = None
    choices: Annotated[Choices | None, NotNull] = None
    required: Annotated[bool | None, NotNull] = None
    filterable: Annotated[bool | None, NotNull] = None
    sensitivity: Annotated[Sensitivity | None, NotNull] = None
    description: LongText | None = None
    position: Annotated[Position | None, NotNull] = None
    status: Annotated[Literal["active", "archived"] | None, NotNull] = None


class CustomFieldChoiceRead(Output):
    """One choice."""

    code: str
    label: str
    labels: dict[str, str]
    retired: bool


class CustomFieldRun(Output):
    """The background work that brings stored values to where the definition wants them: key rows for a filterable
    field, values put apart or archived. `progress` goes from 0 to 1; `reason` says why it failed."""

    id: UUID
    state: str
    progress: float
    reason: str | None


class CustomFieldRead(Versioned):
    """A field. It can be filtered by once `indexing` is ``ready``; that is ``off`` when the field is not filterable,
    and ``indexing`` while its values are being indexed."""

    resource: str
    key: str
    label: str
    labels: dict[str, str]
    type: str
    choices: list[CustomFieldChoiceRead]
    required: bool
    filterable: bool
    indexing: str
    sensitivity: str
    description: str | None
    position: int
    status: str
    run: CustomFieldRun | None


class CustomFieldPage(Output):
    """A page of fields."""

    data: list[CustomFieldRead]
    has_more: bool
    next_cursor: str | None
    total: int | None = None
