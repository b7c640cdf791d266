"""Every route of the API, hot ones first: routes are matched in order."""

from __future__ import annotations

from fastapi import FastAPI

from crm_api.auth.api_keys import endpoints as api_keys
from crm_api.campaigns import endpoints as campaigns
from crm_api.campaigns.appeals import endpoints as appeals
from crm_api.communications.deliveries import endpoints as messages
from crm_api.contacts import endpoints as contacts
from crm_api.donations.funds import endpoints as funds
from crm_api.donations.gifts import endpoints as gifts
from crm_api.donations.recurring import endpoints as recurring
from crm_api.idempotency.boundary import Route
from crm_api.organizations import endpoints as organizations
from crm_api.organizations.members import endpoints as members
from crm_api.organizations.rates import endpoints as rates
from crm_api.outbox import endpoints as jobs
from crm_api.payments.connections import endpoints as connections
from crm_api.payments.inbox import endpoints as inbox
from crm_api.pipelines import endpoints as pipelines
from crm_api.pipelines.deals import endpoints as deals
from crm_api.scoring import endpoints as scoring

ROUTERS = (
    contacts.routes,
    gifts.routes,
    inbox.routes,
    scoring.routes,
    funds.routes,
    recurring.routes,
    campaigns.routes,
    appeals.routes,
    pipelines.routes,
    deals.routes,
    messages.routes,
    connections.routes,
    organizations.routes,
    members.routes,
    rates.routes,
    api_keys.routes,
    jobs.routes,
)


def include_routers(app: FastAPI) -> None:
    """Add every route."""
    for routes in ROUTERS:
        app.include_router(routes)


def all_routes() -> list[Route]:
    """Every route in the order they are matched, flat (the application itself holds them as routers)."""
    return [route for routes in ROUTERS for route in routes.routes if isinstance(route, Route)]


def methods_of(path: str) -> list[str]:
    """What methods an address takes, over all routes: GET and POST of one address are two of them."""
    return sorted({m for route in all_routes() if route.path_regex.match(path) for m in route.methods or ()})
