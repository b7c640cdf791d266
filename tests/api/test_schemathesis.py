"""Schemathesis over the whole API with all its checks: examples, boundary values, random data, chains of calls.

The document is what it reads. Where a rule cannot be said in JSON Schema (two members that depend on each other, a code
from a list of ISO's, a limit on how many filters), `obey` makes a valid request obey it; what is not valid is sent as it
is. Everything runs in this process, against the application behind its edge.
"""

from __future__ import annotations

import asyncio
import copy
import json
import os
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import pytest
import schemathesis
from schemathesis.engine import events, from_schema

from crm_api.contacts.parts import clean_email, clean_phone
from crm_api.kit import clock, money
from tests.api.surface import document, plant
from tests.support.world import World

MAX_EXAMPLES = int(os.environ.get("CRM_FUZZ_EXAMPLES", "6"))
"""Per operation and phase; a long hunt: ``CRM_FUZZ_EXAMPLES=200 CRM_FUZZ_SEED=1 make test ARGS="-k schemathesis"``."""
CHECKS = {
    "not_a_server_error", "status_code_conformance", "content_type_conformance", "response_headers_conformance",
    "response_schema_conformance", "negative_data_rejection", "positive_data_acceptance", "missing_required_header",
    "unsupported_method", "allow_header_conformance", "use_after_free", "ensure_resource_availability", "ignored_auth",
    "object_level_authorization",
}  # fmt: skip


# Requests that obey what JSON Schema cannot say


def _fits(check: Callable[[Any], Any], value: Any) -> bool:
    try:
        check(value)
    except (ValueError, TypeError):
        return False
    return True


_FORMS: dict[str, tuple[Callable[[Any], Any], Any]] = {
    "currency": (money.exponent, "USD"),
    "source_currency": (money.exponent, "USD"),
    "target_currency": (money.exponent, "UAH"),
    "timezone": (clock.zone, "Europe/Kyiv"),
    "email": (clean_email, "olena@example.org"),
    "reply_email": (clean_email, "olena@example.org"),
    "address": (clean_email, "olena@example.org"),
    "number": (clean_phone, "+380501234567"),
}
"""Members of a form that is a list or a grammar of its own: what tells, and one that fits."""


def _obey_forms(value: Any) -> None:
    if isinstance(value, dict):
        for name, item in value.items():
            if isinstance(item, str) and name in _FORMS and not _fits(_FORMS[name][0], item):
                value[name] = _FORMS[name][1]
            elif isinstance(item, str) and name.endswith("name") and not item.strip():
                value[name] = "Olena"  # what is blank differs from one language's regular expressions to another's
            elif isinstance(item, float) and item.is_integer():
                value[name] = int(item)  # JSON Schema calls 2.0 a whole number
            elif name == "custom":
                value[name] = {}  # takes what the organization has defined
                continue
            _obey_forms(value[name])
    elif isinstance(value, list):
        for item in value:
            _obey_forms(item)


def _obey_body(operation: str, body: dict[str, Any]) -> None:
    _obey_forms(body)
    for name in ("expires_at", "received_at", "refunded_at", "now", "ends_on"):
        if name in body:
            body[name] = None  # has to lie after now, or not far from it, or after another one
    if operation in {"contacts_create", "contacts_upsert_by_external_id"}:
        body["organization_name"] = body.get("organization_name") or "Red Cross"
    elif operation == "contacts_update" and body.get("kind"):
        body["organization_name"] = "Red Cross"
    elif operation == "contacts_update":
        body.pop("organization_name", None)
    elif operation == "api_keys_create":
        body |= {"kind": "secret", "scopes": ["contacts:read"]}
    elif operation == "exchange_rates_create":
        body |= {"source_currency": "EUR", "target_currency": "USD", "rate": "1.5"}
    elif operation == "donations_refund":
        body.pop("amount", None)  # of the gift's currency, and no more than is left
    elif operation == "payment_connections_create":
        body |= {"provider": "stripe", "credentials": {"webhook_secret": "whsec_x"}}
    elif operation == "payment_connections_update":
        body.pop("credentials", None)
    elif operation == "custom_fields_create":
        body |= {"type": "text", "choices": []}
    elif operation == "custom_fields_update":
        body.pop("choices", None)  # no code twice
    elif operation in {"relationships_create", "relationships_update"}:
        body.pop("since", None)  # not after until
        body.pop("until", None)
    elif operation == "household_patterns_put":
        body.clear()  # placeholders are a grammar of their own
    elif operation in {"households_create", "households_update"}:
        body.pop("address", None)  # a season has both ends
    elif operation == "deals_create":
        body.pop("stage_id", None)  # of that pipeline
    for stage in [body, *(body.get("stages") or [])] if operation.startswith("pipeline") else []:
        if isinstance(stage, dict) and "outcome" in stage:
            stage["outcome"] = "open"


