"""What clients send and get of sources of intake."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal, get_args
from uuid import UUID

from pydantic import AfterValidator, ConfigDict, Field, StringConstraints

from crm_api.contacts.consents.schemas import Basis, ReachChannel, Word
from crm_api.contacts.parts import Role, Tag
from crm_api.intake.kinds.answers import FIELDS, known_field
from crm_api.intake.kinds.calls import CALL_FIELDS
from crm_api.kit import rules
from crm_api.kit.schemas import Code, Country, Input, Language, LongText, Name, NotNull, Output, ShortText, Versioned

KindName = Literal["form", "google_forms", "binotel", "ringostat", "meta_leads", "telegram", "viber"]
Secret = Annotated[str, StringConstraints(min_length=1, max_length=4000, pattern=r"^[^\x00]+$")]
Credentials = Annotated[
    dict[Annotated[str, StringConstraints(max_length=64)], Secret],
    Field(
        max_length=10,
        description="What the kind needs. form, google_forms: signing_secret; binotel: path_secret; ringostat: "
        "auth_key; meta_leads: app_secret, verify_token, page_access_token; telegram: secret_token; viber: auth_token. "
        "Those that are ours to choose may be left out: they are made up and answered once, in `issued`.",
    ),
]


_TARGETS = sorted({*FIELDS, *CALL_FIELDS})


def _target(name: str) -> str:
    if not known_field(name) and name not in CALL_FIELDS:
        raise ValueError(
            f"must be one of {', '.join(FIELDS)}, custom.<key>, or of calls: {', '.join(sorted(CALL_FIELDS))}"
        )
    return name


Mapping = Annotated[
    dict[
        Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00]+$")],
        Annotated[
            str,
            StringConstraints(max_length=80),
            AfterValidator(_target),
            Field(json_schema_extra={"pattern": f"^({'|'.join(_TARGETS)}|custom\\.[a-z][a-z0-9_]{{0,63}})$"}),
        ],
    ],
    Field(
        max_length=200,
        description="Their field → ours; of Google Forms the item's id or its title.",
        json_schema_extra={"additionalProperties": False},
    ),
]
_OTHER_KINDS = {one: [kind for kind in get_args(KindName) if kind != one] for one in ("form", "telegram")}
BotName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_]{3,63}$")]


class FirstTouch(Input):
    """What is noted of contacts that come this way, where the delivery itself does not say."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"utm_source": "site", "utm_campaign": "winter"}]})

    referrer: ShortText | None = None
    utm_source: ShortText | None = None
    utm_medium: ShortText | None = None
    utm_campaign: ShortText | None = None
    utm_term: ShortText | None = None
    utm_content: ShortText | None = None


class ConsentAsked(Input):
    """What people agree to in the form; recorded where the field mapped to `consent` is a yes."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"purpose": "newsletter", "channel": "email", "wording_version": "2026-03"}]}
    )

    purpose: Word | None = None
    channel: ReachChannel | None = None
    list: Word | None = None
    legal_basis: Basis = "consent"
    wording: LongText | None = None
    wording_version: Code | None = None
    language: Language | None = None


class SourceDefaults(Input):
    """What every delivery of the source brings."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"tags": ["site"], "roles": ["volunteer"], "country": "UA"}]}
    )

    tags: Annotated[list[Tag], Field(max_length=20)] = []
    roles: Annotated[list[Role], Field(max_length=10)] = []
    country: Country | None = None
    """Whose numbers are meant by numbers without a country code."""
    language: Language | None = None
    source: FirstTouch | None = None
    consent: ConsentAsked | None = None
    sensitivity: Literal["donor_sensitive", "beneficiary_sensitive"] = "donor_sensitive"
    """Of what is recorded: answers of people in need are for few eyes."""


class IntakeSourceCreate(Input):
    """A new source of intake."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "kind": "google_forms",
                    "name": "Анкета волонтера",
                    "mapping": {"111": "name", "112": "phone", "114": "consent"},
                    "defaults": {
                        "tags": ["site"],
                        "roles": ["volunteer"],
                        "country": "UA",
                        "consent": {"purpose": "volunteering", "wording_version": "2026-03"},
                    },
                }
            ],
            **rules.all_of(
                rules.where("kind", _OTHER_KINDS["telegram"], rules.absent("bot_username", "start_system")),
                rules.where("kind", _OTHER_KINDS["form"], {"properties": {"browser_form": {"const": False}}}),
            ),
        }
    )

    kind: KindName
    name: Name
    credentials: Credentials = {}
    mapping: Mapping = {}
    defaults: SourceDefaults = SourceDefaults()
    campaign_id: UUID | None = None
    bot_username: BotName | None = None
    start_system: Code | None = None
    browser_form: bool = False
    active: bool = True


class IntakeSourcePatch(Input):
    """Changes to a source (JSON merge patch; mapping and defaults are replaced whole). New credentials replace the old
    ones, which stay valid for a day so that nothing in flight is refused. `browser_form` switched off and on again
    gives the form a new public token."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "Volunteers", "active": True}]})

    name: Annotated[Name | None, NotNull] = None
    credentials: Annotated[Credentials | None, NotNull] = None
    mapping: Annotated[Mapping | None, NotNull] = None
    defaults: Annotated[SourceDefaults | None, NotNull] = None
    campaign_id: UUID | None = None
    bot_username: BotName | None = None
    start_system: Code | None = None
    browser_form: Annotated[bool | None, NotNull] = None
    active: Annotated[bool | None, NotNull] = None


class IntakeSourceRead(Versioned):
    """A source of intake. Its credentials never come back; those made up for it are answered once, in `issued`."""

    kind: str
    name: str
    active: bool
    webhook_url: str
    """The address to enter at the other side. Of Binotel it ends in the secret, shown only while it is new."""
    browser_url: str | None
    """Where a form of a web page may post to without a signature: it holds the form's public token."""
    credentials_set: list[str]
    issued: dict[str, str]
    mapping: dict[str, str]
    defaults: SourceDefaults
    campaign_id: UUID | None
    bot_username: str | None
    start_system: str | None


class IntakeSourcePage(Output):
    """A page of sources."""

    data: list[IntakeSourceRead]
    has_more: bool
    next_cursor: str | None
    total: int | None = None


class StartLinkCreate(Input):
    """Whose link it is, and for how many days it works."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"contact_id": "01989c5e-1b2c-7d3e-8a53-6f1d2b7c8e91", "days": 30}]}
    )

    contact_id: UUID
    days: Annotated[int, Field(ge=1, le=365)] = 30


class StartLinkRead(Output):
    """A link that joins a chat to a contact: whoever opens it and starts the bot is that contact from then on."""

    payload: str
    url: str | None
    """Null where the source has no `bot_username`."""
    expires_at: datetime
