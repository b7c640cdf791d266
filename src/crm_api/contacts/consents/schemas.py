"""What clients send and get of consent, and of an organization's privacy settings."""

from __future__ import annotations

from datetime import datetime
from ipaddress import ip_address
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AfterValidator, ConfigDict, Field, StringConstraints, model_validator

from crm_api.contacts.consents.policy import PURPOSES
from crm_api.kit import rules
from crm_api.kit.schemas import Code, Input, Instant, Language, LongText, Name, Output, ShortText, WebAddress

Word = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{1,39}$"), Field(examples=["newsletter"])]
"""A purpose or a list, by its code."""
ReachChannel = Literal[
    "email", "phone", "sms", "post", "telegram", "viber", "whatsapp", "signal", "facebook", "instagram"
]
Basis = Literal["consent", "legitimate_interest", "contract", "legal_obligation", "vital_interest", "public_task"]


def _ip(text: str) -> str:
    try:
        return str(ip_address(text))
    except ValueError:
        raise ValueError("is not an IP address") from None


IpAddress = Annotated[
    str,
    StringConstraints(max_length=45),
    AfterValidator(_ip),
    Field(examples=["192.0.2.1"], json_schema_extra={"anyOf": [{"format": "ipv4"}, {"format": "ipv6"}]}),
]


class EvidenceInput(Input):
    """What shows that the person said it. The IP address is stored as a keyed hash only."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"form_url": "https://example.org/join"}]})

    form_url: WebAddress | None = None
    ip: IpAddress | None = None
    user_agent: ShortText | None = None
    document_id: UUID | None = None
    note: ShortText | None = None


class ConsentCreate(Input):
    """Something a person said about being contacted. Left out, `purpose`, `channel` and `list` mean all of them.

    What is `granted` rests on `consent` unless `legal_basis` names another basis. `withdrawn` ends what was granted;
    `objected` also stops what rests on another basis than consent; without a purpose it stops even letters about the
    person's own gifts.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "purpose": "newsletter",
                    "channel": "email",
                    "status": "granted",
                    "legal_basis": "consent",
                    "wording": "I would like to get the newsletter by e-mail.",
                    "wording_version": "2026-03",
                    "language": "en",
                    "source": "website",
                    "evidence": {"form_url": "https://example.org/join"},
                }
            ],
            **rules.all_of(
                rules.where("status", ["withdrawn", "objected"], rules.absent("legal_basis")),
                rules.needs("list", "purpose"),
            ),
        }
    )

    purpose: Word | None = None
    channel: ReachChannel | None = None
    list: Word | None = None
    status: Literal["granted", "withdrawn", "objected"]
    legal_basis: Basis | None = None
    wording: LongText | None = None
    wording_version: Code | None = None
    language: Language | None = None
    source: Annotated[str, StringConstraints(min_length=1, max_length=100)] = "api"
    evidence: EvidenceInput = EvidenceInput()
    at: Instant | None = None

    @model_validator(mode="after")
    def _fits_together(self) -> ConsentCreate:
        if self.status != "granted" and self.legal_basis is not None:
            raise ValueError(f"legal_basis belongs to status granted; leave it out of {self.status}")
        if self.list is not None and self.purpose is None:
            raise ValueError("a list belongs to a purpose: name both")
        return self

    def basis(self) -> str | None:
        """What a grant rests on."""
        return (self.legal_basis or "consent") if self.status == "granted" else None


class EvidenceRead(Output):
    """What shows that the person said it; the IP address only as a keyed hash."""

    form_url: str | None = None
    ip_hash: str | None = None
    user_agent: str | None = None
    document_id: UUID | None = None
    note: str | None = None


class ConsentRead(Output):
    """Something a person said about being contacted. Events are never changed; `is_current` is true for the newest of
    its purpose, channel and list."""

    id: UUID
    contact_id: UUID
    purpose: str | None
    channel: str | None
    list: str | None
    status: str
    legal_basis: str | None
    wording: str | None
    wording_version: str | None
    language: str | None
    source: str
    evidence: EvidenceRead
    recorded_by_kind: str
    recorded_by: str
    at: datetime
    recorded_at: datetime
    is_current: bool


class ConsentPage(Output):
    """A page of consent events."""

    data: list[ConsentRead]
    has_more: bool
    next_cursor: str | None
    total: int | None = None


class CanContact(Output):
    """Whether a person may be contacted, why, and by which event.

    Reasons for yes: `granted` (an event says so), `legal_basis` (the organization's default for the purpose). For no:
    `withdrawn`, `objected`, `no_consent`, `do_not_contact`, `deceased`, `erased`, `no_address`, `address_bouncing`,
    `address_invalid`, `address_opted_out`.
    """

    allowed: bool
    reason: str
    event_id: UUID | None
    legal_basis: str | None
    channel: str
    purpose: str
    list: str | None


class PurposeSetting(Input):
    """A purpose, and the legal basis that holds where a person has said nothing."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"code": "newsletter", "legal_basis": "consent"}]})

    code: Word
    legal_basis: Basis


class ListSetting(Input):
    """A mailing list of a purpose, as people see it when they unsubscribe."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"code": "monthly", "purpose": "newsletter", "name": "Monthly letter"}]}
    )

    code: Word
    purpose: Word
    name: Name


def _each_once(items: list[Any]) -> list[Any]:
    if len({item.code for item in items}) < len(items):
        raise ValueError("must name each code once")
    return items


class PrivacySettings(Input):
    """What the organization contacts people for, its lists, and how many years it keeps what the law asks for."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "purposes": [{"code": "newsletter", "legal_basis": "consent"}],
                    "lists": [{"code": "monthly", "purpose": "newsletter", "name": "Monthly letter"}],
                    "retention_years": 7,
                }
            ]
        }
    )

    purposes: Annotated[list[PurposeSetting], Field(max_length=50), AfterValidator(_each_once)] = []
    lists: Annotated[list[ListSetting], Field(max_length=100), AfterValidator(_each_once)] = []
    retention_years: Annotated[int, Field(ge=1, le=100)] = 7

    @model_validator(mode="after")
    def _known(self) -> PrivacySettings:
        known = {*PURPOSES, *(item.code for item in self.purposes)}
        if any(item.purpose not in known for item in self.lists):
            raise ValueError("each list needs a purpose from purposes or a built-in one")
        return self


class PrivacySettingsRead(Output):
    """The organization's privacy settings, the built-in purposes among them."""

    purposes: list[PurposeSetting]
    lists: list[ListSetting]
    retention_years: int
