"""The boundary of a request: who acts, which session, one commit before the answer leaves.

`reads(scope)` and `writes(scope)` are the parameter types endpoints use, so that a missing protection is visible in the
signature. The route class opens nothing by itself: it commits what a write dependency opened, together with the stored
answer of an idempotency key, and rolls back when anything raises.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from functools import lru_cache
from typing import Any

from fastapi import APIRouter, Depends, Request, Response
from fastapi.routing import APIRoute
from pydantic import BaseModel, TypeAdapter

from crm_api.auth.principal import Authenticator, Principal
from crm_api.auth.scopes import PUBLISHABLE_SCOPES
from crm_api.idempotency import service
from crm_api.kit import body as bodies
from crm_api.kit import parameters as described
from crm_api.kit.db import Database, ReadSession, WriteSession
from crm_api.kit.direct import Handler, compile_endpoint
from crm_api.kit.fields import Catalogue
from crm_api.kit.listing import ListQuery, parse_list_query
from crm_api.kit.problems import (
    BadRequest,
    FieldError,
    Invalid,
    PreconditionFailed,
    Problem,
    TooManyRequests,
    UnsupportedMedia,
)
from crm_api.kit.ratelimit import RateLimiter
from crm_api.kit.reply import Reply, not_modified
from crm_api.kit.sparse import members_of, parse_fields, prune
from crm_api.kit.uploads import SCOPE_KEY, Upload, UploadForm

_STATE = "crm.call"
_ANONYMOUS_PROBLEMS = (413, 422, 500, 503)
_GUARDED_PROBLEMS = (401, 403, 404, 413, 422, 429, 500, 503)


class Services:
    """What every request may use; one per process, at `app.state.services`."""

    def __init__(
        self,
        *,
        database: Database,
        authenticator: Authenticator,
        limiter: RateLimiter,
        max_body_bytes: int,
        check_responses: bool,
        **more: Any,
    ) -> None:
        self.database = database
        self.authenticator = authenticator
        self.limiter = limiter
        self.max_body_bytes = max_body_bytes
        self.check_responses = check_responses
        self.more = more


class Call:
    """One request on its way: filled by dependencies, finished by the route."""

    __slots__ = ("claim", "principal", "replayed", "session")

    def __init__(self) -> None:
        self.principal: Principal | None = None
        self.session: WriteSession | None = None
        self.claim: service.Claim | None = None
        self.replayed: Response | None = None


class _Replay(Exception):
    pass


def services(request: Request) -> Services:
    """The process's services."""
    found: Services = request.app.state.services
    return found


def call_of(request: Request) -> Call:
    """The request on its way."""
    call: Call | None = request.scope.get(_STATE)
    if call is None:
        call = request.scope[_STATE] = Call()
    return call


async def authenticated(request: Request) -> Principal:
    """The principal of the request, counted against its rate limit."""
    call = call_of(request)
    if call.principal is None:
        lent = services(request)
        principal = await lent.authenticator.authenticate(request.headers)
        verdict = lent.limiter.hit(principal.id)
        request.scope["crm.limit"] = (lent.limiter.policy, verdict)
        if not verdict.allowed:
            problem = TooManyRequests(f"The limit of this key is used up. Wait {verdict.reset_seconds} s, then go on.")
            problem.headers["Retry-After"] = str(verdict.reset_seconds)
            raise problem
        call.principal = principal
    return call.principal


class Guard:
    """A dependency that authenticates, checks a scope and gives the session. `also`: scopes that will do as well."""

    def __init__(self, scope: str, *also: str, write: bool) -> None:
        self.scope = scope
        self.also = frozenset(also)
        self.write = write

    async def admit(self, request: Request) -> Principal:
        """Who asks, if they may; nothing else of the request is looked at before."""
        principal = await authenticated(request)
        if not principal.scopes & self.also:
            principal.require(self.scope)
        return principal

    async def __call__(self, request: Request) -> ReadSession:
        principal = await self.admit(request)
        actor = principal.actor(request.scope.get("crm.request_id", ""))
        database = services(request).database
        if not self.write:
            return database.read(principal.tenant, actor)
        if SCOPE_KEY not in request.scope:  # a form with a file was read by the route
            await request.body()  # all of it first: a slow sender must not hold a connection
        call = call_of(request)
        call.session = database.begin(principal.tenant, actor)
        await claim_key(request, call)
        return call.session


def _claimant(principal: Principal) -> str:
    """Whose key it is: the organization's, so that a retry after a key was rotated finds the first answer. A
    publishable key is everybody's, so it stands alone; whoever sees a part is given answers to those who see the same
    part. The scope was checked before."""
    if principal.limit is not None:
        return f"limit:{principal.limit.digest}"
    return f"publishable:{principal.id}" if principal.scopes <= PUBLISHABLE_SCOPES else "organization"


