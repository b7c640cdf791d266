"""Hostile paths, queries and headers against every route: 4xx with a problem document, never a 5xx."""

from __future__ import annotations

import json
from urllib.parse import quote

import pytest

from tests.api.surface import Answer, Operation, Planted, operations, problem_of, send
from tests.support.effort import some

MARKER = "zqMarkerQz"
_SEGMENTS = (
    "%00", "a%00b", "%ud800", "%ED%A0%80", "%FF%FE", "%C0%AE", "%E2%80%AE", "%0A", "%0d%0aX-Evil:%201", "%25", "%",
    "%zz", ".", "..", "%2e%2e", "%2F", "%5c", "a%2Fb", "%3F", "%23", ";a=b", "null", "undefined", "0", "-1", "true",
    "99999999999999999999999999", "1e400", "NaN", "*", "'%20OR%201=1--", "{contact_id}", "$(id)", "%F0%9F%98%80",
    "00000000-0000-0000-0000-000000000000", "urn:uuid:00000000-0000-7000-8000-000000000000",
    "01938d6e-5a00-7000-8000-00000000000", "01938d6e-5a00-7000-8000-0000000000001", MARKER, MARKER + "x" * 5000,
)  # fmt: skip
_VALUES = (
    "", "%00", "a%00b", "%ud800", "%ED%A0%80", "%FF", "%", "%0A", "null", "-1", "0", "1", "01", "+1", "1_000", "%D9%A3",
    "1e400", "NaN", "99999999999", "9223372036854775808", "9" * 4000, "true", "2026-11-22", "0000-00-00", "9999-12-31",
    "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "9999-12-31T23:59:59-12:00", "2026-11-22T09:00:00", "1700000000",
    "00000000-0000-0000-0000-000000000000", ",", "a,,b", "," * 300, MARKER, "%22%27%3B--", "%F0%9F%98%80", "%25", "*",
    MARKER + "x" * 8000,
)  # fmt: skip
_PASSING = ("%00", "0", "99999999999", "9999-12-31", "9998-12-31T23:59:59-12:00", ",", "0001-01-02T00:00:00Z", MARKER,
            "00000000-0000-0000-0000-000000000000")  # fmt: skip
"""Those that may get as far as SQL; they go to every parameter, the others to one of each kind."""


def _accepted(answer: Answer, said: str, *, refused: bool = False) -> None:
    said = f"{said}: {answer.status} {answer.text[:300]}"
    assert answer.status < 500, said
    assert not refused or answer.status >= 400, said
    if answer.status >= 400:
        problem_of(answer, never=[MARKER])


async def _call(planted: Planted, operation: Operation, url: str, **options: object) -> Answer:
    body = json.dumps(planted.body(operation)).encode() if operation.body else b""
    return await send(planted.world, operation.method, url, body=body, **options)  # type: ignore[arg-type]


async def test_hostile_path_segments(planted: Planted) -> None:
    for operation in operations():
        for name in operation.in_path:
            for segment in some(_SEGMENTS, (operation.id, name)):
                raw = planted.url(operation, **{name: segment})
                answer = await _call(planted, operation, raw)
                free = {"system", "external_id", "secret", "code"} & {name}
                _accepted(answer, f"{operation.method} {raw[:120]}", refused=not free)


async def test_hostile_query_values(planted: Planted) -> None:
    seen = set()
    for operation in operations():
        url = planted.url(operation)
        for parameter in operation.parameters:
            if parameter["in"] != "query":
                continue
            described = parameter["schema"]
            own = parameter["name"] if parameter["name"] in {"limit", "cursor", "sort", "fields"} else ""
            kind = (own, described.get("type"), described.get("format"), "enum" in json.dumps(described))
            values = some(_PASSING, (operation.id, parameter["name"])) if kind in seen else _VALUES + _PASSING
            seen.add(kind)
            for value in values:
                answer = await send(planted.world, operation.method, f"{url}?{quote(parameter['name'])}={value}")
                _accepted(answer, f"{operation.method} {url}?{parameter['name']}={value[:60]}")


async def test_unknown_query_parameters(planted: Planted) -> None:
    """A misspelt filter must never widen a list."""
    for operation in operations():
        if (operation.public and not operation.path.startswith("/v1")) or "x-any-query" in operation.raw:
            continue
        url = planted.url(operation)
        queries = ("nonsense=1", "limits=1", "%00=1", "%ED%A0%80=1", "a%5B%5D=1", "=1", "status%5Bgte=1", "x" * 5000,
                      f"nonsense={MARKER}", "id%5Blike%5D=a", "id%5Beq%5D=a", "%5B%5D=1", "__proto__=1")  # fmt: skip
        for query in some(queries, operation.id):
            answer = await _call(planted, operation, f"{url}?{query}")
            assert answer.status == 422, f"{operation.method} {url}?{query[:60]}: {answer.status} {answer.text[:300]}"
            problem_of(answer, never=[MARKER])


