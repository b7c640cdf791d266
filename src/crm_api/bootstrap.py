"""Making an organization with its first key: the command line's, the demo's and the tests' way in."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from crm_api.auth.api_keys.service import issue_key
from crm_api.auth.scopes import ALL_SCOPES
from crm_api.contacts.relationships.service import seed_types
from crm_api.kit.db import Actor, Database, Tenant
from crm_api.organizations.service import create_organization, new_tenant
from crm_api.registry import load_registry

COMMAND_LINE = Actor("system", "command_line", scopes=ALL_SCOPES)


@dataclass(frozen=True, slots=True)
class NewOrganization:
    """A fresh organization and the key that may do everything in it; the key is shown once."""

    tenant: Tenant
    api_key: str

    @property
    def id(self) -> UUID:
        """The organization's id."""
        return self.tenant.id


async def make_organization(
    database: Database,
    *,
    name: str,
    mode: str,
    currency: str = "USD",
    timezone: str = "UTC",
    language: str = "en",
) -> NewOrganization:
    """Create an organization and a key with every scope, together."""
    load_registry()
    tenant = new_tenant(mode=mode, currency=currency, timezone=timezone, language=language)
    async with database.write(tenant, COMMAND_LINE) as session:
        await create_organization(session, name=name)
        seed_types(session)
        _, token = issue_key(session, name="First key", scopes=sorted(ALL_SCOPES), kind="secret", expires_at=None)
    return NewOrganization(tenant, token)
