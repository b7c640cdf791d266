"""Schemathesis over the whole API with all its checks: examples, boundary values, random data, chains of calls.

The document is what it reads. Where a rule cannot be said in JSON Schema (two members that depend on each other, a code
from a list of ISO's, a limit on how many filters), `obey` makes a valid request obey it; what is not valid is sent as it
is. Everything runs in this process, against the application behind its edge.
"""

from __future__ import annotations

import asyncio
import copy
import io
import json
import os
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import pytest
import requests
import schemathesis
import urllib3
from pydantic import TypeAdapter
from requests.adapters import HTTPAdapter
from schemathesis.engine import events, from_schema
from schemathesis.python import asgi

from crm_api.contacts.consents.policy import PURPOSES
from crm_api.contacts.parts import BirthDate, clean_email, clean_phone
from crm_api.kit import clock, money
from tests.api.surface import document, plant, send
from tests.support.effort import chosen
from tests.support.world import World

MAX_EXAMPLES = int(os.environ.get("CRM_FUZZ_EXAMPLES", "1"))
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
    "birth_date": (TypeAdapter(BirthDate).validate_python, "1980-05-17"),
}
"""Members of a form that is a list or a grammar of its own: what tells, and one that fits."""


def _in_form(name: str, value: Any) -> Any:
    """The value with everything in it in the form that its name asks for."""
    if isinstance(value, dict):
        if name == "fields":
            return value  # says something of fields, and holds none of their values
        return {
            key: {} if key == "custom" else _in_form(key, item) for key, item in value.items()
        }  # custom: as defined
    if isinstance(value, list):
        return [_in_form(name, item) for item in value]
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # JSON Schema calls 2.0 a whole number
    if isinstance(value, int) and abs(value) >= 2**63:
        return 0  # where any JSON is taken, its whole numbers have 64 bits
    if isinstance(value, str) and name in _FORMS and not _fits(_FORMS[name][0], value):
        return _FORMS[name][1]
    return value


def _each_once(items: Any) -> Any:
    """One of each code."""
    if not isinstance(items, list):
        return items
    return list({item.get("code") if isinstance(item, dict) else item: item for item in items}.values())


def _obey_roles(body: dict[str, Any]) -> None:
    """Those of the organization, of which only one is certain."""
    if body.get("roles"):
        body["roles"] = ["donor"]
    for detail in body.get("role_details") or ():
        detail |= {"role": "donor", "until": None}  # not before since


def _obey_consent(said: dict[str, Any]) -> None:
    """Purposes and lists are the organization's."""
    said.pop("list", None)
    if said.get("purpose") not in {None, *PURPOSES}:
        said["purpose"] = "newsletter"


_BOT_CREDENTIALS = {
    "meta_leads": {"app_secret": "a" * 32, "page_access_token": "b" * 32},
    "viber": {"auth_token": "c" * 32},
}


def _obey_of_contacts(operation: str, body: dict[str, Any]) -> None:
    """What bodies of contacts and of what belongs to them have to obey."""
    if operation.startswith("contacts_"):
        _obey_roles(body)
    if operation == "contacts_update" and body.get("kind"):
        body["organization_name"] = "Red Cross"
    elif operation == "contacts_update":
        body.pop("organization_name", None)
    elif operation == "contacts_merge":
        body |= {"from": [str(uuid4())], "fields": {}}  # not into itself; values of those contacts' own
    elif operation == "duplicates_merge":
        body.pop("survivor_id", None)  # of that pair
    elif operation == "contact_consents_create":
        _obey_consent(body)
        body.pop("at", None)  # not after now
    elif operation == "privacy_settings_replace":
        for name in {"purposes", "lists"} & body.keys():
            body[name] = _each_once(body[name])
        for each in body.get("lists", ()):
            _obey_consent(each)
    elif operation == "duplicate_rules_replace":
        body["rules"] = _each_once(body.get("rules"))
        body["certain"] = max(body.get("certain", 36), body.get("possible", 24))
    elif operation == "custom_fields_create":
        body |= {"required": False, "choices": _each_once(body.get("choices", []))}  # else of every contact after it
    elif operation == "custom_fields_update":
        body.pop("required", None)
        body.pop("choices", None)  # none left out, none that its type does not have
    elif operation in {"relationships_create", "relationships_update"}:
        body.pop("since", None)  # not after until
        body.pop("until", None)
    elif operation == "household_patterns_put":
        body.clear()  # placeholders are a grammar of their own


