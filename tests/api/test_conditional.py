"""ETag, If-None-Match and If-Match: nobody overwrites what they have not seen."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from tests.api.surface import Operation, Planted, component, operations, problem_of, send
from tests.support.world import World


def _versioned(operation: Operation) -> bool:
    success = next(value for status, value in operation.raw["responses"].items() if status.startswith("2"))
    schema = success.get("content", {}).get("application/json", {}).get("schema", {})
    name = schema.get("$ref", "").rpartition("/")[2]
    return bool(name) and "version" in component(name).get("properties", {})


SINGLES = ("organization_get", "contacts_get", "donations_get", "deals_get", "pipelines_get", "api_keys_get")


async def test_single_resources_carry_a_strong_etag(planted: Planted) -> None:
    seen = set()
    for operation in operations():
        if operation.method != "GET" or not _versioned(operation):
            continue
        seen.add(operation.id)
        url = planted.url(operation)
        answer = await send(planted.world, "GET", url)
        tag = answer.headers["etag"]
        assert tag == f'"{answer.json()["version"]}"', operation
        for header in (tag, f"W/{tag}", "*", f'"x", {tag}', f"{tag},"):
            same = await send(planted.world, "GET", url, headers=[(b"if-none-match", header.encode())])
            assert (same.status, same.content, same.headers["etag"]) == (304, b"", tag), f"{operation} {header}"
        for header in ('"0"', '"x"', "", tag.strip('"')):
            other = await send(planted.world, "GET", url, headers=[(b"if-none-match", header.encode())])
            assert other.status == 200, f"{operation} {header}"
    assert seen >= set(SINGLES)


async def test_a_change_needs_the_version_it_was_based_on(planted: Planted) -> None:
    """Every PATCH of every resource: 412 with an old ETag and nothing changed, 200 with the current one."""
    changed = 0
    for operation in operations():
        if operation.method != "PATCH":
            continue
        url = planted.url(operation)
        before = await send(planted.world, "GET", url)
        body = json.dumps(planted.body(operation)).encode()

        async def patch(header: str, *, url: str = url, body: bytes = body) -> Any:
            return await send(planted.world, "PATCH", url, body=body, headers=[(b"if-match", header.encode())])

        for old in ('"0"', '"999999"', 'W/"1"', '"x"', '"1", "2"'):
            answer = await patch(old)
            assert answer.status == 412, f"{operation} {old}: {answer.status} {answer.text}"
            assert problem_of(answer)["code"] == "precondition_failed"
        for malformed in ("", "1", '"', '"1'):
            answer = await patch(malformed)
            assert answer.status == 400, f"{operation} {malformed!r}"
            assert problem_of(answer)["code"] == "if_match_malformed"
        assert (await send(planted.world, "GET", url)).content == before.content, operation
        after = await patch(before.headers["etag"])
        assert after.status == 200, f"{operation}: {after.text}"
        assert after.headers["etag"] == f'"{after.json()["version"]}"'
        assert (await patch("*")).status == 200
        changed += after.json()["version"] > before.json()["version"]
    assert changed >= 8


async def test_an_empty_patch_changes_nothing_and_checks_the_version(planted: Planted) -> None:
    await planted.world.drain()  # another time zone, which a test before may have set, dates gifts anew
    for operation in operations():
        if operation.method != "PATCH" or operation.body == "ApiKeyPatch":
            continue
        url = planted.url(operation)
        before = await send(planted.world, "GET", url)
        answer = await send(planted.world, "PATCH", url, body=b"{}")
        assert answer.status == 200, operation
        assert answer.json() == before.json(), operation
        stale = await send(planted.world, "PATCH", url, body=b"{}", headers=[(b"if-match", b'"999999"')])
        assert stale.status == 412, operation


async def test_of_two_changes_at_once_one_is_told(world: World) -> None:
    contact = await world.contact()
    headers = {"If-Match": f'"{contact["version"]}"'}
    answers = await asyncio.gather(
        *(world.client.patch(f"/v1/contacts/{contact['id']}", json={"middle_name": name}, headers=headers)
          for name in "ABCDEFGH")
    )  # fmt: skip
    assert sorted(answer.status_code for answer in answers) == [200] + [412] * 7


@pytest.mark.parametrize("path", ["/v1/contacts/{contact_id}", "/v1/organization", "/v1/deals/{deal_id}"])
async def test_null_removes_only_what_can_be_removed(planted: Planted, path: str) -> None:
    url = path.format(**planted.ids)
    required = {"/v1/contacts/{contact_id}": None, "/v1/organization": "name", "/v1/deals/{deal_id}": "title"}[path]
    if required:
        said = await planted.world.patch(url, {required: None}, expect=422)
        assert said["errors"][0]["pointer"] == f"/{required}"
    optional = {
        "/v1/contacts/{contact_id}": "language",
        "/v1/organization": "website",
        "/v1/deals/{deal_id}": "expected_on",
    }
    assert (await planted.world.patch(url, {optional[path]: None}))[optional[path]] is None
