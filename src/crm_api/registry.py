"""Everything that knows of every package: models for migrations, subscribers for workers, field catalogues."""

from __future__ import annotations

from importlib import import_module

from sqlalchemy import MetaData

from crm_api.kit.predicates import catalogue as predicates
from crm_api.kit.tables import metadata
from crm_api.kit.timeline import SOURCES, Sources
from crm_api.outbox.facts import REGISTRY, Registry

_MODELS = (
    "audit.models", "outbox.models", "organizations.models", "auth.models", "organizations.teams.models",
    "idempotency.models", "contacts.teams.models",
    "documents.models", "contacts.models", "contacts.consents.models", "contacts.privacy.models",
    "contacts.interactions.models", "contacts.custom_fields.models", "contacts.households.models",
    "contacts.relationships.models", "contacts.dedupe.models", "tasks.models", "campaigns.models",
    "campaigns.appeals.models", "donations.funds.models", "donations.recurring.models", "donations.gifts.models",
    "donations.allocations.models", "donations.credits.models", "donations.matching.models",
    "donations.tributes.models", "donations.premiums.models", "donations.batches.models",
    "donations.receipts.models", "donations.ledger.models", "donations.ledger.payouts.models",
    "donations.ledger.proofs.models",
    "pipelines.models", "pipelines.deals.models", "payments.connections.models", "payments.inbox.models",
    "payments.dunning.models", "donations.pledges.models",
    "payments.checkouts.models", "payments.polling.models", "payments.reconciliation.models",
    "payments.matching.models",
    "segmentation.models", "scoring.models", "communications.deliveries.models", "intake.sources.models",
    "intake.deliveries.models",
    "transfers.imports.models", "transfers.exports.models", "reports.levels.models", "reports.runs.models",
)  # fmt: skip
_TASKS = (
    "outbox.tasks",
    "idempotency.tasks",
    "documents.tasks",
    "contacts.dedupe.tasks",
    "contacts.privacy.tasks",
    "donations.tasks",
    "donations.receipts.tasks",
    "donations.ledger.tasks",
    "payments.tasks",
    "payments.polling.tasks",
    "payments.matching.tasks",
    "payments.reconciliation.tasks",
    "payments.dunning.tasks",
    "donations.pledges.tasks",
    "intake.tasks",
    "segmentation.tasks",
    "scoring.tasks",
    "communications.tasks",
    "contacts.custom_fields.tasks",
    "contacts.households.tasks",
    "contacts.relationships.tasks",
    "tasks.tasks",
    "transfers.tasks",
)


_TIMELINES = (
    "contacts.interactions", "donations.gifts", "donations.recurring", "donations.pledges", "communications.deliveries",
    "pipelines.deals", "tasks", "contacts.consents", "documents", "scoring",
)  # fmt: skip


_PREDICATES = ("contacts", "donations", "scoring", "communications", "pipelines")


def load_predicates() -> predicates.Sources:
    """Everything that rules can ask about; filled once per process."""
    if not predicates.SOURCES.by_name:
        for package in _PREDICATES:
            predicates.SOURCES.add(*import_module(f"crm_api.{package}.predicates").PREDICATES)
    return predicates.SOURCES


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
        load_predicates()
        for name in _TASKS:
            import_module(f"crm_api.{name}").register(REGISTRY)
    return REGISTRY
