"""Which teams look after a contact."""

from __future__ import annotations

from sqlalchemy import Index

from crm_api.kit.limits import RowLimit
from crm_api.kit.personal import erase
from crm_api.kit.tables import instant, refers, tenant_table, uid

contact_teams = tenant_table(
    "contact_teams",
    uid("contact_id"),
    uid("team_id"),
    instant("assigned_at"),
    refers("contact_id", "contacts", on_delete="CASCADE"),
    refers("team_id", "teams"),
    Index("ix_contact_teams__team", "organization_id", "team_id", "contact_id"),
    key=("contact_id", "team_id"),
    personal=erase("contact_id"),
    limit=RowLimit(
        open="it says who sees a contact: every limited caller's transaction reads it, none writes it; ids only",
        privileges=("SELECT",),
    ),
)
