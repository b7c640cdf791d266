"""Everything that knows of every package: models for migrations, subscribers for workers, field catalogues."""

from __future__ import annotations

from importlib import import_module

from sqlalchemy import MetaData

from crm_api.kit.tables import metadata
from crm_api.kit.timeline import SOURCES, Sources
from crm_api.outbox.facts import REGISTRY, Registry

_MODELS = (
    "audit.models", "outbox.models", "organizations.models", "auth.models", "idempotency.models",
    "documents.models", "contacts.models", "contacts.consents.models", "contacts.privacy.models",
    "contacts.interactions.models", "contacts.custom_fields.models", "contacts.households.models",
    "contacts.relationships.models", "contacts.dedupe.models", "tasks.models", "campaigns.models",
    "campaigns.appeals.models", "donations.funds.models", "donations.recurring.models", "donations.gifts.models",
    "pipelines.models", "pipelines.deals.models", "payments.connections.models", "payments.inbox.models",
    "scoring.models", "communications.deliveries.models", "intake.sources.models", "intake.deliveries.models",
    "transfers.imports.models", "transfers.exports.models",
)  # fmt: skip
_TASKS = (
    "outbox.tasks",
    "idempotency.tasks",
    "documents.tasks",
    "contacts.dedupe.tasks",
    "contacts.privacy.tasks",
    "donations.tasks",
    "payments.tasks",
    "intake.tasks",
    "scoring.tasks",
    "communications.tasks",
    "contacts.custom_fields.tasks",
    "contacts.households.tasks",
    "contacts.relationships.tasks",
    "tasks.tasks",
    "transfers.tasks",
)


_TIMELINES = (
    "contacts.interactions", "donations.gifts", "donations.recurring", "communications.deliveries", "pipelines.deals",
    "tasks", "contacts.consents", "documents", "scoring",
)  # fmt: skip


def load_timelines() -> Sources:
    """Every kind of entry in a contact's timeline; filled once per process."""
    if not SOURCES.by_kind:
        for name in (*(f"{package}.timeline" for package in _TIMELINES), "contacts.timeline.own"):
            SOURCES.add(*import_module(f"crm_api.{name}").TIMELINE)
    return SOURCES


def load_models() -> MetaData:
    """The whole schema."""
    for name in _MODELS:
        import_module(f"crm_api.{name}")
    return metadata


def load_registry() -> Registry:
    """Every subscriber and schedule; filled once per process."""
    if not REGISTRY.subscribers:
        load_models()
        load_timelines()
        for name in _TASKS:
            import_module(f"crm_api.{name}").register(REGISTRY)
    return REGISTRY
