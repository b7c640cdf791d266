"""The OpenAPI document: what FastAPI knows, with our bodies, problems, security and facts put in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema
from starlette.responses import Response

from crm_api.api import all_routes
from crm_api.auth.scopes import SCOPES
from crm_api.idempotency.boundary import Route
from crm_api.kit import uploads
from crm_api.kit.reply import dumps

DESCRIPTION = """Headless, API-first CRM for charities and nonprofits.

Send your key as `Authorization: Bearer crm_…`. Money is integer minor units with an ISO 4217 code. Lists are keyset
pages: follow `next_cursor`. Every POST takes an `Idempotency-Key`. Errors are RFC 9457 problem documents with a stable
`code`. Enumerations in answers may grow: treat unknown values as "something else".
"""
_TAGS = {
    "api keys": "Credentials of programs; secrets are shown once.",
    "appeals": "Solicitations inside a campaign.",
    "audit events": "Who did what, when; names of changed fields, never their values.",
    "campaigns": "Fundraising efforts with goal and dates.",
    "checkouts": "Pages at payment providers, and what they may be used for.",
    "consents": "What people said about being contacted, and the way out of every list.",
    "contacts": "People and organizations, in any script.",
    "custom fields": "An organization's own typed fields of contacts.",
    "deals": "Asks on their way through a pipeline.",
    "documents": "Files attached to contacts, and links to their content.",
    "donations": "Gifts; status and balances follow from their payment entries.",
    "duplicates": "Candidates, the review queue, match rules, merges and their undoing.",
    "exchange rates": "Rates into the organization's currency.",
    "funds": "The purposes gifts are restricted to.",
    "gift batches": "Gifts entered together, with a control count and total.",
    "health": "Whether the service can work.",
    "households": "People who share an address and a greeting.",
    "intake": "Forms, telephony, lead ads and bots: their sources, and what they sent.",
    "ledger": "The books: accounts, journals, trial balance, closed periods, proofs.",
    "interactions": "Calls, meetings, messages, visits and notes, with everybody who took part.",
    "imports": "Files with contacts: tried row by row, written, paused, taken back.",
    "exports": "Records written into files: CSV, XLSX, JSON Lines.",
    "jobs": "The durable work that follows from what happened.",
    "members": "People who sign in, and their roles.",
    "teams": "Teams or branches: who belongs to them, which contacts they look after.",
    "messages": "Letters and what became of each.",
    "organization": "The tenant, and a test organization's clock.",
    "payments": "Connections to providers, their webhooks, and the inbox.",
    "payouts": "What providers have sent to the bank, matched with gifts.",
    "pipelines": "Moves management: stages from identifying to stewarding.",
    "pledges": "Promises of a total, in installments or in kind, and what became of them.",
    "privacy": "Erasing people, and giving them all that is kept of them.",
    "receipts": "Numbered documents for gifts, by gift or by year, and the public check of one.",
    "reconciliations": "Providers' own lists of payments, compared with ours.",
    "recurring plans": "Donors' standing promises to give.",
    "relationships": "Typed links between contacts, read from both sides; affiliations.",
    "reports": "Figures over many records, as JSON, CSV, SVG and PNG; kept runs; giving levels.",
    "scoring": "Donors' totals, status with reasons, and RFM.",
    "unmatched payments": "Payments that belong to nobody yet, and the rules that match them.",
    "segments": "Rules that keep their own members, and tell why; searching by a rule.",
    "tasks": "What somebody is to do, for whom, until when.",
}
_TITLES = {
    400: "The request cannot be read",
    401: "No valid credentials",
    403: "A scope is missing",
    404: "There is no such thing in this organization",
    406: "None of the forms that Accept names can be given",
    409: "The state of things forbids it now",
    412: "The resource has changed since the ETag was read",
    413: "The body is too large",
    415: "The body is of another content type than this route takes",
    416: "Range asks for bytes that the file does not have",
    422: "The input is wrong; `errors` says where",
    429: "The rate limit is used up",
    500: "An error on our side",
    503: "Try again in a moment",
}
_NAMES = {
    400: "BadRequest",
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    406: "NotAcceptable",
    409: "Conflict",
    412: "PreconditionFailed",
    413: "PayloadTooLarge",
    415: "UnsupportedMediaType",
    416: "RangeNotSatisfiable",
    422: "Invalid",
    429: "TooManyRequests",
    500: "InternalError",
    503: "Unavailable",
}
_TEXT = {"type": "string"}
_HEADERS: dict[str, tuple[str, dict[str, Any]]] = {
    "X-Request-Id": ("The request's id: the one that was sent, or a new one.", {"type": "string", "maxLength": 128}),
    "ETag": (
        "The version of the resource, for If-Match and If-None-Match.",
        {"type": "string", "pattern": '^"[0-9]+"$'},
    ),
    "Location": ("Where the new resource is.", {"type": "string", "format": "uri-reference"}),
    "Link": ('The next page, as `rel="next"`; absent on the last.', _TEXT),
    "RateLimit": ("What is left of the limit (r) and seconds until it is whole again (t).", _TEXT),
    "RateLimit-Policy": ("The limit: requests at once (q) and the window in seconds (w).", _TEXT),
    "Retry-After": ("Seconds to wait.", {"type": "integer", "minimum": 1}),
    "Idempotency-Replayed": ("`true` when this is the stored answer of an earlier request.", {"const": "true"}),
    "WWW-Authenticate": ("How to authenticate.", _TEXT),
}
_WITH_PROBLEM = {401: ("WWW-Authenticate",), 429: ("Retry-After",), 503: ("Retry-After",)}
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
    found |= {route.form.model.__name__: route.form.model for route in routes if route.form}
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
    for route in routes:
        if route.body_model is not None and route.body_model.media_type == "application/merge-patch+json":
            _without_null_defaults(schemas[route.body_model.model.__name__])
        if route.form is not None:
            name = route.form.model.__name__
            schemas[name] = uploads.described(route.form.model, schemas[name])
    _add_examples(schemas)
    schemas["Problem"] = _PROBLEM
    document["components"]["responses"] = _responses()
    document["components"]["headers"] = {
        name: {"description": description, "schema": schema} for name, (description, schema) in _HEADERS.items()
    }
    document["components"]["securitySchemes"] = {
        "apiKey": {
            "type": "http",
            "scheme": "bearer",
            "description": "An API key, or a token of a configured OpenID Connect issuer with X-Organization-Id.",
        }
    }
    document["tags"] = [{"name": name, "description": _TAGS.get(name, "")} for name in sorted(_tags(document))]
    document["x-scopes"] = SCOPES
    by_operation = {route.operation_id: route for route in routes}
    for item in document["paths"].values():
        for operation in item.values():
            _declare_problems(operation, by_operation.get(operation.get("operationId")))
            operation.setdefault("security", [])  # health and webhooks: a signature, or nothing, takes its place
    return document


def _tags(document: dict[str, Any]) -> set[str]:
    return {tag for item in document["paths"].values() for op in item.values() for tag in op.get("tags", [])}


def _declare_problems(operation: dict[str, Any], route: Route | None) -> None:
    kept = {status: value for status, value in operation["responses"].items() if status != "422"}
    for status in route.problem_statuses() if route is not None else [500, 503]:
        if str(status) not in kept or (route is not None and not route.responses.get(status)):
            kept[str(status)] = {"$ref": f"#/components/responses/{_NAMES[status]}"}
    for status, value in kept.items():
        if status.startswith("2"):
            value["headers"] = {name: _header(name) for name in _headers_of(status, route)}
    if route is not None and "GET" in (route.methods or ()) and "ETag" in _headers_of("200", route):
        kept["304"] = {"$ref": "#/components/responses/NotModified"}
    operation["responses"] = dict(sorted(kept.items()))


def _header(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/headers/{name}"}


def _headers_of(status: str, route: Route | None) -> list[str]:
    """Headers of a good answer."""
    found = ["X-Request-Id"]
    if route is not None and route.guard is not None:
        found += ["RateLimit", "RateLimit-Policy"]
        if "version" in getattr(route.response_model, "model_fields", {}):
            found.append("ETag")
        if route.guard.write and "POST" in (route.methods or ()):
            found.append("Idempotency-Replayed")
        if status == "201":
            found.append("Location")
    pages = route is not None and "next_cursor" in getattr(route.response_model, "model_fields", {})
    if route is not None and pages and "GET" in (route.methods or ()):
        found.append("Link")
    return found


def _responses() -> dict[str, Any]:
    """Every problem once; operations refer to it."""
    found: dict[str, Any] = {}
    for status, name in _NAMES.items():
        headers = [
            "X-Request-Id",
            *{401: ["WWW-Authenticate"], 429: ["Retry-After"], 503: ["Retry-After"]}.get(status, []),
        ]
        found[name] = {
            "description": _TITLES[status],
            "headers": {one: _header(one) for one in headers},
            "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
    headers_of_304 = {one: _header(one) for one in ("X-Request-Id", "ETag")}
    found["NotModified"] = {"description": "Not modified since the ETag in If-None-Match", "headers": headers_of_304}
    return found


def _add_examples(schemas: dict[str, Any]) -> None:
    """Examples of answers: real ones, kept in a file. A page's is made of its item's."""
    examples = json.loads(Path(__file__).with_name("openapi_examples.json").read_text("utf-8"))
    for name, schema in schemas.items():
        items = schema.get("properties", {}).get("data", {}).get("items", {})
        if name in examples:
            schema["examples"] = [examples[name]]
        elif (item := items.get("$ref", "").rpartition("/")[2]) in examples:
            schema["examples"] = [{"data": [examples[item]], "has_more": False, "next_cursor": None}]


def _without_null_defaults(schema: dict[str, Any]) -> None:
    """A member that a merge patch leaves out stays as it is: null would be a change."""
    for member in schema["properties"].values():
        if member.get("default", ...) is None:
            del member["default"]
