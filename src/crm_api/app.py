"""The HTTP application: one factory, used by every server process and by the tests."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware.errors import ServerErrorMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from crm_api import __version__, openapi
from crm_api.api import all_routes, include_routers, literal_paths, methods_of
from crm_api.audit import sensitive_reads
from crm_api.auth.oidc import OidcVerifier
from crm_api.auth.principal import Authenticator
from crm_api.docs_page import add_docs
from crm_api.documents.storage import FileStore
from crm_api.guard import require_safe_role
from crm_api.health import add_health
from crm_api.idempotency.boundary import Route, Services
from crm_api.intake.sources.directory import Directory as IntakeDirectory
from crm_api.kit import http, problems
from crm_api.kit.body import escape
from crm_api.kit.crypto import Vault
from crm_api.kit.db import Database
from crm_api.kit.direct import Dispatcher
from crm_api.kit.edge import Edge
from crm_api.kit.ratelimit import RateLimiter
from crm_api.outbox.doorbell import Doorbell
from crm_api.payments.connections.directory import Directory
from crm_api.registry import load_registry
from crm_api.settings import Settings, get_settings


def build_services(settings: Settings, database: Database) -> Services:
    """Everything requests use, on one database."""
    vault = Vault([key.get_secret_value() for key in settings.secret_keys])
    return Services(
        database=database,
        authenticator=Authenticator(database, OidcVerifier(settings.oidc_issuers)),
        limiter=RateLimiter(per_second=settings.rate_limit_per_second, burst=settings.rate_limit_burst),
        max_body_bytes=settings.max_body_bytes,
        check_responses=settings.check_responses,
        vault=vault,
        directory=Directory(database, vault),
        intake=IntakeDirectory(database, vault),
        files=FileStore(settings, vault),
        settings=settings,
    )


class Application(FastAPI):
    """Routes of ours are called straight away; everything else (docs, health, 404, 405) goes FastAPI's way."""

    _dispatcher: Dispatcher | None = None
    _capped: list[Route] | None = None

    def _find(self, scope: Scope) -> tuple[Any, dict[str, str]] | None:
        if self._dispatcher is None:
            # Somebody who adds middleware or telemetry to the application wants every request to pass it.
            plain = not self.user_middleware and not self._native_telemetry.enabled()
            self._dispatcher = Dispatcher(all_routes() if plain else ())
        return None if scope.get("root_path") else self._dispatcher.find(scope["method"], scope["path"])

    def body_cap(self, method: str, path: str) -> int | None:
        """How large a body may be where the route says so itself (forms with a file, batches); nothing elsewhere."""
        if self._capped is None:
            self._capped = [route for route in all_routes() if route.max_body_bytes is not None]
        for route in self._capped:
            if method in (route.methods or ()) and route.path_regex.match(path):
                return route.max_body_bytes
        return None

    def build_middleware_stack(self) -> ASGIApp:
        """Without Starlette's outermost layer: it answers what nobody caught in plain text, and the edge in ours."""
        stack = super().build_middleware_stack()
        return stack.app if isinstance(stack, ServerErrorMiddleware) else stack

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        found = self._find(scope) if scope["type"] == "http" else None
        if found is None or found[1]:
            literal = literal_paths().get(scope["path"]) if scope["type"] == "http" else None
            if literal is not None and scope["method"] not in literal:
                await _not_taken(Request(scope), scope["path"])(scope, receive, send)
                return
        if found is None:
            await super().__call__(scope, receive, send)
            return
        scope["app"] = self
        scope["route"], scope["path_params"] = found
        request = Request(scope, receive, send)
        try:
            response = await found[0].direct(request)
        except problems.Problem as problem:
            response = _render(request, problem)
        except RequestValidationError as error:
            response = _render(request, _of_validation(error))
        except HTTPException as error:
            response = _render(request, _of_http(error, scope["path"]))
        await response(scope, receive, send)


def create_app(settings: Settings | None = None) -> FastAPI:
    """The application without its outermost layer (see `asgi`)."""
    chosen = settings or get_settings()
    load_registry()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        http.configure(chosen.service_urls, paypal_ca_file=chosen.paypal_ca_file)
        database = await Database.open(
            chosen.database_url, size=chosen.database_pool, statement_cache=chosen.database_statement_cache
        )
        if chosen.environment == "production":
            await require_safe_role(database)
        app.state.services = build_services(chosen, database)
        doorbell = Doorbell(chosen.redis_url)
        doorbell.install()
        try:
            yield
        finally:
            await doorbell.close()
            await sensitive_reads.flush(database)
            await database.close()

    app = Application(
        title="crm-api",
        version=__version__,
        summary="Headless CRM for charities and nonprofits",
        description=openapi.DESCRIPTION,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        separate_input_output_schemas=False,
        redirect_slashes=False,
    )
    add_handlers(app)
    include_routers(app)
    add_health(app)
    add_docs(app)
    openapi.install(app)
    return app


def asgi(settings: Settings | None = None) -> ASGIApp:
    """What a server runs: the application behind its edge."""
    chosen = settings or get_settings()
    return Edge(create_app(chosen), max_body_bytes=chosen.max_body_bytes, access_log=chosen.access_log)


def _render(request: Request, problem: problems.Problem) -> Response:
    if isinstance(problem, problems.Moved):
        problem = problem.on(request.method, request.url.path, request.url.query)
    return Response(
        problems.render(problem, request.scope.get("crm.request_id", "")),
        status_code=problem.status,
        media_type=problems.MEDIA_TYPE,
        headers=problem.headers,
    )


def _method_not_allowed(allow: str) -> problems.Problem:
    return problems.MethodNotAllowed("This address does not take this method; see Allow.", headers={"Allow": allow})


def _not_taken(request: Request, path: str) -> Response:
    return _render(request, _method_not_allowed(", ".join(methods_of(path))))


def _of_http(error: HTTPException, path: str) -> problems.Problem:
    if error.status_code == 404:
        return problems.NotFound("There is nothing at this address; see /docs for every route.", code="route_not_found")
    if error.status_code == 405:
        return _method_not_allowed(", ".join(methods_of(path)) or (error.headers or {}).get("Allow", ""))
    return problems.BadRequest("The request cannot be read.")


def _of_validation(error: RequestValidationError) -> problems.Problem:
    errors = []
    for item in error.errors()[:50]:
        place, *rest = item.get("loc", ("",))
        name = "/".join(escape(str(part)) for part in rest)
        pointer = {"query": f"?{name}", "path": f"{{{name}}}"}.get(str(place), f"/{name}")
        errors.append(problems.FieldError(pointer, str(item.get("type", "invalid")), f"{item.get('msg', 'Invalid')}."))
    return problems.Invalid("The request is not acceptable; see errors.", errors=errors)


def add_handlers(app: FastAPI) -> None:
    """Problem documents for everything that can go wrong."""

    async def on_problem(request: Request, error: Any) -> Response:
        return _render(request, error)

    async def on_http(request: Request, error: Any) -> Response:
        return _render(request, _of_http(error, request.scope["path"]))

    async def on_validation(request: Request, error: Any) -> Response:
        return _render(request, _of_validation(error))

    app.add_exception_handler(problems.Problem, on_problem)
    app.add_exception_handler(HTTPException, on_http)
    app.add_exception_handler(RequestValidationError, on_validation)