def _obey_of_transfers(operation: str, body: dict[str, Any]) -> None:
    """What bodies of files, imports, exports and intake have to obey."""
    if operation == "documents_create":
        body["file"] = "Notes"  # the content is what its name says
    elif operation in {"imports_create", "imports_update"}:
        if "file" in body:
            body["file"] = "given_name,city\nOlena,Kyiv\n"  # a table; bytes are no string, and the form is judged again
        for options in (body, body.get("options")):
            if isinstance(options, dict):
                for name in ("mapping", "preset", "encoding", "delimiter", "sheet"):
                    options.pop(name, None)  # columns, and all of the form, are the file's
                for name in ("default_currency", "create_contacts", "receipts"):
                    options.pop(name, None)  # of files of gifts
    elif operation == "exports_create":
        body |= {
            "filter": {},
            "columns": ["id"] if body.get("columns") else None,
        }  # as the resource and the caller's rights have
    elif operation.startswith("intake_sources_"):
        if body.get("defaults"):
            _obey_roles(body["defaults"])
            _obey_consent(body["defaults"].get("consent") or {})
        if operation == "intake_sources_create":
            body["credentials"] = _BOT_CREDENTIALS.get(body["kind"], {})
        else:
            for name in ("credentials", "bot_username", "start_system", "browser_form"):
                body.pop(name, None)  # of that source's kind


def _obey_of_payments(operation: str, body: dict[str, Any]) -> None:
    """What bodies of checkouts, reconciliations and match rules have to obey."""
    if operation == "donations_checkout_create":
        small = {"amount": {"amount": 2500, "currency": "USD"}, "donor_covered_fee": None, "every": None}
        named = dict.fromkeys(("connection_id", "donor", "fund_code", "campaign_code", "appeal_id"))
        urls = {"success_url": "https://example.org/", "cancel_url": "https://example.org/"}
        body |= {"provider": "stripe", **small, **named, **urls}
    elif operation == "checkout_settings_replace":
        # as they are: whoever sends a page after this one is held to them
        body |= {"allowed_origins": [], "minimum": [], "limits": {"per_email_per_hour": 10_000}}
    elif operation == "payment_connections_reconcile":
        body |= {"since": "2026-11-01T00:00:00Z", "until": "2026-11-22T00:00:00Z"}
    elif operation in {"payment_match_rules_create", "payment_match_rules_update"}:
        if operation.endswith("create") or "value" in body:
            body["value"] = "D-2002"
        if operation.endswith("create"):
            body |= {"kind": "code", "fund_id": str(uuid4())}
        else:
            for name in ("contact_id", "campaign_id", "fund_id"):
                body.pop(name, None)  # one of them has to stay


def _obey_of_promises(operation: str, body: dict[str, Any]) -> None:
    """What bodies of regular gifts, dunning and pledges have to obey: dates after others, one currency, what rises."""
    if operation == "recurring_plans_create":
        body |= {"method": "manual", "connection_id": None, "card": None, "start_date": None, "end_date": None}
    elif operation == "recurring_plans_update":
        for name in ("card", "anchor_day", "end_date"):
            body.pop(name, None)  # of that plan's kind
    elif operation == "recurring_plans_pause":
        body["resume_on"] = None
    elif operation == "recurring_plans_reactivate":
        body |= {"card": None, "retry": False}
    elif operation == "recurring_plans_pay":
        body |= {"donation_id": str(uuid4()), "due_on": None}
    elif operation == "dunning_policy_replace":
        for one in (body.get("rules") or {}).values():
            if isinstance(one, dict):
                one |= {name: sorted(set(one[name])) for name in ("retry_days", "letters") if name in one}
    elif operation == "pledges_create" and body.get("kind", "money") == "money":
        money = {"amount": 9000, "currency": "USD"}
        body |= {"amount": money, "due_date": "2026-12-01", "installments": None, "schedule": None}
    elif operation == "pledges_update":
        body.pop("amount", None)
        body.pop("installments", None)  # in the pledge's currency, and adding up
    elif operation == "pledge_payments_create":
        body |= {"donation_id": str(uuid4()), "amount": None}


def _obey_of_books(operation: str, body: dict[str, Any]) -> None:
    """What bodies of payouts and of the chart of accounts have to obey: one currency, amounts that add up to money."""
    if operation == "ledger_accounts_put":
        body["accounts"] = [{**one, "account": "income:*"} for one in body["accounts"]]
    elif operation == "payouts_create":
        for money in (body, *(body.get("items") or ())):
            for name in {"amount", "fee", "gross"} & money.keys():
                money[name] = {"amount": 5, "currency": "USD"}
        body["payout_ref"] = str(uuid4())
    elif operation == "payouts_upload":
        body |= {"file": "ref,gross\npi_1,5.00\n", "currency": "USD", "amount": "5.00", "payout_ref": str(uuid4())}


