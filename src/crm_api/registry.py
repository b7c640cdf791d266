"""Everything that knows of every package: models for migrations, subscribers for workers, field catalogues."""

from __future__ import annotations

from importlib import import_module

from sqlalchemy import MetaData

from crm_api.kit.tables import metadata
from crm_api.outbox.facts import REGISTRY, Registry

_MODELS = (
    "audit.models", "outbox.models", "organizations.models", "auth.models", "idempotency.models", "contacts.models",
    "campaigns.models", "campaigns.appeals.models", "donations.funds.models", "donations.recurring.models",
    "donations.gifts.models", "pipelines.models", "pipelines.deals.models", "payments.connections.models",
    "payments.inbox.models", "scoring.models", "communications.deliveries.models",
)  # fmt: skip
_TASKS = (
    "outbox.tasks",
    "idempotency.tasks",
    "donations.tasks",
    "payments.tasks",
    "scoring.tasks",
    "communications.tasks",
)


def load_models() -> MetaData:
    """The whole schema."""
    for name in _MODELS:
        import_module(f"crm_api.{name}")
    return metadata


def load_registry() -> Registry:
    """Every subscriber and schedule; filled once per process."""
    if not REGISTRY.subscribers:
        load_models()
        for name in _TASKS:
            import_module(f"crm_api.{name}").register(REGISTRY)
    return REGISTRY
