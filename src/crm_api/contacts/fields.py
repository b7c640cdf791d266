"""What contacts can be filtered and sorted by."""

from __future__ import annotations

from crm_api.contacts.keys import birthday
from crm_api.contacts.keys import fold_email as fold_email
from crm_api.contacts.models import contact_keys, contacts
from crm_api.contacts.query import parse
from crm_api.contacts.teams.models import contact_teams
from crm_api.kit.fields import Catalogue, Field
from crm_api.kit.names import fold


def _phone(text: str) -> str:
    return "+" + "".join(letter for letter in text if letter.isdecimal())


def _handle(text: str) -> str:
    network, colon, handle = text.partition(":")
    if not (network and colon and handle):
        raise ValueError("takes network:handle, such as telegram:olena")
    return f"{network.lower()}:{fold(handle)}"


def _external(text: str) -> str:
    system, colon, code = text.partition(":")
    if not (system and colon and code):
        raise ValueError("takes system:id, such as legacy:A-17")
    return f"{code} {system}"


def _birthday(text: str) -> str:
    found = birthday(f"--{text}")
    if found is None:
        raise ValueError("takes a month and a day, such as 05-17")
    return found


CONTACTS = Catalogue(
    resource="contacts",
    table=contacts,
    default_sort="-id",
    key_table=contact_keys,
    key_owner="contact_id",
    hidden=contacts.c.merged_into,
    relevance=Field("relevance", "text"),
    custom=Field("custom", "custom", description="`custom.<key>`: a filterable field of the organization's own."),
    fields=(
        Field("id", "uuid", contacts.c.id, sortable=True),
        Field(
            "q",
            "words",
            normalize=parse,
            sensitivity="donor_sensitive",
            description="Words of names, or their beginnings, in any order and script, one typo allowed; an e-mail, "
            "a phone number, an external id, a city. Without `sort` the best matches come first.",
        ),
        Field(
            "email",
            "key",
            key_kind="email",
            normalize=fold_email,
            sensitivity="donor_sensitive",
            description="Exact e-mail address, in any case.",
        ),
        Field(
            "phone",
            "key",
            key_kind="phone",
            normalize=_phone,
            sensitivity="donor_sensitive",
            description="Phone number with country code, in any notation.",
        ),
        Field(
            "city",
            "key",
            key_kind="city",
            normalize=fold,
            sensitivity="donor_sensitive",
            description="City of any address, in any case.",
        ),
        Field("country", "key", key_kind="country", normalize=str.upper, description="ISO 3166 code of any address."),
        Field("tag", "key", key_kind="tag", description="A tag, as written."),
        Field("role", "key", key_kind="role", description="A role, such as donor."),
        Field(
            "handle",
            "key",
            key_kind="handle",
            normalize=_handle,
            sensitivity="donor_sensitive",
            description="A messenger or social handle, as `network:handle`.",
        ),
        Field(
            "external_id",
            "key",
            key_kind="external",
            normalize=_external,
            description="An id in another system, as `system:id`.",
        ),
        Field(
            "birthday",
            "key",
            key_kind="birthday",
            normalize=_birthday,
            sensitivity="donor_sensitive",
            description="Month and day of birth, as `05-17`.",
        ),
        Field(
            "team_id",
            "uuid",
            sources=((contact_teams.c.contact_id, contact_teams.c.team_id),),
            description="Contacts that this team looks after itself.",
        ),
        Field(
            "display_name",
            "text",
            contacts.c.display_name,
            sortable=True,
            sensitivity="donor_sensitive",
            description="The name as shown, whole; `q` finds parts of it. It sorts by the database's collation.",
        ),
        Field("language", "text", contacts.c.language, description="The language to write in, such as uk."),
        Field("kind", "choice", contacts.c.kind, choices=("person", "organization")),
        Field("created_at", "instant", contacts.c.created_at, sortable=True),
        Field("updated_at", "instant", contacts.c.updated_at, sortable=True),
    ),
)
