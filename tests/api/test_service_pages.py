"""What is served beside the resources: health, metrics, rate limits, the docs page, the document itself."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest

from crm_api.kit import clock
from crm_api.kit.ratelimit import RateLimiter
from crm_api.settings import Settings
from tests.api.surface import Planted, document, problem_of, send
from tests.support.services import Services, process_database
from tests.support.world import World, open_world

# Health


@pytest.fixture
async def lonely(services: Services, worker_id: str, tmp_path: Path) -> AsyncIterator[World]:
    """A database of its own: health looks at every organization's work."""
    manager = process_database(services, f"health_{worker_id}")
    url = await asyncio.to_thread(manager.__enter__)
    world = await open_world(url, services, tmp_path / "mail", database_pool=4)
    yield world
    await world.close()
    await asyncio.to_thread(manager.__exit__, None, None, None)


async def test_health(lonely: World) -> None:
    live = await send(lonely, "GET", "/health/live", authorized=False)
    assert (live.status, live.json()) == (200, {"status": "ok", "checks": {}})
    ready = await send(lonely, "GET", "/health/ready", authorized=False)
    assert (ready.status, ready.json()) == (
        200,
        {"status": "ok", "checks": {"database": "ok", "worker": "ok", "books": "ok"}},
    )


async def test_health_says_that_no_worker_runs(lonely: World, services: Services) -> None:
    await lonely.donation((await lonely.contact())["id"])
    assert (await send(lonely, "GET", "/health/ready")).status == 200
    owner = await asyncpg.connect(services.owner_url_of(lonely.settings.database_url))
    async with owner.transaction():
        await owner.execute(f"SET LOCAL crm.organization_id = '{lonely.id}'")
        await owner.execute("UPDATE jobs SET due_at = $1", clock.utc_now() - timedelta(minutes=6))
    await owner.close()
    answer = await send(lonely, "GET", "/health/ready", authorized=False)
    assert (answer.status, answer.json()["status"]) == (200, "degraded")  # webhooks must still be stored
    assert "is a worker running?" in answer.json()["checks"]["worker"]
    await lonely.drain()
    assert (await send(lonely, "GET", "/health/ready")).status == 200


async def test_health_says_that_the_database_is_down(lonely: World) -> None:
    await lonely.database.close()
    answer = await send(lonely, "GET", "/health/ready", authorized=False)
    assert (answer.status, answer.json()["checks"]) == (503, {"database": "cannot be reached"})
    assert (await send(lonely, "GET", "/health/live", authorized=False)).status == 200
    refused = await send(lonely, "GET", "/v1/contacts")
    assert refused.status == 503
    assert problem_of(refused)["code"] == "unavailable"


# Metrics


async def test_metrics_count_routes_and_never_ids(planted: Planted) -> None:
    contact = planted.ids["contact_id"]
    for path in (f"/v1/contacts/{contact}", "/v1/contacts?email=olena@example.org", "/v1/nothing/zqMarkerQz"):
        await send(planted.world, "GET", path)
    await send(planted.world, "BREW", "/v1/contacts")
    answer = await send(planted.world, "GET", "/metrics", authorized=False)
    assert answer.status == 200
    assert answer.headers["content-type"].startswith("text/plain")
    assert re.search(
        r'crm_http_requests_total\{method="GET",route="/v1/contacts/\{contact_id\}",status="200"\} [1-9]', answer.text
    )
    assert 'route="unmatched",status="404"' in answer.text
    assert 'method="OTHER"' in answer.text
    for text in (contact, "olena", "zqMarkerQz", "BREW", str(planted.world.id)):
        assert text not in answer.text


# Rate limits


def test_three_hundred_in_a_second_are_never_refused() -> None:
    """By the default settings, from a key that has just used its burst up to that point."""
    defaults = Settings(_env_file=None, environment="test")
    limiter = RateLimiter(per_second=defaults.rate_limit_per_second, burst=defaults.rate_limit_burst)
    assert all(limiter.hit("key").allowed for _ in range(300))


async def test_a_burst_by_default_settings(make_world: Any) -> None:
    defaults = Settings(_env_file=None, environment="test")
    world: World = await make_world(
        rate_limit_per_second=defaults.rate_limit_per_second, rate_limit_burst=defaults.rate_limit_burst
    )
    answers = await asyncio.gather(*(world.client.get("/v1/organization") for _ in range(300)))
    assert {answer.status_code for answer in answers} == {200}


async def test_the_limit_says_when_to_go_on(make_world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    world: World = await make_world(rate_limit_per_second=2, rate_limit_burst=5)
    now = [1000.0]
    monkeypatch.setattr(clock, "monotonic", lambda: now[0])
    for left in (4, 3, 2, 1, 0):
        answer = await send(world, "GET", "/v1/organization")
        assert answer.status == 200
        assert answer.headers["ratelimit-policy"] == '"default";q=5;w=2'
        assert answer.headers["ratelimit"].startswith(f'"default";r={left};t=')
    refused = await send(world, "GET", "/v1/contacts")
    assert refused.status == 429
    assert problem_of(refused)["code"] == "rate_limited"
    assert refused.headers["retry-after"] == "1"
    assert refused.headers["ratelimit"].startswith('"default";r=0')
    assert (await send(world, "GET", "/health/live")).status == 200
    assert (await send(world, "GET", "/v1/nothing")).status == 404

    now[0] += int(refused.headers["retry-after"])
    assert (await send(world, "GET", "/v1/organization")).status == 200
    assert (await send(world, "GET", "/v1/organization")).status == 200
    assert (await send(world, "GET", "/v1/organization")).status == 429
    now[0] += 60
    assert [(await send(world, "GET", "/v1/organization")).status for _ in range(6)] == [200] * 5 + [429]


async def test_limits_are_counted_per_key(make_world: Any) -> None:
    world: World = await make_world(rate_limit_per_second=0.01, rate_limit_burst=2)
    other = await world.post("/v1/api-keys", {"name": "Other", "scopes": ["organization:read"]})
    headers = {"Authorization": f"Bearer {other['key']}"}
    for _ in range(2):
        await world.get("/v1/organization", headers=headers)
    await world.get("/v1/organization", headers=headers, expect=429)
    await world.get("/v1/organization")


# Docs


async def _page(world: World, path: str) -> Any:
    answer = await send(world, "GET", path, authorized=False)
    assert answer.status == 200, path
    return answer


async def test_the_docs_page_needs_no_internet(planted: Planted) -> None:
    page = await _page(planted.world, "/docs")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "http" not in policy
    links = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert len(links) >= 3
    for link in links:
        assert not urlsplit(link).netloc, link
        asset = await _page(planted.world, link)
        assert len(asset.content) > 20
        if link.endswith(".css"):
            assert not re.search(r"url\(\s*['\"]?https?:", asset.text)
        if link == "/docs/start.js":
            assert "http" not in asset.text
            assert '"/openapi.json"' in asset.text


async def test_the_document_is_served(planted: Planted) -> None:
    answer = await _page(planted.world, "/openapi.json")
    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == document()