_RATE = {"source_currency": "EUR", "target_currency": "USD", "rate": "1.5", "rate_date": "2026-11-22"}


def _obey_of_gifts(operation: str, body: dict[str, Any]) -> None:
    """What bodies of gifts and of what belongs to them have to obey: gifts are all in one currency here."""
    for name in ("allocations", "donor_covered_fee", "method_details"):  # have to add up, or fit amount and method
        body.pop(name, None)
    if operation in {"donations_create", "donations_upsert_by_external_id", "gift_batches_add"}:
        body["amount"]["currency"] = "USD"
    elif operation in {"donations_batch", "gift_batches_add_many"} and body.get("atomic"):
        body["items"] = [{"amount": {"amount": 1, "currency": "USD"}}]
    elif operation == "donations_adjust":
        body |= {"amount": None, "received_at": "2026-11-22T09:00:00Z"}
    elif operation == "donation_soft_credits_create":
        body.pop("amount", None)  # no more than the gift's
    elif operation == "donation_premiums_create":
        body["fair_market_value"] = {"amount": 1, "currency": "USD"}
    elif operation in {"gift_batches_create", "gift_batches_update"} and body.get("control_amount"):
        body["control_amount"]["currency"] = "USD"
    elif operation == "matching_gifts_update":
        for name in ("status", "matching_donation_id", "received_amount"):
            body.pop(name, None)  # of that company's gift
    elif operation == "tribute_notices_update":
        body.pop("notified_at", None)  # of what was sent
    elif operation == "exchange_rates_batch":
        body["rates"] = [_RATE]
    elif operation == "exchange_rates_file":
        body["file"] = "date,source_currency,target_currency,rate\n2026-11-22,EUR,USD,1.15\n"


def _obey_of_scores(operation: str, body: dict[str, Any]) -> None:
    """What bodies of scores and levels have to obey: the organization's currency, thresholds in order, shares."""
    if operation.startswith("giving_levels_"):
        body |= {"program": str(uuid4()), "name": "Gold", "min_amount": {"amount": 5, "currency": "USD"}}
    elif operation.startswith("donor_status_rules_"):
        body |= {"lapsing_after_days": 365, "lapsed_after_days": 730, "lost_after_days": 1095, "new_within_days": 365}
        if body.get("major_gift_threshold"):
            body["major_gift_threshold"]["currency"] = "USD"
    elif operation == "rfm_settings_replace":
        body["names"] = None  # each of the 125 cells once
        for name, four in (body.get("cut_points") or {}).items():
            body["cut_points"][name] = sorted(four)
    elif operation == "ltv_settings_replace":
        body |= {"margin": "0.5", "discount_rate": "0.1", "churn": "0.5", "service_cost_per_year": None, "bands": None}


def _obey_body(operation: str, body: dict[str, Any]) -> None:
    for name in ("expires_at", "received_at", "refunded_at", "now", "ends_on"):
        if name in body:
            body[name] = None  # has to lie after now, or not far from it, or after another one
    _obey_of_contacts(operation, body)
    _obey_of_transfers(operation, body)
    _obey_of_gifts(operation, body)
    _obey_of_payments(operation, body)
    _obey_of_promises(operation, body)
    _obey_of_books(operation, body)
    _obey_of_scores(operation, body)
    if operation == "api_keys_create":
        body |= {"kind": "secret", "scopes": ["contacts:read"]}
    elif operation == "exchange_rates_create":
        body |= {"source_currency": "EUR", "target_currency": "USD", "rate": "1.5"}
    elif operation == "donations_refund":
        body.pop("amount", None)  # of the gift's currency, and no more than is left
    elif operation == "payment_connections_create":
        body |= {"provider": "stripe", "credentials": {"webhook_secret": "whsec_x"}}
    elif operation == "payment_connections_update":
        body.pop("credentials", None)
    elif operation == "deals_create":
        body.pop("stage_id", None)  # of that pipeline
    elif operation == "members_update":
        body.pop("sees_all", None)  # an owner always does
    for stage in [body, *(body.get("stages") or [])] if operation.startswith("pipeline") else []:
        if isinstance(stage, dict) and "outcome" in stage:
            stage["outcome"] = "open"


