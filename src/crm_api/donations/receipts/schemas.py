"""What clients send and get of receipts."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import AfterValidator, ConfigDict, Field, JsonValue, StringConstraints, model_validator

from crm_api.contacts.parts import MonthDay
from crm_api.donations.gifts.schemas import Method
from crm_api.donations.receipts.numbers import valid_prefix
from crm_api.kit.money import MAX_MINOR
from crm_api.kit.schemas import Input, Money, Name, Output, ShortText, Versioned

Kind = Literal["donation", "in_kind", "annual"]
ReceiptLanguage = Literal["en", "uk", "ka", "ru", "ar"]
LegalText = Annotated[str, StringConstraints(min_length=1, max_length=4000)]
Year = Annotated[int, Field(ge=1990, le=2200, strict=True)]


def _prefix(text: str) -> str:
    if not valid_prefix(text):
        raise ValueError("takes letters, digits, - / . and {year}, and ends in no digit, such as {year}-")
    return text


Prefix = Annotated[
    str,
    StringConstraints(min_length=1, max_length=40),
    AfterValidator(_prefix),
    Field(examples=["{year}-"], json_schema_extra={"pattern": r"^([A-Za-z0-9./-]|\{year\})*[A-Za-z./-]$"}),
]


class ReceiptPrefixes(Input):
    """What numbers of each kind begin with. Kinds with the same prefix share one series."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"donation": "{year}-", "in_kind": "{year}-K-", "annual": "{year}-A-"}]}
    )

    donation: Prefix = "{year}-"
    in_kind: Prefix = "{year}-K-"
    annual: Prefix = "{year}-A-"


class LegalTexts(Input):
    """What the law wants said on a receipt, by language."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"en": "Registered charity no. 1234567.", "uk": "Неприбуткова організація."}]}
    )

    en: LegalText | None = None
    uk: LegalText | None = None
    ka: LegalText | None = None
    ru: LegalText | None = None
    ar: LegalText | None = None


class ReceiptSettings(Input):
    """How an organization issues receipts. What is left out takes its default: this replaces all of it."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "mode": "per_gift",
                    "automatic": False,
                    "by_email": True,
                    "prefixes": {"donation": "{year}-", "in_kind": "{year}-K-", "annual": "{year}-A-"},
                    "legal_text": {"en": "Registered charity no. 1234567."},
                    "signatory_name": "Iryna Bondar",
                    "signatory_title": "Director",
                    "logo_document_id": None,
                    "minimum_amount": None,
                    "methods": None,
                    "kinds": None,
                    "annual_on": "01-15",
                }
            ]
        }
    )

    mode: Literal["per_gift", "annual", "none"] = "per_gift"
    automatic: bool = False
    """Whether receipts are issued without anybody asking: for each gift, or for the whole year on `annual_on`."""
    by_email: bool = True
    """Whether a receipt is sent to its donor when it is issued."""
    prefixes: ReceiptPrefixes = ReceiptPrefixes()
    legal_text: LegalTexts = LegalTexts()
    signatory_name: Name | None = None
    signatory_title: ShortText | None = None
    logo_document_id: UUID | None = None
    """A PNG or JPEG of at most 500 kB among the documents. It is copied."""
    minimum_amount: Annotated[int, Field(gt=0, le=MAX_MINOR, strict=True)] | None = None
    """In minor units of the organization's currency. Smaller gifts get no receipt by themselves; of a year it is the
    donor's sum that counts."""
    methods: Annotated[list[Method], Field(min_length=1, max_length=9)] | None = None
    """Methods of gifts that receipts are issued for by themselves; null: all."""
    kinds: Annotated[list[Literal["donation", "in_kind"]], Field(min_length=1, max_length=2)] | None = None
    annual_on: MonthDay = "01-15"
    """The day on which annual receipts for the year before are issued, if that happens by itself."""


class ReceiptSettingsRead(ReceiptSettings):
    """How the organization issues receipts."""

    model_config = ConfigDict(strict=False, frozen=False)

    version: int


