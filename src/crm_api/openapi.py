"""The OpenAPI document: what FastAPI knows, with our bodies, problems, security and facts put in."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema
from starlette.responses import Response

from crm_api.api import all_routes
from crm_api.auth.scopes import SCOPES
from crm_api.idempotency.boundary import Route
from crm_api.kit.reply import dumps

DESCRIPTION = """Headless, API-first CRM for charities and nonprofits.

Send your key as `Authorization: Bearer crm_…`. Money is integer minor units with an ISO 4217 code. Lists are keyset
pages: follow `next_cursor`. Every POST takes an `Idempotency-Key`. Errors are RFC 9457 problem documents with a stable
`code`. Enumerations in answers may grow: treat unknown values as "something else".
"""
_TAGS = {
    "api keys": "Credentials of programs; secrets are shown once.",
    "appeals": "Solicitations inside a campaign.",
    "campaigns": "Fundraising efforts with goal and dates.",
    "contacts": "People and organizations, in any script.",
    "deals": "Asks on their way through a pipeline.",
    "donations": "Gifts; status and balances follow from their payment entries.",
    "exchange rates": "Rates into the organization's currency.",
    "funds": "The purposes gifts are restricted to.",
    "health": "Whether the service can work.",
    "jobs": "The durable work that follows from what happened.",
    "members": "People who sign in, and their roles.",
    "messages": "Letters and what became of each.",
    "organization": "The tenant, and a test organization's clock.",
    "payments": "Connections to providers, their webhooks, and the inbox.",
    "pipelines": "Moves management: stages from identifying to stewarding.",
    "recurring plans": "Donors' standing promises to give.",
    "scoring": "Donors' totals, status with reasons, and RFM.",
}
_TITLES = {
    400: "The request cannot be read",
    401: "No valid credentials",
    403: "A scope is missing",
    404: "There is no such thing in this organization",
    409: "The state of things forbids it now",
    412: "The resource has changed since the ETag was read",
    413: "The body is too large",
    415: "The body is not JSON",
    422: "The input is wrong; `errors` says where",
    429: "The rate limit is used up",
    500: "An error on our side",
    503: "Try again in a moment",
}
_PROBLEM = {
    "type": "object",
    "description": "RFC 9457 problem document.",
    "required": ["type", "title", "status", "detail", "code", "request_id"],
    "properties": {
        "type": {"type": "string", "format": "uri"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "What is wrong and what to do next."},
        "code": {"type": "string", "description": "Stable, for programs."},
        "request_id": {"type": "string"},
        "scope": {"type": "string", "description": "The missing scope, for code missing_scope."},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["pointer", "code", "detail"],
                "properties": {
                    "pointer": {"type": "string", "description": "JSON pointer, or ?name of a query parameter."},
                    "code": {"type": "string"},
                    "detail": {"type": "string"},
                },
            },
        },
    },
    "examples": [
        {
            "type": "https://crm-api.dev/problems/not-found",
            "title": "Not found",
            "status": 404,
            "detail": "There is no such contact.",
            "code": "not_found",
            "request_id": "01938d6e-5a00-7000-8000-000000000001",
        }
    ],
}


def install(app: FastAPI) -> None:
    """Serve the document at `/openapi.json`, built when first asked for."""

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = build(app)
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]

    @app.get("/openapi.json", include_in_schema=False)
    async def openapi_json() -> Response:
        return Response(dumps(document()), media_type="application/json")


def _bodies(routes: list[Route]) -> list[type[BaseModel]]:
    found = {route.body_model.model.__name__: route.body_model.model for route in routes if route.body_model}
    return [found[name] for name in sorted(found)]


def build(app: FastAPI) -> dict[str, Any]:
    """The whole document."""
    routes = all_routes()
    document = get_openapi(
        title=app.title,
        version=app.version,
        summary=app.summary,
        description=app.description,
        routes=app.routes,
        separate_input_output_schemas=False,
        license_info={"name": "AGPL-3.0-or-later", "identifier": "AGPL-3.0-or-later"},
        servers=[{"url": "/", "description": "This server"}],
    )
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    _, defined = models_json_schema(
        [(model, "validation") for model in _bodies(routes)], ref_template="#/components/schemas/{model}"
    )
    for name, schema in defined.get("$defs", {}).items():
        schemas.setdefault(name, schema)
    schemas["Problem"] = _PROBLEM
    document["components"]["securitySchemes"] = {
        "apiKey": {
            "type": "http",
            "scheme": "bearer",
            "description": "An API key, or a token of a configured OpenID Connect issuer with X-Organization-Id.",
        }
    }
    document["tags"] = [{"name": name, "description": _TAGS[name]} for name in sorted(_tags(document))]
    document["x-scopes"] = SCOPES
    by_operation = {route.operation_id: route for route in routes}
    for item in document["paths"].values():
        for operation in item.values():
            route = by_operation.get(operation.get("operationId"))
            _declare_problems(operation, route)
            operation.setdefault("security", [])  # health and webhooks: a signature, or nothing, takes its place
    return document


def _tags(document: dict[str, Any]) -> set[str]:
    return {tag for item in document["paths"].values() for op in item.values() for tag in op.get("tags", [])}


def _declare_problems(operation: dict[str, Any], route: Route | None) -> None:
    responses = operation["responses"]
    kept = {status: value for status, value in responses.items() if status != "422"}
    statuses = route.problem_statuses() if route is not None else [500]
    for status in statuses:
        kept.setdefault(
            str(status),
            {
                "description": _TITLES[status],
                "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
            },
        )
    if route is None and "503" not in kept:
        kept.setdefault(
            "503",
            {
                "description": _TITLES[503],
                "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
            },
        )
    operation["responses"] = dict(sorted(kept.items()))
    if route is not None and "GET" in (route.methods or ()) and "{" in route.path and "200" in kept:
        operation["responses"].setdefault("304", {"description": "Not modified since the ETag in If-None-Match"})
