"""Every route of the API, hot ones first: routes are matched in order."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from fastapi import FastAPI

from crm_api.audit import endpoints as audit_events
from crm_api.auth.api_keys import endpoints as api_keys
from crm_api.campaigns import endpoints as campaigns
from crm_api.campaigns.appeals import endpoints as appeals
from crm_api.communications.deliveries import endpoints as messages
from crm_api.contacts import endpoints as contacts
from crm_api.contacts.batch import endpoints as contact_batches
from crm_api.contacts.consents import endpoints as consents
from crm_api.contacts.custom_fields import endpoints as custom_fields
from crm_api.contacts.dedupe import endpoints as dedupe
from crm_api.contacts.households import endpoints as households
from crm_api.contacts.interactions import endpoints as interactions
from crm_api.contacts.privacy import endpoints as privacy
from crm_api.contacts.relationships import endpoints as relationships
from crm_api.contacts.teams import endpoints as contact_teams
from crm_api.contacts.timeline import endpoints as timeline
from crm_api.documents import endpoints as documents
from crm_api.donations.batches import endpoints as gift_batches
from crm_api.donations.credits import endpoints as soft_credits
from crm_api.donations.funds import endpoints as funds
from crm_api.donations.gifts import endpoints as gifts
from crm_api.donations.ledger import endpoints as ledger
from crm_api.donations.ledger.payouts import endpoints as payouts
from crm_api.donations.ledger.periods import endpoints as ledger_periods
from crm_api.donations.ledger.proofs import endpoints as ledger_proofs
from crm_api.donations.matching import endpoints as matching_gifts
from crm_api.donations.pledges import endpoints as pledges
from crm_api.donations.premiums import endpoints as premiums
from crm_api.donations.receipts import endpoints as receipts
from crm_api.donations.recurring import endpoints as recurring
from crm_api.donations.tributes import endpoints as tributes
from crm_api.idempotency.boundary import Route
from crm_api.intake.deliveries import endpoints as intake
from crm_api.intake.sources import endpoints as intake_sources
from crm_api.organizations import endpoints as organizations
from crm_api.organizations.members import endpoints as members
from crm_api.organizations.rates import endpoints as rates
from crm_api.organizations.teams import endpoints as teams
from crm_api.outbox import endpoints as jobs
from crm_api.payments.checkouts import endpoints as checkouts
from crm_api.payments.connections import endpoints as connections
from crm_api.payments.dunning import endpoints as dunning
from crm_api.payments.inbox import endpoints as inbox
from crm_api.payments.matching import endpoints as unmatched
from crm_api.payments.reconciliation import endpoints as reconciliations
from crm_api.pipelines import endpoints as pipelines
from crm_api.pipelines.deals import endpoints as deals
from crm_api.reports.donations import endpoints as donation_reports
from crm_api.reports.giving import endpoints as giving_reports
from crm_api.reports.levels import endpoints as giving_levels
from crm_api.reports.outlook import endpoints as outlook_reports
from crm_api.reports.runs import endpoints as report_runs
from crm_api.scoring import endpoints as scoring
from crm_api.segmentation import endpoints as segments
from crm_api.tasks import endpoints as tasks
from crm_api.transfers.exports import endpoints as exports
from crm_api.transfers.imports import endpoints as imports

ROUTERS = (
    contacts.routes,
    contact_batches.routes,
    checkouts.routes,  # before gifts: /v1/donations/checkouts is no gift
    gifts.routes,
    inbox.routes,
    scoring.routes,
    segments.routes,
    consents.routes,
    privacy.routes,
    custom_fields.routes,
    contact_teams.routes,
    households.routes,
    relationships.routes,
    timeline.routes,
    interactions.routes,
    tasks.routes,
    documents.routes,
    soft_credits.routes,
    matching_gifts.routes,
    tributes.routes,
    premiums.routes,
    gift_batches.routes,
    funds.routes,
    ledger.routes,
    ledger_periods.routes,
    ledger_proofs.routes,
    payouts.routes,
    donation_reports.routes,
    giving_reports.routes,
    outlook_reports.routes,
    report_runs.routes,
    giving_levels.routes,
    recurring.routes,
    pledges.routes,
    dunning.routes,
    receipts.routes,
    campaigns.routes,
    appeals.routes,
    pipelines.routes,
    deals.routes,
    messages.routes,
    dedupe.routes,
    connections.routes,
    reconciliations.routes,
    unmatched.routes,
    intake.routes,
    intake_sources.routes,
    organizations.routes,
    members.routes,
    teams.routes,
    rates.routes,
    api_keys.routes,
    jobs.routes,
    imports.routes,
    exports.routes,
    audit_events.routes,
)


def include_routers(app: FastAPI) -> None:
    """Add every route."""
    for routes in ROUTERS:
        app.include_router(routes)


def all_routes() -> list[Route]:
    """Every route in the order they are matched, flat (the application itself holds them as routers)."""
    return [route for routes in ROUTERS for route in routes.routes if isinstance(route, Route)]


@cache
def literal_paths() -> Mapping[str, frozenset[str]]:
    """Addresses without a parameter, with the methods they take. Such an address never means another route's
    parameter: ``/v1/contacts/batch`` is no contact, whatever the method."""
    found: dict[str, frozenset[str]] = {}
    for route in all_routes():
        if "{" not in route.path:
            found[route.path] = found.get(route.path, frozenset()) | frozenset(route.methods or ())
    return found


def methods_of(path: str) -> list[str]:
    """What methods an address takes, over all routes: GET and POST of one address are two of them."""
    literal = literal_paths().get(path)
    if literal is not None:
        return sorted(literal)
    return sorted({m for route in all_routes() if route.path_regex.match(path) for m in route.methods or ()})