def obey(case: Any) -> None:
    """Make a valid request obey the rules that the document can only tell in words."""
    operation = case.operation.definition.raw["operationId"]
    if isinstance(case.body, dict):
        body = copy.deepcopy(case.body)
        _obey_body(operation, body)
        case.body = body
    query = dict(case.query or {})
    query.pop("cursor", None)  # only the server makes them
    if len(query.get("q", "letters")) < 2 or not query.get("q", "letters").isalpha():
        query["q"] = "olena"
    if "as_of" in query:
        query["as_of"] = "2026-11-22"
    for name in query:
        if name.endswith("[in]") and isinstance(query[name], list):
            query[name] = [str(one).replace(",", "") or "0" for one in query[name]]
    case.query = dict(list(query.items())[:15])
    for name in list(case.headers or {}):
        if name.lower() == "idempotency-key":
            case.headers[name] = str(uuid4())  # a used one belongs to its request
        if name.lower() == "if-match":
            case.headers[name] = "*"  # the current version, whatever it is


# The application, from whatever thread and loop Schemathesis calls it


def _bridge(app: Any, loop: asyncio.AbstractEventLoop) -> Any:
    async def run(scope: Any, messages: list[Any]) -> list[Any]:
        sent: list[Any] = []

        async def receive() -> Any:
            return messages.pop(0) if messages else await asyncio.Event().wait()

        async def send(message: Any) -> None:
            sent.append(message)

        await app(scope, receive, send)
        return sent

    async def application(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            raise RuntimeError("only HTTP is bridged")
        messages = [await receive()]
        while messages[-1].get("more_body"):
            messages.append(await receive())
        future = asyncio.run_coroutine_threadsafe(run(scope, messages), loop)
        for message in await asyncio.wrap_future(future):
            await send(message)

    return application


def _thinned(whole: dict[str, Any]) -> dict[str, Any]:
    """The document with each kind of query parameter in one list only: they are read by one function, and
    `test_hostile_addresses` and `test_listing` send every one. Without `fields`: the answer then lacks members that its
    schema requires, which is what it is for."""
    result = copy.deepcopy(whole)
    seen: Counter[str] = Counter()
    for item in result["paths"].values():
        for operation in item.values():
            kept = []
            for parameter in operation.get("parameters", []):
                kind = json.dumps(parameter["schema"], sort_keys=True) if parameter["in"] == "query" else ""
                seen[kind] += 1
                if not kind or (parameter["name"] != "fields" and seen[kind] <= 1):
                    kept.append(parameter)
            operation["parameters"] = kept
    return result


def _config(world: World) -> Any:
    return schemathesis.Config.from_dict(
        {
            "seed": int(os.environ.get("CRM_FUZZ_SEED", "20261122")),
            "headers": {"Authorization": f"Bearer {world.api_key}"},
            "continue-on-failure": True,
            "generation": {
                "max-examples": MAX_EXAMPLES, "deterministic": True, "database": "none", "no-shrink": True,
                "allow-x00": False,
            },
        }
    )  # fmt: skip


class Report:
    """What a run did and found."""

    def __init__(self) -> None:
        self.cases: Counter[str] = Counter()
        self.checks: Counter[str] = Counter()
        self.operations: set[str] = set()
        self.failures: dict[tuple[str, ...], str] = {}

    def take(self, event: Any) -> None:
        """Note an event of the engine."""
        if isinstance(event, events.ScenarioFinished):
            self.cases[event.phase.name] += len(event.recorder.cases)
            self.operations |= {node.value.operation.label for node in event.recorder.cases.values()}
            for nodes in event.recorder.checks.values():
                for node in nodes:
                    self.checks[node.name] += 1
                    if node.failure_info is not None:
                        failure = node.failure_info.failure
                        key = (event.phase.name, node.name, event.recorder.label)
                        said = f"{failure.title}\n{failure.message}\n{node.failure_info.code_sample}"
                        self.failures.setdefault(key, said[:1500])
        elif isinstance(event, events.NonFatalError):
            self.failures.setdefault(("error", event.label), repr(event.value)[:1500])
        elif isinstance(event, events.FatalError):
            raise event.exception

    def __str__(self) -> str:
        shown = [f"{' / '.join(key)}\n{said}" for key, said in list(self.failures.items())[:12]]
        return f"{len(self.failures)} failures\n\n" + "\n\n".join(shown)


@contextmanager
def _obeying() -> Iterator[None]:
    @schemathesis.hook
    def before_call(context: Any, case: Any, kwargs: Any) -> None:
        if case.meta is not None and case.meta.generation.mode.is_positive:
            obey(case)

    yield
    schemathesis.hooks.unregister(before_call)


def _run(schema: Any) -> Report:
    report = Report()
    with _obeying():
        for event in from_schema(schema).execute():
            report.take(event)
    return report


@pytest.mark.filterwarnings("ignore")
async def test_the_whole_api_with_all_checks(world: World) -> None:
    await plant(world)
    app = _bridge(world.client._transport.app, asyncio.get_running_loop())  # type: ignore[attr-defined]
    schema = schemathesis.openapi.from_dict(_thinned(document()), config=_config(world))
    schema.app = app
    report = await asyncio.to_thread(_run, schema)
    assert not report.failures, str(report)
    assert report.checks.keys() >= CHECKS
    assert report.cases.keys() == {"EXAMPLES", "COVERAGE", "FUZZING", "STATEFUL_TESTING"}
    expected = {f"{method.upper()} {path}" for path, item in document()["paths"].items() for method in item}
    assert report.operations >= expected