async def claim_key(request: Request, call: Call) -> None:
    """Take the request's idempotency key in its session; one that was carried out already is answered from there."""
    key = request.headers.get("idempotency-key")
    if key is None or request.method != "POST":
        return
    service.check_key(key)
    assert call.session is not None
    assert call.principal is not None
    scope = request.scope
    query = scope.get("query_string", b"").decode("latin-1")
    form: Upload[Any] | None = scope.get(SCOPE_KEY)
    content = await request.body() if form is None else form.fingerprint
    print_ = service.fingerprint(request.method, scope["path"], query, content)
    call.claim = service.Claim(_claimant(call.principal), key, print_)
    stored = await service.claim(call.session, call.claim)
    if stored is not None:
        headers = {**stored["headers"], "Idempotency-Replayed": "true"}
        call.replayed = Response(stored["body"].encode(), status_code=stored["status"], headers=headers)
        raise _Replay


def reads(scope: str, *also: str) -> Any:
    """`Annotated[ReadSession, reads("contacts:read")]`."""
    return Depends(Guard(scope, *also, write=False))


def writes(scope: str, *also: str) -> Any:
    """`Annotated[WriteSession, writes("contacts:write")]`."""
    return Depends(Guard(scope, *also, write=True))


class JsonBody:
    """A dependency that reads the body strictly into a model."""

    def __init__(self, model: type[BaseModel], media_type: str, max_bytes: int | None) -> None:
        self.model = model
        self.media_type = media_type
        self.max_bytes = max_bytes

    async def __call__(self, request: Request) -> BaseModel:
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind not in {"application/json", self.media_type} and not kind.endswith("+json"):
            raise UnsupportedMedia("Send the body as JSON with 'Content-Type: application/json'.")
        return bodies.parse_model(self.model, await request.body())


def json_body(model: type[BaseModel], *, media_type: str = "application/json", max_bytes: int | None = None) -> Any:
    """`Annotated[ContactCreate, json_body(ContactCreate)]`. `max_bytes`: where the general cap of bodies is too low."""
    return Depends(JsonBody(model, media_type, max_bytes))


class Listed:
    """A dependency that reads filters, sort and page of a list."""

    def __init__(self, catalogue: Catalogue) -> None:
        self.catalogue = catalogue

    async def __call__(self, request: Request) -> ListQuery:
        return parse_list_query(self.catalogue, request.query_params.multi_items(), path=request.url.path)


def list_query(catalogue: Catalogue) -> Any:
    """`Annotated[ListQuery, list_query(CONTACTS)]`."""
    return Depends(Listed(catalogue))


_ENTITY_TAGS = re.compile(r'(W/)?"[!#-~]*"(\s*,\s*(W/)?"[!#-~]*")*')


async def _if_match(request: Request) -> int | None:
    header = request.headers.get("if-match")
    if header is None:
        return None
    text = header.strip()
    if text == "*":
        return None
    if not _ENTITY_TAGS.fullmatch(text):
        raise BadRequest('If-Match must hold an ETag in double quotes, such as "3".', code="if_match_malformed")
    if text[1:-1].isdecimal() and len(text) < 14:
        return int(text[1:-1])
    raise PreconditionFailed("If-Match does not hold an ETag of this resource; read it again and use its ETag.")


IfMatch = Depends(_if_match)
"""`Annotated[int | None, IfMatch]`: the version the client believes to change."""


def _parts(dependant: Any) -> list[Any]:
    found = [dependant.call]
    for inner in dependant.dependencies:
        found.extend(_parts(inner))
    return found


