"""What people said about being contacted: append-only events. The present state is a pure function of them."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Index

from crm_api.kit.personal import PROOF, anonymise
from crm_api.kit.tables import APPEND_ONLY, document, instant, one_of, refers, string, tenant_table, uid

STATUSES = ("granted", "withdrawn", "objected")
BASES = (
    "consent", "legitimate_interest", "contract", "legal_obligation", "vital_interest", "public_task",
)  # fmt: skip
"""The legal bases of GDPR Art. 6(1)."""
CHANNELS = (
    "email", "phone", "sms", "post", "telegram", "viber", "whatsapp", "signal", "facebook", "instagram",
)  # fmt: skip

consent_events = tenant_table(
    "consent_events",
    uid("contact_id"),
    string("purpose", null=True, binary=True),  # null: every purpose
    string("channel", null=True),  # null: every channel
    string("list", null=True, binary=True),  # null: every list of the purpose
    string("status"),
    string("legal_basis", null=True),  # of what is granted
    string("wording", null=True, tag="donor_sensitive"),  # what the person agreed to, as it was shown
    string("wording_version", null=True),
    string("language", null=True),
    string("source", tag="donor_sensitive"),
    document("evidence", tag="donor_sensitive", default="'{}'"),
    string("recorded_by_kind"),
    string("recorded_by"),
    instant("at"),  # when the person said it
    instant("recorded_at"),
    one_of("status", STATUSES),
    one_of("legal_basis", BASES, null=True),
    one_of("channel", CHANNELS, null=True),
    CheckConstraint("(status = 'granted') = (legal_basis IS NOT NULL)", name="basis"),
    CheckConstraint("list IS NULL OR purpose IS NOT NULL", name="list"),
    refers("contact_id", "contacts"),
    Index("ix_consent_events__contact", "organization_id", "contact_id", "at", "id"),
    privileges=APPEND_ONLY,
    repointable=("contact_id",),
    personal=anonymise(
        "contact_id",
        columns={"wording": "NULL", "wording_version": "NULL", "source": "'erased'", "evidence": "'{}'"},
        ground=PROOF,
        until="at",
    ),
)