_ID: dict[str, JsonValue] = {"type": "string", "format": "uuid"}
_NULL: dict[str, JsonValue] = {"type": "null"}


class ReceiptCreate(Input):
    """A receipt for one gift, or for all gifts of a donor in a year that have none yet."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"donation_id": "01938d6e-5a00-7000-8000-000000000002"}],
            "oneOf": [
                {"required": ["donation_id"], "properties": {"donation_id": _ID, "contact_id": _NULL, "year": _NULL}},
                {
                    "required": ["contact_id", "year"],
                    "properties": {
                        "donation_id": _NULL,
                        "contact_id": _ID,
                        "year": {"type": "integer", "maximum": 2200},
                    },
                },
            ],
        }
    )

    donation_id: UUID | None = None
    contact_id: UUID | None = None
    year: Year | None = None
    by_email: bool | None = None
    """Whether it is sent to the donor; left out: as the settings say."""

    @model_validator(mode="after")
    def _one_of_two(self) -> ReceiptCreate:
        single = self.donation_id is not None and self.contact_id is None and self.year is None
        annual = self.donation_id is None and self.contact_id is not None and self.year is not None
        if not (single or annual):
            raise ValueError("give donation_id, or contact_id and year")
        return self


class ReceiptVoid(Input):
    """Why a receipt does not hold any more."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"reason": "The name was misspelt"}]})

    reason: Name


class ReceiptReissue(Input):
    """A receipt issued anew, with the names, the address and the amounts of today."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"reason": "New address", "by_email": True}]})

    reason: Name | None = None
    by_email: bool | None = None


class ReceiptTotal(Output):
    """What a receipt is for, in one currency."""

    amount: Money
    deductible: Money


class ReceiptLineRead(Output):
    """A gift on a receipt, as of issue."""

    donation_id: UUID
    gift_date: date
    method: str
    description: str
    amount: Money
    deductible: Money


class ReceiptRead(Versioned):
    """A receipt. A void one keeps its number; `replaced_by` names the receipt that was issued in its place.

    `void_cause`: `staff` (by hand), `reissued` (replaced), `gift_changed` (the gift was refunded, disputed or given to
    another donor).
    """

    number: str
    kind: str
    status: str
    year: int
    contact_id: UUID
    issued_on: date
    issued_at: datetime
    language: str
    specimen: bool
    by_email: bool
    totals: list[ReceiptTotal]
    replaces: UUID | None
    replaced_by: UUID | None
    voided_at: datetime | None
    void_cause: str | None
    void_reason: str | None
    run_id: UUID | None
    verify_url: str


class ReceiptWhole(ReceiptRead):
    """A receipt with the gifts it covers."""

    lines: list[ReceiptLineRead]


class ReceiptPage(Output):
    """A page of receipts."""

    data: list[ReceiptRead]
    has_more: bool
    next_cursor: str | None
    total: int | None = None


class AnnualRunCreate(Input):
    """Annual receipts for every donor of a year."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"year": 2026}]})

    year: Year


class AnnualRunTotal(Output):
    """What the receipts of a run are for, in one currency."""

    amount: Money


class AnnualRunRead(Versioned):
    """Annual receipts being issued. `donors` have gifts in that year; `skipped` ones have no gift without a receipt,
    have an annual receipt already, or gave less than the smallest sum."""

    year: int
    state: str
    progress: float
    donors: int
    receipts: int
    skipped: int
    totals: list[AnnualRunTotal]
    reason: str | None
    finished_at: datetime | None


class AnnualRunPage(Output):
    """A page of annual runs."""

    data: list[AnnualRunRead]
    has_more: bool
    next_cursor: str | None
    total: int | None = None


class ReceiptCheck(Output):
    """All that the public learns of a receipt: whether it holds, when and by whom it was issued."""

    status: Literal["valid", "void", "unknown"]
    issued_on: date | None
    organization: str | None
    specimen: bool
