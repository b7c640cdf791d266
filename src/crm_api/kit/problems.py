"""Errors that mean something over HTTP: RFC 9457 problem details.

Services raise these; one handler renders them. A problem never carries the rejected value, a bound SQL value or
anything personal: `detail` says what is wrong and what to do next.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple
from uuid import UUID

import orjson

MEDIA_TYPE = "application/problem+json"


class FieldError(NamedTuple):
    """What is wrong at one place of the payload; `pointer` is a JSON pointer, or ``?name`` for a query parameter."""

    pointer: str
    code: str
    detail: str


class Problem(Exception):
    """Base of every error a client sees."""

    status: ClassVar[int] = 500
    code: str = "internal_error"
    title: ClassVar[str] = "Internal error"

    def __init__(
        self,
        detail: str,
        *,
        code: str | None = None,
        errors: Sequence[FieldError] = (),
        headers: Mapping[str, str] | None = None,
        **extra: Any,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        if code is not None:
            self.code = code
        self.errors = tuple(errors)
        self.headers = dict(headers or {})
        self.extra = extra


class BadRequest(Problem):
    """The request cannot be read at all."""

    status, code, title = 400, "bad_request", "Bad request"


class Unauthorized(Problem):
    """No credentials, or none that are valid now."""

    status, code, title = 401, "unauthorized", "Not authenticated"

    def __init__(self, detail: str, *, code: str | None = None) -> None:
        super().__init__(detail, code=code, headers={"WWW-Authenticate": 'Bearer realm="crm-api"'})


class Forbidden(Problem):
    """Authenticated, but not allowed; names the missing scope."""

    status, code, title = 403, "forbidden", "Not allowed"


class NotFound(Problem):
    """No such thing in this organization (another tenant's id is the same answer)."""

    status, code, title = 404, "not_found", "Not found"

    @classmethod
    def reference(cls, member: str) -> NotFound:
        """A member of the body names nothing of this organization."""
        detail = f"{member or 'A reference'} names something that does not exist in this organization."
        code = "reference_not_found"
        return cls(detail, code=code, errors=[FieldError(f"/{member}", code, detail)])


class Moved(Problem):
    """The row lives on under another id, as after a merge. A read is sent on (301); a write is refused (409), since a
    client that follows a redirect would repeat it as a read."""

    status, code, title = 301, "moved", "Moved"

    def __init__(self, old: UUID, new: UUID) -> None:
        super().__init__(f"This contact was merged into {new}. Use that id from now on.")
        self.old, self.new = old, new

    def on(self, method: str, path: str, query: str) -> Problem:
        """What a request with this method and address gets."""
        target = path.replace(str(self.old), str(self.new)) + (f"?{query}" if query else "")
        if method in {"GET", "HEAD"}:
            self.headers["Location"] = target
            return self
        return Conflict(self.detail, code="contact_merged", headers={"Location": target}, survivor_id=str(self.new))


class MethodNotAllowed(Problem):
    """The path exists, the method does not."""

    status, code, title = 405, "method_not_allowed", "Method not allowed"


class NotAcceptable(Problem):
    """The resource cannot be given in any form that `Accept` names."""

    status, code, title = 406, "not_acceptable", "Not acceptable"


class Conflict(Problem):
    """The state of the resource, or a twin request in flight, forbids it now."""

    status, code, title = 409, "conflict", "Conflict"


class PreconditionFailed(Problem):
    """`If-Match` names another version than the current one."""

    status, code, title = 412, "precondition_failed", "The resource has changed"


class PayloadTooLarge(Problem):
    """The body is over the route's cap."""

    status, code, title = 413, "payload_too_large", "Payload too large"


class UnsupportedMedia(Problem):
    """The body is not JSON."""

    status, code, title = 415, "unsupported_media_type", "Unsupported media type"


class RangeNotSatisfiable(Problem):
    """`Range` asks for bytes that the file does not have."""

    status, code, title = 416, "range_not_satisfiable", "No such part"


class Invalid(Problem):
    """The payload or a parameter is wrong; `errors` says where."""

    status, code, title = 422, "invalid", "Invalid input"

    @classmethod
    def at(cls, pointer: str, code: str, detail: str) -> Invalid:
        """One error at one place."""
        return cls(detail, errors=[FieldError(pointer, code, detail)])


class TooManyRequests(Problem):
    """The rate limit of the key is used up."""

    status, code, title = 429, "rate_limited", "Too many requests"


class Unavailable(Problem):
    """The database is away or busy; the same request may be sent again."""

    status, code, title = 503, "unavailable", "Temporarily unavailable"

    def __init__(self, detail: str, *, retry_after: int = 1) -> None:
        super().__init__(detail, headers={"Retry-After": str(retry_after)})


def body(
    *,
    status: int,
    title: str,
    code: str,
    detail: str,
    request_id: str,
    errors: Sequence[FieldError] = (),
    extra: Mapping[str, Any] | None = None,
) -> bytes:
    """The bytes of a problem document."""
    document: dict[str, Any] = {
        "type": f"https://crm-api.dev/problems/{code.replace('_', '-')}",
        "title": title,
        "status": status,
        "detail": detail,
        "code": code,
        "request_id": request_id,
    }
    if errors:
        document["errors"] = [error._asdict() for error in errors]
    if extra:
        document.update(extra)
    return orjson.dumps(document)


def render(problem: Problem, request_id: str) -> bytes:
    """The bytes of a problem document for a raised problem."""
    return body(
        status=problem.status,
        title=problem.title,
        code=problem.code,
        detail=problem.detail,
        request_id=request_id,
        errors=problem.errors,
        extra=problem.extra,
    )
