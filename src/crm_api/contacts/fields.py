"""What contacts can be filtered and sorted by."""

from __future__ import annotations

from crm_api.contacts.models import contact_keys, contacts
from crm_api.kit.fields import Catalogue, Field
from crm_api.kit.names import fold, words


def fold_email(address: str) -> str:
    """The form e-mails are compared in: the whole address case-folded."""
    return fold(address)


def _phone(text: str) -> str:
    return "+" + "".join(letter for letter in text if letter.isdecimal())


_LAST = "\U0010ffff"


def _search(text: str) -> list[tuple[str, str, str]]:
    """The key ranges that every word of a search must fall into."""
    found: list[tuple[str, str, str]] = []
    for part in text.split()[:6]:
        if "@" in part:
            found.append(("email", fold_email(part), fold_email(part) + _LAST))
        elif part.startswith("+") and len(_phone(part)) > 4:
            found.append(("phone", _phone(part), _phone(part) + _LAST))
        else:
            found += [("word", word, word + _LAST) for word in words(part) if len(word) >= 2]
    if not found:
        raise ValueError("needs at least one word of two letters")
    return found


CONTACTS = Catalogue(
    resource="contacts",
    table=contacts,
    default_sort="-id",
    key_table=contact_keys,
    key_owner="contact_id",
    fields=(
        Field("id", "uuid", contacts.c.id, sortable=True),
        Field(
            "q",
            "words",
            normalize=_search,
            sensitivity="donor_sensitive",
            description="Beginnings of names in any order and script, an e-mail or a phone number.",
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
        Field("kind", "choice", contacts.c.kind, choices=("person", "organization")),
        Field("created_at", "instant", contacts.c.created_at, sortable=True),
        Field("updated_at", "instant", contacts.c.updated_at, sortable=True),
    ),
)
