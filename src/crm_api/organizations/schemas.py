"""What clients send and get of their organization."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from email_validator import EmailNotValidError, validate_email
from pydantic import AfterValidator, ConfigDict, Field, StringConstraints

from crm_api.kit.schemas import Input, Instant, Language, Name, NotNull, TimeZone, Versioned, WebAddress


def _email(address: str) -> str:
    try:
        return validate_email(address.strip(), check_deliverability=False, allow_smtputf8=True).normalized.lower()
    except EmailNotValidError:
        raise ValueError("is not an e-mail address") from None


LowerEmail = Annotated[
    str,
    StringConstraints(min_length=3, max_length=254),
    AfterValidator(_email),
    Field(examples=["olena@example.org"]),
]
"""An e-mail address, checked in form only and stored in lower case."""
ContactRole = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{1,39}$"), Field(examples=["volunteer"])]


def _once(roles: list[str]) -> list[str]:
    return list(dict.fromkeys(roles))


def _with_donor(roles: list[str]) -> list[str]:
    if "donor" not in roles:
        raise ValueError("must keep donor: gifts give it")
    return list(dict.fromkeys(roles))


ContactRoles = Annotated[
    list[ContactRole],
    Field(
        min_length=1,
        max_length=50,
        examples=[["donor", "volunteer", "partner"]],
        json_schema_extra={"contains": {"const": "donor"}},
    ),
    AfterValidator(_with_donor),
]
"""What a contact can be to the organization."""
TeamAccess = Literal["off", "on"]
"""On: members and API keys that do not see all see the contacts of their teams, and what hangs on them, only."""
UnassignedContacts = Literal["hidden", "seen"]
"""Whether callers that see their teams' contacts see those of no team too."""
BeneficiaryPrivacy = Literal["fields", "records"]
"""What is hidden without the scope contacts:read_sensitive: sensitive fields, or whole contacts that have only
`beneficiary_roles`."""
BeneficiaryRoles = Annotated[
    list[ContactRole], Field(min_length=1, max_length=50, examples=[["beneficiary"]]), AfterValidator(_once)
]
PostalAddress = Annotated[str, StringConstraints(max_length=1000)]


class OrganizationPatch(Input):
    """Changes to the organization (JSON merge patch). Mode and currency are for good."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"timezone": "Europe/Kyiv", "language": "uk", "website": "https://example.org"}]
        }
    )

    name: Annotated[Name | None, NotNull] = None
    timezone: Annotated[TimeZone | None, NotNull] = None
    language: Annotated[Language | None, NotNull] = None
    website: WebAddress | None = None
    reply_email: LowerEmail | None = None
    postal_address: PostalAddress | None = None
    fiscal_year_start_month: Annotated[Annotated[int, Field(ge=1, le=12)] | None, NotNull] = None
    contact_roles: Annotated[ContactRoles | None, NotNull] = None
    team_access: Annotated[TeamAccess | None, NotNull] = None
    unassigned_contacts: Annotated[UnassignedContacts | None, NotNull] = None
    beneficiary_privacy: Annotated[BeneficiaryPrivacy | None, NotNull] = None
    beneficiary_roles: Annotated[BeneficiaryRoles | None, NotNull] = None


class TestClock(Input):
    """Where the clock of a test organization stands; null lets it run with the machine's again."""

    __test__ = False
    model_config = ConfigDict(json_schema_extra={"examples": [{"now": "2027-01-01T00:00:00Z"}]})

    now: Instant | None


class OrganizationRead(Versioned):
    """The organization: the tenant that everything else belongs to."""

    name: str
    mode: str
    currency: str
    timezone: str
    language: str
    website: str | None
    reply_email: str | None
    postal_address: str | None
    fiscal_year_start_month: int
    contact_roles: list[str]
    team_access: str
    unassigned_contacts: str
    beneficiary_privacy: str
    beneficiary_roles: list[str]
    test_clock: datetime | None
