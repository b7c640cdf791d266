"""What rules can ask about contacts themselves."""

from __future__ import annotations

from crm_api.contacts.consents.models import CHANNELS as CONSENT_CHANNELS
from crm_api.contacts.consents.models import STATUSES as CONSENT_STATUSES
from crm_api.contacts.fields import CONTACTS
from crm_api.contacts.interactions.models import DIRECTIONS, KINDS
from crm_api.contacts.models import CHANNELS
from crm_api.kit.predicates.catalogue import CONTACT, Attribute, Source

_CHANGED = (
    "ContactCreated",
    "ContactUpdated",
    "ContactsLoaded",
    "ContactsMerged",
    "ContactsUnmerged",
    "CustomFieldChanged",
)


def _keys(name: str, description: str) -> Source:
    """The values of one kind of key rows."""
    known = CONTACTS.by_name[name]
    value = Attribute("value", "text", "{t}.value", normalize=known.normalize, sensitivity=known.sensitivity)
    where = f"{{t}}.kind = '{known.key_kind}'"
    return Source(
        name, "contact_keys", "contact_id", (value,), values=True, where=where, facts=_CHANGED, description=description
    )


PREDICATES = (
    Source(
        CONTACT,
        "contacts",
        "id",
        (
            Attribute("id", "uuid", "{t}.id"),
            Attribute("kind", "choice", "{t}.kind", choices=("person", "organization")),
            Attribute("language", "text", "{t}.language", description="Such as uk, ka or ar."),
            Attribute("timezone", "text", "{t}.timezone"),
            Attribute("gender", "text", "{t}.gender", sensitivity="donor_sensitive"),
            Attribute("birthday", "birthday", "{t}.birth_date", sensitivity="donor_sensitive"),
            Attribute("preferred_channel", "choice", "{t}.preferred_channel", choices=CHANNELS),
            Attribute("do_not_contact", "boolean", "{t}.do_not_contact"),
            Attribute("deceased", "boolean", "{t}.deceased"),
            Attribute("owner_member_id", "uuid", "{t}.owner_member_id"),
            Attribute("source_channel", "text", "({t}.source ->> 'channel')", description="Of the first touch."),
            Attribute("source_campaign", "text", "({t}.source ->> 'utm_campaign')"),
            Attribute("created_at", "instant", "{t}.created_at"),
            Attribute("updated_at", "instant", "{t}.updated_at"),
        ),
        where="{t}.merged_into IS NULL AND {t}.erased_at IS NULL",
        facts=_CHANGED,
    ),
    _keys("tag", "A tag, as written."),
    _keys("role", "A current role, such as volunteer."),
    _keys("city", "City of any address, in any case."),
    _keys("country", "ISO 3166 code of any address."),
    _keys("email", "An e-mail address; is_null asks for contacts without one."),
    _keys("phone", "A phone number with country code."),
    _keys("external_id", "An id in another system, as system:id."),
    Source(
        "consents",
        "consent_events",
        "contact_id",
        (
            Attribute("status", "choice", "{t}.status", choices=CONSENT_STATUSES),
            Attribute("purpose", "text", "{t}.purpose"),
            Attribute("channel", "choice", "{t}.channel", choices=CONSENT_CHANNELS),
            Attribute("list", "text", "{t}.list"),
            Attribute("at", "instant", "{t}.at"),
        ),
        many=True,
        facts=("ConsentRecorded", *_CHANGED),
        description="Everything that was said about consent, the oldest word included.",
    ),
    Source(
        "interactions",
        "(SELECT p.organization_id, p.contact_id, i.kind, i.direction, i.channel, i.outcome, i.at, i.campaign_id "
        "FROM interaction_participants p JOIN interactions i ON i.organization_id = p.organization_id "
        "AND i.id = p.interaction_id WHERE i.sensitivity = 'donor_sensitive')",
        "contact_id",
        (
            Attribute("kind", "choice", "{t}.kind", choices=KINDS),
            Attribute("direction", "choice", "{t}.direction", choices=DIRECTIONS),
            Attribute("channel", "text", "{t}.channel"),
            Attribute("outcome", "text", "{t}.outcome"),
            Attribute("at", "instant", "{t}.at"),
            Attribute("campaign_id", "uuid", "{t}.campaign_id"),
        ),
        many=True,
        facts=("InteractionsRecorded", "InteractionRecorded", "InteractionChanged", "InteractionRemoved", *_CHANGED),
        description="Calls, meetings, messages and notes that the contact took part in.",
    ),
)
