"""What sources sent, as it came, before anything is made of it."""

from __future__ import annotations

from sqlalchemy import Column, Index, LargeBinary, UniqueConstraint, text

from crm_api.intake.sources.models import KINDS
from crm_api.kit.personal import anonymise
from crm_api.kit.tables import instant, one_of, refers, string, tenant_table, uid

STATES = ("received", "handled", "ignored", "unmatched", "failed")
ERASED = "erased"
"""Reason of a delivery whose content was erased with the contact."""


def _nothing(body: bytes | None) -> bytes | None:
    """What stays of a body: nothing."""
    return None if body is None else b""


intake_deliveries = tenant_table(
    "intake_deliveries",
    uid("source_id"),
    string("kind"),
    string("delivery_key", binary=True),
    string("event_type"),
    string("media_type"),
    Column("body", LargeBinary, nullable=False, info={"sensitivity": "donor_sensitive"}),  # the exact bytes
    string("state"),
    string("reason", null=True),
    string("handle", null=True, tag="donor_sensitive", binary=True),  # network:handle that it says something of
    string("reach", null=True),  # what: whether messages are wanted there
    uid("contact_id", null=True),
    uid("interaction_id", null=True),
    instant("occurred_at", null=True),  # by the source's clock
    instant("received_at"),
    instant("handled_at", null=True),
    one_of("kind", KINDS),
    one_of("state", STATES),
    one_of("reach", ("valid", "opted_out"), null=True),
    refers("source_id", "intake_sources"),
    refers("contact_id", "contacts"),
    refers("interaction_id", "interactions", on_delete="SET NULL (interaction_id)"),
    UniqueConstraint("organization_id", "source_id", "delivery_key"),
    Index("ix_intake_deliveries__received", "organization_id", "received_at", "id"),
    Index("ix_intake_deliveries__state", "organization_id", "state", "id"),
    Index("ix_intake_deliveries__contact", "organization_id", "contact_id"),
    Index("ix_intake_deliveries__interaction", "organization_id", "interaction_id"),
    Index(
        "ix_intake_deliveries__handle",
        "organization_id",
        "handle",
        "occurred_at",
        postgresql_where=text("handle IS NOT NULL"),
    ),
    personal=anonymise(
        "contact_id",
        where="t.contact_id IS NULL AND t.state <> 'received' "
        "AND EXISTS (SELECT 1 FROM unnest(:traces) n WHERE position(convert_to(n, 'UTF8') IN t.body) > 0)",
        columns={"handle": "NULL", "state": "'ignored'", "reason": f"'{ERASED}'"},
        rewrite={"body": _nothing},
        ground="the key of the delivery, so that the same delivery sent again does not bring the person back",
    ),
)
