"""The outermost layer: request ids, body caps, rate-limit headers, metrics, access log, and no exception uncaught."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from prometheus_client import Counter, Histogram
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uuid_utils import uuid7

from crm_api.kit import clock, problems
from crm_api.kit.log import get_logger, log_request
from crm_api.kit.metrics import REQUEST_SECONDS, REQUESTS

log = get_logger("crm_api.http")
_REQUEST_ID = re.compile(rb"^[A-Za-z0-9._:-]{1,128}$")
_SECURITY = [
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
    (b"referrer-policy", b"no-referrer"),
]


class Edge:
    """Wraps the application."""

    def __init__(self, app: ASGIApp, *, max_body_bytes: int, access_log: bool) -> None:
        self.app = app
        self.max_body_bytes = max_body_bytes
        self.access_log = access_log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request_id = _request_id(scope)
        scope["crm.request_id"] = request_id
        started = clock.monotonic()
        state: dict[str, Any] = {"status": 0}

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                state["status"] = message["status"]
                headers = [*message.get("headers", ()), (b"x-request-id", request_id.encode())]
                present = {name for name, _ in headers}
                headers += [pair for pair in _SECURITY if pair[0] not in present]
                headers += _limit_headers(scope)
                message = {**message, "headers": headers}
            await send(message)

        try:
            if (declared := _declared_length(scope)) > self.max_body_bytes and declared > (cap := self._cap(scope)):
                raise _too_large(cap)
            await self.app(scope, self._capped(scope, receive), send_with_headers)
        except problems.Problem as problem:
            if not state["status"]:
                await _answer(send_with_headers, problem, request_id)
        except ClientDisconnect:
            state["status"] = state["status"] or _CLIENT_GONE
        except Exception as error:
            log.error("request_failed", request_id=request_id, error=type(error).__name__, at=_place(error))
            # An answer that broke off is closed by the server; to raise would put the error's own text into its log.
            if not state["status"]:
                await _answer(
                    send_with_headers,
                    problems.Problem(
                        "Something went wrong on our side. Send the request again; if it stays, report the request id."
                    ),
                    request_id,
                )
        finally:
            self._account(scope, state["status"], clock.monotonic() - started, request_id)

    def _capped(self, scope: Scope, receive: Receive) -> Receive:
        seen = 0
        cap = self.max_body_bytes

        async def counted() -> Message:
            nonlocal seen, cap
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > cap and seen > (cap := self._cap(scope)):
                raise _too_large(cap)
            return message

        return counted

    def _cap(self, scope: Scope) -> int:
        """The cap of this request's route, where it declares one of its own (forms with a file)."""
        of_route = getattr(self.app, "body_cap", None)
        own: int | None = None if of_route is None else of_route(scope["method"], scope["path"])
        return self.max_body_bytes if own is None else own

    def _account(self, scope: Scope, status: int, seconds: float, request_id: str) -> None:
        route = scope.get("route")
        template = getattr(route, "path_format", None) or getattr(route, "path", None) or "unmatched"
        method = scope["method"] if scope["method"] in _METHODS else "OTHER"
        requests, time = _meters(method, template, status)
        requests.inc()
        time.observe(seconds)
        if self.access_log:
            log_request(method, template, status, round(seconds * 1000, 2), request_id)


def _too_large(cap: int) -> problems.PayloadTooLarge:
    return problems.PayloadTooLarge(f"The body is larger than {cap} bytes. Split it, or use an import for bulk data.")


@lru_cache(maxsize=4096)
def _meters(method: str, template: str, status: int) -> tuple[Counter, Histogram]:
    return REQUESTS.labels(method, template, status), REQUEST_SECONDS.labels(method, template)


_CLIENT_GONE = 499  # for metrics and the log only: nobody is there to read an answer
_METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"})


def _declared_length(scope: Scope) -> int:
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit():
            return int(value[:19])  # so long a length is too large, whatever its digits are
    return 0


def _request_id(scope: Scope) -> str:
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _REQUEST_ID.match(value):
            return str(value.decode())
    return str(uuid7())


def _limit_headers(scope: Scope) -> list[tuple[bytes, bytes]]:
    limit = scope.get("crm.limit")
    if limit is None:
        return []
    policy, verdict = limit
    return [
        (b"ratelimit-policy", policy.encode()),
        (b"ratelimit", f'"default";r={verdict.remaining};t={verdict.reset_seconds}'.encode()),
    ]


def _place(error: BaseException) -> str:
    frame = error.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    return "" if frame is None else f"{frame.tb_frame.f_code.co_filename.rpartition('/')[2]}:{frame.tb_lineno}"


async def _answer(send: Send, problem: problems.Problem, request_id: str) -> None:
    content = problems.render(problem, request_id)
    headers = [(b"content-type", problems.MEDIA_TYPE.encode()), (b"content-length", str(len(content)).encode())]
    headers += [(name.lower().encode(), value.encode()) for name, value in problem.headers.items()]
    await send({"type": "http.response.start", "status": problem.status, "headers": headers})
    await send({"type": "http.response.body", "body": content})
