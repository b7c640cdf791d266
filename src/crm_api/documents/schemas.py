"""What clients send and get of documents."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import ConfigDict, Field

from crm_api.kit.schemas import Input, Name, NotNull, Output, Versioned

DocumentKind = Literal["identity", "contract", "consent", "receipt", "report", "medical", "photo", "letter", "other"]
Sensitivity = Literal["internal", "donor_sensitive", "beneficiary_sensitive"]
ExpiresOn = Annotated[
    date,
    Field(ge=date(1900, 1, 1), le=date(2199, 12, 31), json_schema_extra={"pattern": "^(19|20|21)[0-9]{2}-"}),
]
RemindDays = Annotated[int, Field(ge=0, le=366)]


class DocumentUpload(Input):
    """A file for a contact. Its content must be of an allowed type, and its name and declared type must agree with it:
    PDF, PNG, JPEG, GIF, WebP, TIFF, Word, Excel, PowerPoint, OpenDocument, plain text, CSV."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "contact_id": "01938d6e-5a00-7000-8000-000000000001",
                    "title": "Passport",
                    "kind": "identity",
                    "sensitivity": "donor_sensitive",
                    "expires_on": "2027-03-01",
                    "remind_days": 30,
                }
            ]
        }
    )

    contact_id: UUID
    title: Name | None = None
    """How people call it; the file's name where it is left out."""
    kind: DocumentKind = "other"
    sensitivity: Sensitivity = "internal"
    expires_on: ExpiresOn | None = None
    remind_days: RemindDays = 30
    owner_member_id: UUID | None = None
    """Who is reminded; whoever uploads it, where that is a member."""


class DocumentPatch(Input):
    """Changes to a document (JSON merge patch). Its content stays: another file is another document."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"title": "Passport (new)", "expires_on": "2037-03-01"}]})

    title: Annotated[Name | None, NotNull] = None
    kind: Annotated[DocumentKind | None, NotNull] = None
    sensitivity: Annotated[Sensitivity | None, NotNull] = None
    expires_on: ExpiresOn | None = None
    remind_days: Annotated[RemindDays | None, NotNull] = None
    owner_member_id: UUID | None = None


class DocumentRead(Versioned):
    """A file attached to a contact. The content is read through a link."""

    contact_id: UUID
    owner_member_id: UUID | None
    title: str
    kind: str
    sensitivity: str
    filename: str
    media_type: str
    size: int
    """Bytes."""
    sha256: str
    expires_on: date | None
    remind_days: int


class DocumentPage(Output):
    """A page of documents."""

    data: list[DocumentRead]
    has_more: bool
    next_cursor: str | None
    total: int | None = None


class DocumentLink(Output):
    """An address at which the content can be read without credentials until it ends. Treat it as a secret."""

    url: str
    expires_at: datetime