class Route(APIRoute):
    """Every route of the API: strict query names, one commit, problems declared."""

    direct: Handler
    """The whole handling of a request, for whoever has found the route already."""

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        super().__init__(path, endpoint, **options)
        parts = _parts(self.dependant)
        self.guard = next((part for part in parts if isinstance(part, Guard)), None)
        self.body_model = next((part for part in parts if isinstance(part, JsonBody)), None)
        self.form = next((part for part in parts if isinstance(part, UploadForm)), None)
        self.listed = next((part.catalogue for part in parts if isinstance(part, Listed)), None)
        caps = (getattr(self.form, "max_body_bytes", None), getattr(self.body_model, "max_bytes", None))
        self.max_body_bytes: int | None = caps[0] or caps[1]
        self.conditional = _if_match in parts
        self.known_query = frozenset(field.alias for field in self.dependant.query_params)
        self.members = members_of(self.response_model) if self.guard and "GET" in (self.methods or ()) else frozenset()
        if self.members:
            self.known_query |= {"fields"}
        self.openapi_extra = {**self._described(), **(self.openapi_extra or {})}

    def _described(self) -> dict[str, Any]:
        extra: dict[str, Any] = {}
        if self.body_model is not None:
            reference = {"$ref": f"#/components/schemas/{self.body_model.model.__name__}"}
            extra["requestBody"] = {"required": True, "content": {self.body_model.media_type: {"schema": reference}}}
        if self.form is not None:
            reference = {"$ref": f"#/components/schemas/{self.form.model.__name__}"}
            extra["requestBody"] = {"required": True, "content": {"multipart/form-data": {"schema": reference}}}
        parameters: list[dict[str, Any]] = []
        if self.listed is not None:
            parameters += described.of_list(self.listed)
        if self.members:
            parameters.append(described.of_members(self.members))
        if self.conditional:
            parameters.append(described.IF_MATCH)
        if self.guard is not None and self.guard.write and "POST" in (self.methods or ()):
            parameters.append(described.IDEMPOTENCY_KEY)
        if parameters:
            extra["parameters"] = parameters
        if self.guard is not None:
            extra["security"] = [{"apiKey": []}]
            extra["x-scope"] = self.guard.scope
        return extra

    def problem_statuses(self) -> list[int]:
        """Every error status the route may answer."""
        found = set(_GUARDED_PROBLEMS if self.guard else _ANONYMOUS_PROBLEMS)
        if self.body_model is not None or self.form is not None:
            found |= {400, 415}
        if self.conditional:
            found.add(412)
        if 206 in self.responses:
            found.add(416)
        if self.param_convertors:
            found.add(404)
        found |= {int(status) for status, said in self.responses.items() if not said}  # named, described as every other
        if (self.methods or set()) & {"POST", "PUT", "PATCH", "DELETE"}:
            found |= {400, 409}
        return sorted(found)

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """What answers a request: the endpoint, its commit, and what is true of every route."""
        inner = compile_endpoint(self) or super().get_route_handler()

        async def carry_out(request: Request, call: Call) -> Response:
            try:
                response = await inner(request)
                if call.session is not None:
                    await _commit(call, response)
            except _Replay:
                assert call.replayed is not None
                response = call.replayed
            except BaseException as error:
                if call.session is not None:
                    await asyncio.shield(call.session.end(error))  # database trouble comes out as a 503
                raise
            if call.session is not None:
                await call.session.end(None)
            return response

        async def handle(request: Request) -> Response:
            call = request.scope[_STATE] = Call()
            if self.guard is not None:
                await self.guard.admit(request)
            wanted = None
            if request.scope.get("query_string"):
                if self.listed is None and "x-any-query" not in (self.openapi_extra or {}):
                    _refuse_unknown_query(request, self.known_query)
                if self.members and "fields" in request.query_params:
                    wanted = parse_fields(request.query_params["fields"], self.members)
            if self.form is None:
                response = await carry_out(request, call)
            else:
                async with _form_of(request, call, self.form):
                    response = await carry_out(request, call)
            if services(request).check_responses and isinstance(response, Reply) and self.response_model:
                _adapter(self.response_model).validate_json(bytes(response.body))
            if wanted is not None and response.status_code == 200 and isinstance(response, Reply):
                response = prune(response, wanted)
            return not_modified(request, response)

        self.direct = handle
        return handle


@asynccontextmanager
async def _form_of(request: Request, call: Call, declared: UploadForm[Any]) -> AsyncIterator[None]:
    """The form with a file for the time of the request; what was kept of one that is refused is taken back."""
    form = request.scope[SCOPE_KEY] = await declared.receive(request)
    refused = False
    try:
        if declared.keep is not None and call.principal is not None:
            await declared.keep(services(request), call.principal.tenant.id, form)
        yield
        refused = call.replayed is not None
    except Problem as problem:
        refused = problem.status < 500  # otherwise the transaction may stand all the same
        raise
    finally:
        await asyncio.shield(form.close(refused=refused))


@lru_cache(maxsize=512)
def _adapter(model: Any) -> TypeAdapter[Any]:
    return TypeAdapter(model)


def _refuse_unknown_query(request: Request, known: frozenset[str]) -> None:
    for name in request.query_params:
        if name not in known:
            shown = name[:64].encode("ascii", "replace").decode()
            raise Invalid(
                "There is no such query parameter here.",
                errors=[FieldError(f"?{shown}", "unknown_parameter", "This parameter is not known here; remove it.")],
            )


async def _commit(call: Call, response: Response) -> None:
    assert call.session is not None
    if call.claim is not None and response.status_code < 300:
        headers = {
            name: value for name, value in response.headers.items() if name in {"content-type", "location", "etag"}
        }
        kept = getattr(response, "stored_body", None) or bytes(response.body)
        service.store(call.session, call.claim, status=response.status_code, headers=headers, body=kept)
    await call.session.commit()


def router(tag: str) -> APIRouter:
    """A router of the API."""
    return APIRouter(route_class=Route, tags=[tag])
