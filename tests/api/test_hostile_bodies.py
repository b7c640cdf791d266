"""Hostile JSON against every route that takes a body: refused in words, never a 5xx, never repeated back.

The values are those of the design's reliability page (§0.3 and fault row 20): six of six of the first group are a 500
in a naive FastAPI and asyncpg application.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from jsonschema import Draft202012Validator
from referencing import Registry, Resource

from tests.api.surface import Operation, Planted, document, leaves, operations, problem_of, replaced, send
from tests.support.effort import some

MARKER = "zqMarkerQz"
"""In every rejected text; must not come back."""


_JSON = [(b"content-type", b"application/json")]


def _with_body() -> list[Operation]:
    return [operation for operation in operations() if operation.body]


def _whole() -> Iterator[tuple[str, bytes]]:
    """Bodies that no route may accept."""
    yield "empty", b""
    yield "blank", b"  \n"
    for text in ("null", "[]", "[{}]", '""', f'"{MARKER}"', "1", "true", "-0.5"):
        yield f"not an object: {text}", text.encode()
    for text in ("{", "}", '{"a"}', '{"a":1,}', "{'a':1}", '{"a":01}', "{a:1}", f'{{"{MARKER}"', "{}{}", "{} x"):
        yield f"not JSON: {text}", text.encode()
    yield "byte order mark", b"\xef\xbb\xbf{}"
    yield "invalid UTF-8", b'{"name":"\xff\xfe"}'
    yield "encoded surrogate", b'{"name":"\xed\xa0\x80"}'
    yield "UTF-16", '{"name":"x"}'.encode("utf-16")
    yield "raw NUL", b'{"name":"a\x00b"}'
    yield "objects 40 deep", b'{"custom":' * 40 + b"1" + b"}" * 40
    yield "unknown member", f'{{"no_such_member":"{MARKER}"}}'.encode()
    yield "unknown member, NUL in its name", b'{"no\\u0000such":1}'
    yield "unknown member, surrogate in its name", b'{"no\\udc00such":1}'


def _vast() -> Iterator[tuple[str, bytes]]:
    """The same, large; they are all read by one function, so a few routes will do."""
    yield "arrays 10,000 deep", b'{"name":' + b"[" * 10_000 + b"]" * 10_000 + b"}"
    yield "objects 10,000 deep", b'{"custom":' * 10_000 + b"1" + b"}" * 10_000
    yield "unclosed, 100,000 deep", b"[" * 100_000
    yield "unknown member, 100,000 letters", b'{"' + b"n" * 100_000 + b'":1}'
    yield "10,000 unknown members", json.dumps({f"m{n}": n for n in range(10_000)}).encode()
    yield "a digit bomb", b'{"amount":' + b"9" * 400_000 + b"}"


_LITERALS = (
    ('"\\u0000"', "NUL"),
    (f'"{MARKER}\\u0000"', "NUL in text"),
    (f'"{MARKER}\\ud800"', "lone surrogate"),
    ('"\\udfff\\ud800"', "swapped surrogates"),
    ("9223372036854775808", "2^63"),
    ("-9223372036854775809", "below -2^63"),
    ("1" + "0" * 400, "10^400"),
    ("1e400", "1e400"),
    ("-1e400", "-1e400"),
    ("NaN", "NaN"),
    ("Infinity", "Infinity"),
    ("-Infinity", "-Infinity"),
)
"""What fits no type at all."""

_VALUES: tuple[Any, ...] = (
    None,
    True,
    0,
    -1,
    2**31,
    2**53,
    2**63 - 1,
    1.5,
    1e308,
    "",
    " ",
    MARKER,
    f"{MARKER}'; DROP TABLE contacts; --",
    "1",
    "true",
    "\u202e\U0010ffff\x7f\x1b[2J",
    "0001-01-01T00:00:00Z",
    "9999-12-31T23:59:59.999999Z",
    "0000-00-00",
    "9999-12-31",
    "2026-11-22T09:00:00",
    "00000000-0000-0000-0000-000000000000",
    MARKER + "x" * 20_000,
    [],
    {},
    [MARKER],
    [None],
    {"k": MARKER},
    {"amount": 1, "currency": "XXX"},
    {"amount": True, "currency": "USD"},
    {"amount": -1, "currency": "USD"},
)
"""What fits some types; the document's own schema is asked whether it fits here."""


def _validator(operation: Operation) -> Draft202012Validator:
    resource = Resource.from_contents({"$schema": "https://json-schema.org/draft/2020-12/schema", **document()})
    registry: Any = Registry().with_resource("urn:api", resource)
    return Draft202012Validator({"$ref": f"urn:api#/components/schemas/{operation.body}"}, registry=registry)