def obey(case: Any) -> None:
    """Make a valid request obey the rules that the document can only tell in words."""
    operation = case.operation.definition.raw["operationId"]
    if isinstance(case.body, dict):
        body = _in_form("", copy.deepcopy(case.body))
        _obey_body(operation, body)
        if operation.endswith(("donations_batch", "add_many")) and (case.query or {}).get("atomic"):
            body["items"] = [{"amount": {"amount": 1, "currency": "USD"}}]
        if operation == "contacts_batch" and (body.get("atomic") or (case.query or {}).get("atomic")):
            body["items"] = [{"op": "create", "body": {"given_name": "Olena"}}]  # a bad one would refuse all of them
        case.body = body
    for name, value in (case.path_parameters or {}).items():
        if name.endswith("_id") and value in {None, "null"}:
            case.path_parameters[name] = str(uuid4())  # from an answer in which the id was null
    query = dict(case.query or {})
    query.pop("cursor", None)  # only the server makes them
    if len(query.get("q", "letters")) < 2 or not query.get("q", "letters").isalpha():
        query["q"] = "olena"
    if operation == "contacts_can_contact":
        _obey_consent(query)
    for name in {"as_of", "from", "to"} & query.keys():
        query[name] = "2026-11-22"
    if operation == "reports_rfm_migration" and "from" in query:
        query["from"] = "2025-11-22"  # before the other day
    if "year" in query:
        query["year"] = "2025"  # not after the other day
    for name in query:
        if name.endswith("[in]") and isinstance(query[name], list):
            query[name] = [str(one).replace(",", "") or "0" for one in query[name]]
    case.query = dict(list(query.items())[:15])
    for name in list(case.headers or {}):
        if name.lower() == "idempotency-key":
            case.headers[name] = str(uuid4())  # a used one belongs to its request
        if name.lower() == "if-match":
            case.headers[name] = "*"  # the current version, whatever it is


# The application, from whatever thread Schemathesis calls it


