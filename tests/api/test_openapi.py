"""The OpenAPI document as a contract: valid, complete, committed, and true of its own examples."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator
from referencing import Registry, Resource

from crm_api.api import all_routes
from crm_api.auth.scopes import SCOPES
from tests.api.surface import Operation, Planted, component, document, operations, send
from tests.support.effort import EFFORT

ROOT = Path(__file__).parents[2]


def _nodes(value: Any, at: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(value, dict):
        yield at, value
        for name, item in value.items():
            if name not in {"example", "examples", "default"}:
                yield from _nodes(item, f"{at}/{name}")
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from _nodes(item, f"{at}/{number}")


def test_it_is_valid_openapi() -> None:
    assert document()["openapi"].startswith("3.1")
    said = OpenAPIV31SpecValidator(document())  # `make check` has it follow every reference, which takes its time
    assert list(said.iter_errors() if EFFORT >= 1 else said.schema_validator.iter_errors(document())) == []


def test_the_committed_document_is_current() -> None:
    """Run `make openapi`, read the difference as a client would, commit it."""
    committed = json.loads((ROOT / "openapi" / "openapi.json").read_text())
    assert committed == json.loads(json.dumps(document())), "run `make openapi` and commit the difference"


def test_every_route_is_in_it() -> None:
    served = {(method, route.path_format) for route in all_routes() for method in route.methods or ()}
    described = {(one.method, one.path) for one in operations() if one.path.startswith(("/v1", "/receipts"))}
    assert described == served


def test_operations_are_named_and_explained() -> None:
    names = [operation.id for operation in operations()]
    assert len(set(names)) == len(names)
    tags = {tag["name"] for tag in document()["tags"] if tag["description"]}
    for operation in operations():
        assert re.fullmatch(r"[a-z]+(_[a-z]+)*", operation.id), operation.id
        assert operation.raw["description"].strip().endswith("."), operation
        assert operation.raw["summary"], operation
        assert set(operation.raw["tags"]) <= tags, operation
        assert len(operation.raw["tags"]) == 1, operation


def test_paths_are_plural_kebab_case() -> None:
    singular = {"organization", "v1", "health", "live", "ready", "metrics", "webhooks", "inbox", "replay", "rotate",
                "revoke", "retry", "retention", "concentration", "rfm", "lybunt", "sybunt", "gain-loss", "giving-pyramid", "income-forecast", "rfm-migration", "difference", "forecast", "scoring", "ltv", "move", "search", "preview", "compare", "remove", "explain", "test-clock", "donor-profile", "can-contact", "erasure", "subject-export", "unsubscribe", "timeline", "intake", "form", "by-external-id", "merge", "undo", "batch", "dismiss", "verify", "pdf", "void", "reissue", "run", "pause", "post", "cancel", "file", "ledger", "trial-balance", "export", "reopen", "resume", "skip", "reactivate", "write-off", "dunning-policy", "resolve", "checkout", "unmatched", "match", "calculate"}  # fmt: skip
    for operation in operations():
        for part in operation.path.strip("/").split("/"):
            if not part.startswith("{"):
                assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", part), operation.path
                assert part in singular or part.endswith("s"), operation.path


def test_every_status_is_declared() -> None:
    for operation in operations():
        declared = set(operation.raw["responses"])
        assert "default" not in declared, operation
        assert declared >= {"500", "503"}, operation
        assert sum(status.startswith("2") for status in declared) >= 1, operation
        if operation.path.startswith("/v1"):
            assert declared >= {"413", "422"}, operation
        if operation.scope:
            assert declared >= {"401", "403", "429"}, operation
        if operation.in_path:
            assert "404" in declared, operation
        if operation.body:
            assert declared >= {"400", "409", "415"}, operation
        if any(one["name"] == "If-Match" for one in operation.parameters):
            assert "412" in declared, operation
        for status, answer in operation.raw["responses"].items():
            if status[0] in "45" and not (operation.id == "health_ready" and status == "503"):
                assert answer.keys() == {"$ref"}, f"{operation} {status}"


def test_problems_are_described_once() -> None:
    for name, answer in document()["components"]["responses"].items():
        if name != "NotModified":
            assert list(answer["content"]) == ["application/problem+json"], name
        assert "X-Request-Id" in answer["headers"], name


def test_security_says_the_scope() -> None:
    for operation in operations():
        if operation.scope is None:
            assert operation.raw["security"] == [], operation
        else:
            assert operation.raw["security"] == [{"apiKey": []}], operation
            assert operation.scope in SCOPES, operation
    assert document()["x-scopes"] == SCOPES


def test_writes_take_what_writes_take() -> None:
    for operation in operations():
        names = {one["name"] for one in operation.parameters}
        if operation.method == "POST" and operation.scope:
            assert "Idempotency-Key" in names, operation
        if operation.method in {"PATCH", "DELETE"}:
            assert "If-Match" in names, operation
        if operation.method == "PATCH":
            assert operation.media_type == "application/merge-patch+json", operation


def test_lists_have_one_form() -> None:
    for operation in operations():
        if operation.id in {"reports_lybunt", "reports_sybunt", "reports_giving_levels_donors"}:
            continue  # reports that hold a page of donors, in one order
        if operation.is_list:
            names = {one["name"] for one in operation.parameters}
            wanted = {"limit", "cursor", "sort", "include_total", "fields"}
            wanted |= {"kind", "at"} if operation.id == "contact_timeline_list" else {"id"}  # entries of many kinds
            assert names >= wanted, operation
            schema = operation.raw["responses"]["200"]["content"]["application/json"]["schema"]
            page = component(schema["$ref"].rpartition("/")[2])
            more = {"omitted"} if operation.id == "contact_timeline_list" else set()  # kinds one may not read
            assert set(page["properties"]) == {"data", "has_more", "next_cursor", "total"} | more, operation
            assert set(page["required"]) == {"data", "has_more", "next_cursor"}, operation
            assert "Link" in operation.raw["responses"]["200"].get("headers", {}), operation


def test_every_schema_has_an_example() -> None:
    """Of request bodies beside their models, of answers in `openapi_examples.json`."""
    for name, schema in document()["components"]["schemas"].items():
        assert schema.get("examples") or name == "JsonValue", name


def _validator(name: str) -> Draft202012Validator:
    whole = {"$schema": "https://json-schema.org/draft/2020-12/schema", **document()}
    registry: Any = Registry().with_resource("urn:api", Resource.from_contents(whole))
    return Draft202012Validator({"$ref": f"urn:api#/components/schemas/{name}"}, registry=registry)


def test_examples_fit_their_schemas() -> None:
    for name, schema in document()["components"]["schemas"].items():
        for example in schema.get("examples", []):
            assert list(_validator(name).iter_errors(example)) == [], name
        for member, described in schema.get("properties", {}).items():
            for example in described.get("examples", []):
                assert Draft202012Validator(described).is_valid(example), f"{name}.{member}"


async def test_examples_are_accepted(planted: Planted) -> None:
    """Every example of every request body, with ids of things that exist."""
    fresh = {"code": "fresh", "email": "fresh@fund.example"}
    for operation in operations():
        if operation.body is None or operation.id == "donations_refund":
            continue  # its currency has to be the gift's
        for example in component(operation.body)["examples"]:
            body = planted.fitted(json.loads(json.dumps(example)))
            body |= {name: value for name, value in fresh.items() if name in body}
            body.pop("external_ids", None)
            answer = await send(planted.world, operation.method, planted.url(operation), body=json.dumps(body).encode())
            assert answer.status < 300, f"{operation}: {answer.status} {answer.text}"


_STATISTICS = re.compile(
    r"/properties/(parameters|log_likelihood|p_alive|expected_gifts|churn_risk|planned|milliseconds)(/|$)"
)


def test_no_bare_decimals() -> None:
    """Money is whole minor units and rates are strings: a decimal number is read as a float somewhere."""
    for at, node in _nodes(document()):
        if at.endswith("/progress"):
            continue  # a share of the work, from 0 to 1
        if _STATISTICS.search(at):
            continue  # estimates of a model: floats are what they are
        assert node.get("type") != "number", at
        assert str(node.get("format")) not in {"float", "double", "decimal"}, at


def test_no_input_and_output_twins() -> None:
    for name in document()["components"]["schemas"]:
        assert not re.search(r"(-|_)(Input|Output)$", name), name
        assert re.fullmatch(r"[A-Z][A-Za-z]+", name), name


def test_input_is_closed_and_bounded() -> None:
    """Unknown members are refused; every text and every list has a largest size."""
    seen = set()
    waiting = [operation.body for operation in operations() if operation.body]
    while waiting:
        name = waiting.pop()
        if name in seen or name == "JsonValue":
            continue
        seen.add(name)
        schema = component(name)
        assert schema.get("additionalProperties") is False, name
        assert schema.get("description"), name
        for at, node in _nodes(schema, name):
            reference = node.get("$ref", "")
            if isinstance(reference, str) and reference:
                waiting.append(reference.rpartition("/")[2])
            if node.get("type") == "string" and "enum" not in node and "const" not in node:
                bounded = "maxLength" in node or node.get("format") in {"uuid", "date", "date-time"}
                bounded = bounded or bool(
                    re.fullmatch(r"\^.*\$", node.get("pattern", "")) and "+" not in node["pattern"]
                )
                assert bounded, f"{at}: {node}"
            if node.get("type") == "array":
                assert "maxItems" in node, at
            if node.get("type") == "integer":
                assert "maximum" in node, at


def test_every_schema_is_used() -> None:
    text = json.dumps(document())
    for name in document()["components"]["schemas"]:
        assert f'"#/components/schemas/{name}"' in text, name


def test_money_has_exactly_two_members() -> None:
    for name in ("Money", "PositiveMoney"):
        schema = component(name)
        assert set(schema["properties"]) == set(schema["required"]) == {"amount", "currency"}
        assert schema["properties"]["amount"]["maximum"] == 2**53 - 1


def test_secrets_never_come_back() -> None:
    for operation in operations():
        for status, answer in operation.raw["responses"].items():
            reference = answer.get("content", {}).get("application/json", {}).get("schema", {}).get("$ref", "")
            if status.startswith("2") and reference:
                name = reference.rpartition("/")[2]
                members = set(component(name).get("properties", {}))
                assert not members & {"secret", "secret_hash", "credentials", "password", "token"}, name
                assert name in {"ApiKeyIssued", "CustomFieldRead"} or "key" not in members, name


def test_no_section_of_a_later_issue() -> None:
    assert "webhooks" not in document()


_CODES = re.compile(
    r'\bcode="([a-z_]+)"|status, code, title = \d+, "([a-z_]+)"|(?:Invalid\.at|FieldError)\(\s*[^,]+,\s*"([a-z_]+)"'
    r'|_Refused\("([a-z_]+)"'
)


def test_codes_are_documented() -> None:
    """Programs decide by `code`: each that the source can answer stands in docs/errors.md."""
    documented = set(re.findall(r"`([a-z_…]+)`", (ROOT / "docs" / "errors.md").read_text()))
    endings = tuple(one.removeprefix("…") for one in documented if one.startswith("…"))
    missing = set()
    for path in sorted((ROOT / "src" / "crm_api").rglob("*.py")):
        for match in _CODES.finditer(path.read_text()):
            code = next(filter(None, match.groups()))
            if code not in documented and not code.endswith(endings):
                missing.add(f"{code} ({path.relative_to(ROOT)})")
    assert missing == set()


@pytest.mark.parametrize("operation", ["contacts_create", "donations_create", "payment_connections_create"])
def test_fixed_names(operation: str) -> None:
    (found,) = [one for one in operations() if one.id == operation]
    assert isinstance(found, Operation)
    assert found.raw["responses"]["201"]