async def test_bodies_that_no_route_accepts(planted: Planted) -> None:
    for number, operation in enumerate(_with_body()):
        for name, raw in (*some(_whole(), operation.id), *(_vast() if number % 16 == 0 else ())):
            answer = await send(planted.world, operation.method, planted.url(operation), body=raw, headers=_JSON)
            assert answer.status in {400, 422}, f"{operation}: {name}: {answer.status} {answer.text[:300]}"
            problem_of(answer, never=[MARKER])


async def test_values_that_fit_no_type_in_every_member(planted: Planted) -> None:
    for operation in _with_body():
        body = planted.body(operation)
        for at, _ in leaves(body):
            text = json.dumps(replaced(body, at, "@@"))
            for literal, name in some(_LITERALS, (operation.id, at)):
                raw = text.replace('"@@"', literal).encode()
                answer = await send(planted.world, operation.method, planted.url(operation), body=raw)
                assert answer.status == 422, f"{operation} {at}: {name}: {answer.status} {answer.text[:300]}"
                problem_of(answer, never=[MARKER])


async def test_every_member_sent_twice(planted: Planted) -> None:
    for operation in _with_body():
        body = planted.body(operation)
        for name, value in body.items():
            twice = json.dumps(body)[:-1] + f", {json.dumps(name)}: {json.dumps(value)}}}"
            answer = await send(planted.world, operation.method, planted.url(operation), body=twice.encode())
            assert answer.status == 422, f"{operation} {name}: {answer.status} {answer.text[:300]}"
            assert problem_of(answer)["errors"][0]["code"] == "duplicate_key"


async def test_values_of_wrong_types_in_every_member(planted: Planted) -> None:
    """What the document's schema refuses is refused; what it allows is never a 5xx."""
    for operation in _with_body():
        validator = _validator(operation)
        body = planted.body(operation)
        for at, _ in leaves(body):
            for value in some(_VALUES, (operation.id, at)):
                sent = replaced(body, at, value)
                raw = json.dumps(sent).encode()
                answer = await send(planted.world, operation.method, planted.url(operation), body=raw)
                said = f"{operation} {at} = {str(value)[:60]!r}: {answer.status} {answer.text[:300]}"
                assert answer.status < 500, said
                if not validator.is_valid(sent):
                    assert answer.status >= 400, said
                if answer.status >= 400:
                    problem_of(answer, never=[MARKER])


async def test_a_member_is_missing(planted: Planted) -> None:
    for operation in _with_body():
        validator = _validator(operation)
        body = planted.body(operation)
        for name in body:
            sent = {key: value for key, value in body.items() if key != name}
            answer = await send(planted.world, operation.method, planted.url(operation), body=json.dumps(sent).encode())
            assert answer.status < 500, f"{operation} without {name}: {answer.status} {answer.text[:300]}"
            if not validator.is_valid(sent):
                assert answer.status == 422, f"{operation} without {name}: {answer.status} {answer.text[:300]}"


async def test_wrong_content_types(planted: Planted) -> None:
    for operation in _with_body():
        raw = json.dumps(planted.body(operation)).encode()
        for media_type in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "*/*",
                           "application/xml", "application/octet-stream", "json", "", "\xff"):  # fmt: skip
            answer = await send(planted.world, operation.method, planted.url(operation), body=raw, media_type=None,
                                headers=[(b"content-type", media_type.encode("latin-1"))])  # fmt: skip
            assert answer.status == 415, f"{operation}: {media_type}: {answer.status}"
            problem_of(answer)
        answer = await send(planted.world, operation.method, planted.url(operation), body=raw, media_type=None)
        assert answer.status == 415


async def test_bodies_over_the_cap(planted: Planted) -> None:
    """With and without Content-Length, and with one that lies."""
    most = planted.world.settings.max_body_bytes
    large = b'{"name":"' + b"x" * most + b'"}'
    for operation in operations():
        if operation.method == "GET":
            continue
        url = planted.url(operation)
        own = planted.world.app.body_cap(operation.method, url.partition("?")[0])
        if own is not None:  # too large to be sent here: what is announced must do
            lie = [(b"content-length", str(own + 1).encode())]
            answer = await send(planted.world, operation.method, url, body=[b"{}"], headers=lie)
            assert answer.status == 413, f"{operation}: {answer.status} {answer.text[:300]}"
            continue
        whole = await send(planted.world, operation.method, url, body=large)
        pieces = await send(planted.world, operation.method, url, body=[b"x" * 100_000] * (most // 100_000 + 1))
        lie = [(b"content-length", str(most + 1).encode())]
        lying = await send(planted.world, operation.method, url, body=[b"{}"], headers=lie)
        vast = await send(planted.world, operation.method, url, body=[b"{}"], headers=[(b"content-length", b"9" * 400)])
        for answer in (whole, pieces, lying, vast):
            assert answer.status == 413, f"{operation}: {answer.status} {answer.text[:300]}"
            assert problem_of(answer)["code"] == "payload_too_large"
