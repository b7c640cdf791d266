"""What clients send to a form and get of deliveries."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import ConfigDict, Field, StringConstraints

from crm_api.intake.kinds.reading import LONGEST_ANSWER
from crm_api.intake.sources.schemas import FirstTouch
from crm_api.kit.schemas import Input, Instant, Output, WebAddress

AnswerText = Annotated[str, StringConstraints(max_length=LONGEST_ANSWER)]


class FormSubmission(Input):
    """A filled-in form, sent with a publishable key from a page, or with a secret one from a server."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "answers": {
                        "name": "Олена Ковальчук",
                        "email": "olena@example.org",
                        "phone": "050 123 45 67",
                        "help": ["Переклад", "Логістика"],
                        "consent": "Так",
                    },
                    "form_title": "Хочу допомогти",
                    "page_url": "https://fund.example/help",
                    "source": {"utm_source": "instagram"},
                }
            ]
        }
    )

    answers: Annotated[
        dict[
            Annotated[str, StringConstraints(min_length=1, max_length=200)],
            AnswerText | Annotated[list[AnswerText], Field(max_length=100)],
        ],
        Field(min_length=1, max_length=100, description="By the form's field names, mapped as the source says."),
    ]
    form_title: Annotated[str, StringConstraints(max_length=300)] | None = None
    page_url: WebAddress | None = None
    source: FirstTouch | None = None
    submitted_at: Instant | None = None


class SubmissionTaken(Output):
    """The form is stored; it is handled in a moment."""

    id: UUID
    state: str


class IntakeTaken(Output):
    """The delivery is stored; it is handled in a moment. A repeated delivery gets the same answer."""

    status: str


class IntakeDelivery(Output):
    """What a source sent, and what became of it; never its content.

    States: `received` (waits for the worker), `handled`, `ignored` (changes nothing, see `reason`), `unmatched` (names
    nobody who could be found or made), `failed` (see `reason`; replay it when that is mended).
    """

    id: UUID
    source_id: UUID
    kind: str
    delivery_key: str
    event_type: str
    state: str
    reason: str | None
    contact_id: UUID | None
    interaction_id: UUID | None
    occurred_at: datetime | None
    received_at: datetime
    handled_at: datetime | None


class IntakeDeliveryPage(Output):
    """A page of deliveries."""

    data: list[IntakeDelivery]
    has_more: bool
    next_cursor: str | None
    total: int | None = None