async def test_repeated_query_parameters(planted: Planted) -> None:
    for operation in operations():
        if operation.is_list:
            answer = await send(planted.world, "GET", f"{planted.url(operation)}?limit=1&limit=2")
            assert answer.status == 422, f"{operation}: {answer.status}"
            assert problem_of(answer)["errors"][0]["code"] == "repeated"


async def test_a_date_is_no_number(planted: Planted) -> None:
    """Pydantic would take Unix seconds for a date."""
    path = f"/v1/contacts/{planted.ids['contact_id']}/donor-profile"
    assert (await send(planted.world, "GET", f"{path}?as_of=2026-11-22")).status == 200
    for value in (
        "0",
        "1700000000",
        "1e9",
        "2026-11-22T00:00:00Z",
        "20261122",
        "2026-1-1",
        "2026-02-30",
        "",
        "1899-12-31",
    ):
        answer = await send(planted.world, "GET", f"{path}?as_of={value}")
        assert answer.status == 422, value
        assert problem_of(answer)["errors"][0]["pointer"] == "?as_of"


_HEADERS: dict[bytes, tuple[bytes, ...]] = {
    b"idempotency-key": (b"", b" ", b"x" * 256, b"a\x00b", b"\xff", "ключ".encode(), b"a\tb", b"a\x7fb"),
    b"if-match": (b"", b'"', b'""', b"3", b'W/"1"', b'"1", "2"', b'"99999999999999999999"', b'"-1"', b'"1e3"', b"\xff",
                  b'"\xd9\xa3"', b'"1\x00"', b'"' + b"1" * 5000 + b'"'),
    b"if-none-match": (b"", b'"', b"3", b'W/"1"', b'"1", "2"', b"*", b"\xff", b"," * 5000),
    b"x-request-id": (b"", b" ", b"x" * 129, b"a\r\nb", b"\xff", b"a\x00b", b"<script>", "ключ".encode()),
    b"x-organization-id": (b"", b"x", b"\xff", b"\x00", b"00000000-0000-0000-0000-000000000000"),
    b"accept": (b"", b"text/html", b"*/*;q=0", b"\xff", b"application/xml"),
    b"content-length": (b"-1", b"x", b"1e3"),
    b"accept-encoding": (b"\xff", b"gzip;q=x"),
    b"cookie": (b"a=b; \xff=\x00",),
    b"x-forwarded-for": (b"1.2.3.4, \xff",),
    b"x-http-method-override": (b"DELETE",),
}  # fmt: skip


_CONCERNS = {b"idempotency-key": {"POST"}, b"if-match": {"PATCH", "POST"}, b"if-none-match": {"GET"}}


async def test_hostile_headers(planted: Planted) -> None:
    ending = {"api_keys_rotate", "api_keys_revoke"}  # they would end the planted key for the others
    chosen = [one for one in operations() if one.path.startswith("/v1") and one.id not in ending]
    sample = [one for one in chosen if one.id in {"contacts_list", "contacts_create", "contacts_update"}]
    for name, values in _HEADERS.items():
        for operation in chosen if name in _CONCERNS else sample:
            if operation.method not in _CONCERNS.get(name, {operation.method}):
                continue
            for value in some(values, (operation.id, name)):
                answer = await _call(planted, operation, planted.url(operation), headers=[(name, value)])
                _accepted(answer, f"{operation}: {name!r}: {value[:60]!r}")


@pytest.mark.parametrize(
    "value",
    [
        b"", b"Bearer", b"Bearer ", b"bearer  ", b"Basic dXNlcjpwYXNz", b"Bearer null", b"Token x", b"\xff", b"Bearer \xff",
        b"Bearer \x00", b"Bearer crm_", b"Bearer crm_test_x_y_z", b"Bearer crm_live_" + b"0" * 32 + b"_x_000000",
        b"Bearer crm_test_" + b"g" * 32 + b"_x_y", b"Bearer crm_" + b"_" * 500, b"Bearer " + b"x" * 100_000, b"Bearer a.b.c",
        b"Bearer eyJhbGciOiJub25lIn0.eyJpc3MiOiJ4In0.", b"Bearer ..", b"Bearer .W10.", b"Bearer .bnVsbA.",
        "Bearer crm_test_ключ".encode(), b"Bearer \xd9\xa3.\xd9\xa3.\xd9\xa3",
    ],
)  # fmt: skip
async def test_hostile_credentials(planted: Planted, value: bytes) -> None:
    for operation in operations():
        if operation.public:
            continue
        headers = [(b"authorization", value)]
        answer = await _call(planted, operation, planted.url(operation), headers=headers, authorized=False)
        assert answer.status == 401, f"{operation}: {answer.status} {answer.text[:300]}"
        assert answer.headers["www-authenticate"].startswith("Bearer")
        said = problem_of(answer)
        assert len(value) < 12 or value.decode("latin-1")[7:] not in json.dumps(said)
