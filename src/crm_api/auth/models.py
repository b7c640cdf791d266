"""Machine credentials."""

from __future__ import annotations

from sqlalchemy import Index

from crm_api.kit.tables import document, flag, instant, number, one_of, string, tenant_table, uid

api_keys = tenant_table(
    "api_keys",
    string("name"),
    string("kind"),  # secret or publishable
    string("secret_hash", tag="secret"),  # SHA-256 of a 256-bit secret, hex
    string("last_four"),
    document("scopes"),
    instant("expires_at", null=True),
    instant("revoked_at", null=True),
    instant("last_used_at", null=True),
    uid("rotated_from", null=True),
    flag("sees_all", default=True),  # not limited to its teams
    number("version", default="1"),
    instant("created_at"),
    instant("updated_at"),
    one_of("kind", ("secret", "publishable")),
)
Index("ix_api_keys__id", api_keys.c.id, unique=True)
