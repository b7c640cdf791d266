"""What API keys can be filtered and sorted by."""

from __future__ import annotations

from crm_api.auth.models import api_keys
from crm_api.kit.fields import Catalogue, Field

API_KEYS = Catalogue(
    resource="api-keys",
    table=api_keys,
    default_sort="-id",
    fields=(
        Field("id", "uuid", api_keys.c.id, sortable=True),
        Field("kind", "choice", api_keys.c.kind, choices=("secret", "publishable")),
        Field("created_at", "instant", api_keys.c.created_at),
        Field("expires_at", "instant", api_keys.c.expires_at),
        Field("revoked_at", "instant", api_keys.c.revoked_at),
    ),
)
