"""Checkouts: payments that somebody is about to make on a provider's page."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Index, text

from crm_api.kit.limits import RowLimit
from crm_api.kit.personal import ACCOUNTING, anonymise
from crm_api.kit.tables import instant, minor, number, one_of, refers, string, tenant_table, uid

STATES = ("claimed", "open", "closed", "refused")
EVERY = ("week", "month", "year")

checkouts = tenant_table(
    "checkouts",  # the id is the gift's too, unless its payment was known before its page was
    uid("connection_id"),
    uid("gift_id", null=True),  # null until the page exists
    string("provider"),
    string("state"),  # claimed: its page is being made; open; closed: paid or abandoned; refused by the provider
    minor("amount"),
    string("currency"),
    string("every", null=True),
    string("url", null=True),
    string("reason", null=True),  # the provider's code
    instant("expires_at"),  # in the organization's time
    instant("asked_at"),  # in the machine's time, as the limits and the provider count
    instant("claimed_until"),  # whoever makes the page has until then; after it another may take over
    string("claimant"),  # whose idempotency key it is
    string("idempotency_key", null=True, binary=True),
    string("fingerprint"),
    string("actor_kind"),
    string("actor_id", binary=True),
    string("address_mark", null=True, binary=True, tag="donor_sensitive"),  # keyed digests, for a day
    string("email_mark", null=True, binary=True, tag="donor_sensitive"),
    number("version", default="1"),
    instant("created_at"),
    instant("updated_at"),
    one_of("state", STATES),
    one_of("every", EVERY, null=True),
    CheckConstraint("amount > 0", name="amount"),
    CheckConstraint("(state IN ('open', 'closed')) = (url IS NOT NULL AND gift_id IS NOT NULL)", name="page"),
    refers("connection_id", "payment_connections"),
    refers("gift_id", "gifts"),
    Index("ix_checkouts__created", "organization_id", "created_at", "id"),
    Index("ix_checkouts__connection", "organization_id", "connection_id", "id"),
    Index("ix_checkouts__gift", "organization_id", "gift_id"),
    Index("ix_checkouts__actor", "organization_id", "actor_id", "asked_at"),
    Index("ix_checkouts__asked", "organization_id", "asked_at"),
    Index(
        "ix_checkouts__address",
        "organization_id",
        "address_mark",
        "asked_at",
        postgresql_where=text("address_mark IS NOT NULL"),
    ),
    Index(
        "ix_checkouts__email",
        "organization_id",
        "email_mark",
        "asked_at",
        postgresql_where=text("email_mark IS NOT NULL"),
    ),
    Index(
        "uq_checkouts__key",
        "organization_id",
        "claimant",
        "idempotency_key",
        unique=True,
        postgresql_where=text("idempotency_key IS NOT NULL"),
    ),
    personal=anonymise(
        "gift_id.contact_id",
        columns={"address_mark": "NULL", "email_mark": "NULL"},
        ground=ACCOUNTING,
        until="created_at",
        hidden=("claimant", "idempotency_key", "fingerprint", "address_mark", "email_mark"),
    ),
    limit=RowLimit(nobodys=True),  # until its page is made, a checkout has no gift that says whose it is
)