class _InProcess(HTTPAdapter):
    """Puts a request to the application, in the loop where that lives."""

    def __init__(self, world: World, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self.world = world
        self.loop = loop

    def send(self, request: Any, *_: Any, **__: Any) -> requests.Response:
        """One request."""
        body = request.body or b""
        headers = [
            (name.encode("latin-1"), value if isinstance(value, bytes) else value.encode("latin-1"))
            for name, value in request.headers.items()
            if name.lower() not in {"host", "content-length"}
        ]
        sending = send(
            self.world, request.method, request.path_url, body=body if isinstance(body, bytes) else body.encode(),
            headers=headers, media_type=None, authorized=False,
        )  # fmt: skip
        answer = asyncio.run_coroutine_threadsafe(sending, self.loop).result(60)
        raw = urllib3.HTTPResponse(
            io.BytesIO(answer.content), answer.headers, answer.status, preload_content=False,
            request_method=request.method,
        )  # fmt: skip
        return self.build_response(request, raw)


_PARTS = ("params", "data", "headers", "cookies", "files", "auth", "json")


class _Client(requests.Session):
    """Sends what it is given, and nothing else: Schemathesis's own client starts a loop and looks for this machine's
    proxies and passwords with every request, which costs more than the request."""

    adapter: _InProcess

    def request(self, method: Any, url: Any, *_: Any, **options: Any) -> requests.Response:
        """One request."""
        given = {name: options.get(name) for name in _PARTS}
        return self.adapter.send(requests.Request(method, url, **given).prepare())


_NAMED_AS_TEXT = {"schema": {"type": "string"}, "example": 'form-data; name="file"; filename="notes.txt"'}


def _kind(parameter: dict[str, Any]) -> str:
    """What kind of parameter it is, whatever a list's own words; empty where each is its own."""
    if parameter["in"] == "header":
        return str(parameter["name"])
    schema = parameter["schema"]
    marks = {**schema, **schema.get("items", {}), "enum": "enum" in json.dumps(schema), "items": "items" in schema}
    own = parameter["in"] != "query" or parameter["required"]
    return "" if own else json.dumps(marks, sort_keys=True)


class _Sent:
    """The schemas of what is sent: each with all its members where the document uses it first, and elsewhere with those
    of its example only, since one model reads them all. Answers keep the document's own."""

    def __init__(self, schemas: dict[str, Any]) -> None:
        self.schemas = schemas
        self._seen: set[str] = set()

    def of(self, name: str) -> str:
        """The name of the schema to use here."""
        use = f"{name}{'Short' if name in self._seen else 'Sent'}"
        self._seen.add(name)
        if use not in self.schemas:
            self.schemas[use] = {}  # until it is made: it may hold itself
            schema = copy.deepcopy(self.schemas[name])
            if use.endswith("Short") and "examples" in schema:
                example = schema["examples"][0]
                kept = {*example, *schema.get("required", [])}
                schema["properties"] = {key: one for key, one in schema["properties"].items() if key in kept}
                schema["examples"] = [example]
            self.schemas[use] = self.in_place(schema)
        return use

    def in_place(self, value: Any) -> Any:
        """A part of a schema with the schemas to use here."""
        if isinstance(value, list):
            return [self.in_place(item) for item in value]
        if not isinstance(value, dict):
            return value
        if isinstance(name := value.get("$ref"), str):
            path, _, last = name.rpartition("/")
            return {**value, "$ref": f"{path}/{self.of(last)}"}
        return {key: self.in_place(item) for key, item in value.items()}


def _thinned(whole: dict[str, Any]) -> dict[str, Any]:
    """The document with each kind of query parameter and each header in one operation only: they are read by one function,
    and `test_hostile_addresses`, `test_listing`, `test_conditional` and `test_idempotency` send every one. Without
    `fields`: the answer then lacks members that its schema requires, which is what it is for. With each schema of what is
    sent in full once."""
    result = copy.deepcopy(whole)
    seen: Counter[str] = Counter()
    sent = _Sent(result["components"]["schemas"])
    for item in result["paths"].values():
        for operation in item.values():
            kept = []
            for parameter in operation.get("parameters", []):
                kind = _kind(parameter)
                seen[kind] += 1
                if not kind or (parameter["name"] != "fields" and seen[kind] <= 1):
                    kept.append(parameter)
            operation["parameters"] = kept
            for content in operation.get("requestBody", {}).get("content", {}).values():
                content["schema"] = sent.in_place(content["schema"])
                if operation["operationId"] == "documents_create":
                    content["encoding"] = {"file": {"headers": {"Content-Disposition": _NAMED_AS_TEXT}}}
    return result


def _covered(whole: dict[str, Any]) -> dict[str, Any]:
    """Those paths whose turn it is to be covered: a case for each rule of each member costs most of the time."""
    return {**whole, "paths": {path: item for path, item in whole["paths"].items() if chosen(path)}}


def _config(world: World, phases: dict[str, bool]) -> Any:
    return schemathesis.Config.from_dict(
        {
            "phases": {name: {"enabled": on} for name, on in phases.items()},
            "seed": int(os.environ.get("CRM_FUZZ_SEED", "20261122")),
            "headers": {"Authorization": f"Bearer {world.api_key}"},
            "continue-on-failure": True,
            "analysis": {"constants": {"enabled": False}},  # they would be those of whatever tests are loaded
            "generation": {
                "max-examples": MAX_EXAMPLES, "deterministic": True, "database": "none", "no-shrink": True,
                "allow-x00": False,
            },
        }
    )  # fmt: skip


_BY_RULES = {
    "POST /v1/contacts/search", "POST /v1/donations/search", "POST /v1/segments", "PATCH /v1/segments/{segment_id}",
    "POST /v1/segments/preview", "POST /v1/ltv/calculate", "POST /v1/reports/{report}/runs",
    "GET /v1/reports/giving-levels/donors", "POST /v1/donations/{donation_id}/premiums",
}  # fmt: skip
"""Where what fits together is said by rules of this API, which JSON Schema cannot say: trees over the fields catalogue,
one method's inputs, one report's parameters, a program that is there, what is left of a gift. Their own tests say what is
taken."""


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
                        if node.name == "positive_data_acceptance" and failure.operation in _BY_RULES:
                            continue
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


def _run(schema: Any, report: Report) -> None:
    with _obeying():
        for event in from_schema(schema).execute():
            report.take(event)


@pytest.mark.filterwarnings("ignore")
async def test_the_whole_api_with_all_checks(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    await plant(world)
    monkeypatch.setattr(_Client, "adapter", _InProcess(world, asyncio.get_running_loop()), raising=False)
    monkeypatch.setattr(asgi, "get_client", lambda *_, **__: _Client())
    whole = _thinned(document())
    report = Report()
    for part, covers in ((whole, False), (_covered(whole), True)):
        phases = {"coverage": covers, **dict.fromkeys(("examples", "fuzzing", "stateful"), not covers)}
        schema = schemathesis.openapi.from_dict(part, config=_config(world, phases))
        schema.app = world.client._transport.app  # type: ignore[attr-defined]
        await asyncio.to_thread(_run, schema, report)
    assert not report.failures, str(report)
    assert report.checks.keys() >= CHECKS
    assert report.cases.keys() == {"EXAMPLES", "COVERAGE", "FUZZING", "STATEFUL_TESTING"}
    expected = {f"{method.upper()} {path}" for path, item in document()["paths"].items() for method in item}
    assert report.operations >= expected
