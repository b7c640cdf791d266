"""Every error is a problem document with a code and a request id, whatever went wrong."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from crm_api.app import build_services, create_app
from crm_api.contacts import service as contacts_service
from crm_api.idempotency.boundary import reads, router, writes
from crm_api.kit.edge import Edge
from crm_api.kit.ids import new_id
from tests.api.surface import Planted, operations, problem_of, send
from tests.support.world import World

MARKER = "zqMarkerQz"


@pytest.mark.parametrize(
    "path",
    ["/", "/v1", "/v1/", "/v2/contacts", "/v1/nothing", "/v1/contacts/", "/v1//contacts", "/V1/contacts", "/v1/contacts/x/y",
     "/docs/assets/none.js", "/docs/assets/../../etc/passwd", "/docs/assets/%2e%2e/%2e%2e/setup.py", "/%00", "/.env"],
)  # fmt: skip
async def test_no_such_address(planted: Planted, path: str) -> None:
    answer = await send(planted.world, "GET", path)
    assert answer.status == 404
    assert problem_of(answer)["code"] == "route_not_found"


async def test_methods_that_an_address_does_not_take(planted: Planted) -> None:
    """405 names what it does take, over all routes of the address."""
    taken: dict[str, set[str]] = {}
    for operation in operations():
        taken.setdefault(operation.path, set()).add(operation.method)
    for operation in operations():
        url = planted.url(operation)
        for method in {"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW", "get"} - taken[
            operation.path
        ]:
            answer = await send(planted.world, method, url)
            assert answer.status == 405, f"{method} {url}: {answer.status} {answer.text}"
            assert problem_of(answer)["code"] == "method_not_allowed"
            allowed = set(answer.headers["allow"].split(", "))
            assert allowed == taken[operation.path], f"{method} {url}"


async def test_ids_that_are_not_there(planted: Planted) -> None:
    nothing = str(new_id())
    for operation in operations():
        for name in operation.ids:
            url = planted.url(operation, **{name: nothing})
            body = b"" if operation.body is None else _json(planted.body(operation))
            answer = await send(planted.world, operation.method, url, body=body)
            assert answer.status == 404, f"{operation}: {answer.status} {answer.text}"
            said = problem_of(answer)
            assert said["code"] == "not_found", operation
            assert nothing not in answer.text


def _json(value: Any) -> bytes:
    import json

    return json.dumps(value).encode()


broken = router("broken")


@broken.get("/v1/broken")
async def _breaks() -> Any:
    raise RuntimeError(f"{MARKER} olena@example.org")


@broken.post("/v1/broken")
async def _breaks_while_writing(session: Any = writes("contacts:write")) -> Any:
    await session._connection.execute("SELECT 1")
    raise RuntimeError(MARKER)


@broken.get("/v1/broken-sql")
async def _breaks_in_sql(session: Any = reads("contacts:read")) -> Any:
    async with session._database.connection() as connection:
        await connection.fetch("SELECT 1 / 0 FROM (SELECT $1::text) t", MARKER)


@broken.get("/v1/slow-sql")
async def _is_slow(session: Any = reads("contacts:read")) -> Any:
    async with session._database.connection() as connection:
        await connection.execute("SET LOCAL statement_timeout = '1ms'; SELECT pg_sleep(1)")


@pytest.fixture
async def broken_world(world: World) -> World:
    """The application with routes that break, as a mistake of ours would."""
    app = create_app(world.settings)
    app.include_router(broken)
    app.state.services = build_services(world.settings, world.database)
    world.client._transport.app = Edge(app, max_body_bytes=1000, access_log=True)  # type: ignore[attr-defined]
    return world


async def test_an_error_of_ours(broken_world: World, capfd: pytest.CaptureFixture[str]) -> None:
    for method, path in (("GET", "/v1/broken"), ("POST", "/v1/broken"), ("GET", "/v1/broken-sql")):
        answer = await send(broken_world, method, path)
        assert answer.status == 500, f"{method} {path}: {answer.text}"
        said = problem_of(answer, never=[MARKER, "RuntimeError", "olena", "Traceback", "test_problems", "SELECT"])
        assert said["code"] == "internal_error"
    logged = capfd.readouterr()
    assert "request_failed" in logged.out + logged.err
    assert MARKER not in logged.out + logged.err
    async with broken_world.database.connection() as connection:
        assert not connection.is_in_transaction()
    await broken_world.contact()


async def test_an_error_in_a_verb(
    world: World, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """The same on the short way that hot routes take; nothing of the request stays."""
    contact = await world.contact()

    def breaks(*_: Any, **__: Any) -> Any:
        raise KeyError(f"{MARKER} olena@example.org")

    for name in ("get_contact", "record", "to_read"):
        monkeypatch.setattr(contacts_service, name, breaks)
    one = f"/v1/contacts/{contact['id']}"
    for method, path, body in (
        ("GET", one, b""),
        ("GET", "/v1/contacts", b""),
        ("POST", "/v1/contacts", b'{"given_name":"A"}'),
    ):
        answer = await send(world, method, path, body=body)
        assert answer.status == 500, f"{method} {path}: {answer.text}"
        problem_of(answer, never=[MARKER, "olena", "KeyError"])
    assert MARKER not in "".join(capfd.readouterr())
    monkeypatch.undo()
    assert len((await world.get("/v1/contacts"))["data"]) == 1


async def test_a_statement_that_takes_too_long(broken_world: World) -> None:
    answer = await send(broken_world, "GET", "/v1/slow-sql")
    assert answer.status == 503
    assert problem_of(answer)["code"] == "unavailable"
    assert int(answer.headers["retry-after"]) >= 1


async def test_every_connection_is_busy(make_world: Any) -> None:
    """503 with Retry-After for reads and writes, and normal again at once."""
    world: World = await make_world(database_pool=1)
    world.database._pool._wait_seconds = 0.05
    async with world.database.connection():
        for method, path, body in (("GET", "/v1/contacts", b""), ("POST", "/v1/contacts", b'{"given_name":"A"}')):
            answer = await send(world, method, path, body=body)
            assert answer.status == 503, answer.text
            assert problem_of(answer)["code"] == "unavailable"
            assert answer.headers["retry-after"]
    await world.contact()


async def test_a_slow_sender_holds_no_connection(make_world: Any) -> None:
    """With a pool of one: others are served while a body still trickles in."""
    world: World = await make_world(database_pool=1)
    world.database._pool._wait_seconds = 0.5
    began, go_on = asyncio.Event(), asyncio.Event()
    app = world.client._transport.app  # type: ignore[attr-defined]
    whole = [b'{"given_name":', b'"Slow"}']

    async def receive() -> Any:
        if len(whole) == 1:
            began.set()
            await go_on.wait()
        return {"type": "http.request", "body": whole.pop(0), "more_body": bool(whole)}

    answered: list[Any] = []

    async def take(message: Any) -> None:
        answered.append(message)

    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST", "scheme": "http",
        "path": "/v1/contacts", "raw_path": b"/v1/contacts", "query_string": b"", "root_path": "",
        "headers": [(b"authorization", f"Bearer {world.api_key}".encode()), (b"content-type", b"application/json")],
        "client": ("127.0.0.1", 1), "server": ("crm.test", 80),
    }  # fmt: skip
    slow = asyncio.create_task(app(scope, receive, take))
    await began.wait()
    await world.contact()
    go_on.set()
    await slow
    assert answered[0]["status"] == 201
    assert len((await world.get("/v1/contacts"))["data"]) == 2


async def test_connections_that_are_killed(world: World, service_role: asyncpg.Connection) -> None:
    """A request in flight may fail with 503; the next ones work."""
    for _ in range(3):
        await world.get("/v1/contacts")
        mine = "usename = current_user AND datname = current_database() AND pid <> pg_backend_pid()"
        await service_role.fetch(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {mine}")
        await asyncio.sleep(0.05)
        statuses = [(await send(world, "GET", "/v1/contacts")).status for _ in range(12)]
        assert set(statuses) <= {200, 503}
        assert statuses[-1] == 200


async def test_request_ids(planted: Planted) -> None:
    world = planted.world
    for given in (b"a", b"req_1:2.3-4", b"x" * 128, b"01938d6e-5a00-7000-8000-000000000001"):
        for path in ("/v1/contacts", "/nothing", "/health/live"):
            answer = await send(world, "GET", path, headers=[(b"x-request-id", given)])
            assert answer.headers["x-request-id"].encode() == given
    for refused in (b"", b" ", b"x" * 129, b"a b", b"<a>", b"\xff", b"a\x00", b"a\r\nb"):
        answer = await send(world, "GET", "/v1/contacts", headers=[(b"x-request-id", refused)])
        assert UUID(answer.headers["x-request-id"]).version == 7
    made = {(await send(world, "GET", "/v1/contacts")).headers["x-request-id"] for _ in range(5)}
    assert len(made) == 5


async def test_a_request_id_follows_its_request(world: World, owner: asyncpg.Connection) -> None:
    """Into the problem document, the audit and the work that follows."""
    contact = await world.post("/v1/contacts", {"given_name": "A"}, headers={"X-Request-Id": "follow-me"})
    gift = {"contact_id": contact["id"], "amount": {"amount": 100, "currency": "USD"}}
    await world.post("/v1/donations", gift, headers={"X-Request-Id": "follow-me"})
    async with owner.transaction():
        await owner.execute(f"SET LOCAL crm.organization_id = '{world.id}'")
        for table in ("audit_events", "jobs"):
            assert await owner.fetchval(f"SELECT count(*) FROM {table} WHERE request_id = 'follow-me'") >= 1, table


async def test_headers_that_every_answer_carries(planted: Planted) -> None:
    for path in ("/v1/contacts", "/v1/nothing", "/health/live", "/metrics", "/openapi.json", "/docs"):
        answer = await send(planted.world, "GET", path)
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert "server" not in answer.headers
        assert "access-control-allow-origin" not in answer.headers


async def test_conflicts_and_wrong_references(world: World) -> None:
    await world.post("/v1/funds", {"code": "a", "name": "A"})
    said = await world.post("/v1/funds", {"code": "a", "name": "B"}, expect=409)
    assert said["code"] == "already_exists"
    assert said["detail"].startswith("There is already such a fund")
    gift: dict[str, Any] = {"contact_id": str(new_id()), "amount": {"amount": 100, "currency": "USD"}}
    said = await world.post("/v1/donations", gift, expect=404)
    assert (said["code"], said["errors"][0]["pointer"]) == ("reference_not_found", "/contact_id")
    assert gift["contact_id"] not in str(said)


async def test_a_client_that_leaves(world: World, capfd: pytest.CaptureFixture[str]) -> None:
    """Nothing is written, nothing is logged as an error, and the connection is free again."""
    left: list[Any] = [
        {"type": "http.request", "body": b'{"given_name"', "more_body": True},
        {"type": "http.disconnect"},
    ]

    async def receive() -> Any:
        return left.pop(0)

    async def take(message: Any) -> None:
        raise AssertionError(f"nobody is there for {message}")

    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST", "scheme": "http",
        "path": "/v1/contacts", "raw_path": b"/v1/contacts", "query_string": b"", "root_path": "",
        "headers": [(b"authorization", f"Bearer {world.api_key}".encode()), (b"content-type", b"application/json")],
        "client": ("127.0.0.1", 1), "server": ("crm.test", 80),
    }  # fmt: skip
    await world.client._transport.app(scope, receive, take)  # type: ignore[attr-defined]
    assert (await world.get("/v1/contacts"))["data"] == []
    assert "request_failed" not in "".join(capfd.readouterr())
