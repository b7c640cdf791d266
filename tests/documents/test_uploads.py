"""Forms with a file: read as they come, strict, and each of them one request whatever its boundary is."""

from __future__ import annotations

import asyncio
import contextlib
import json
import tracemalloc
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from fastapi import Request
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from crm_api.kit import problems
from crm_api.kit.schemas import Input
from crm_api.kit.uploads import Upload, UploadForm, clean_filename
from tests.api.surface import problem_of, send
from tests.documents.samples import PDF, TEXT
from tests.support.effort import examples
from tests.support.world import World


class Options(Input):
    """A member that is an object."""

    dry_run: bool = False
    mapping: dict[str, str] = {}


class Form(Input):
    """One part of each kind."""

    name: str | None = None
    count: int | None = None
    sure: bool = False
    tags: list[str] = []
    options: Options = Options()


def multipart(
    parts: Iterable[tuple[str, bytes]], boundary: str = "xYzZY", ending: bytes = b"--\r\n"
) -> tuple[bytes, bytes]:
    """A form by hand: headers of a part and its content; the content type, and the body."""
    body = b"".join(
        b"--" + boundary.encode() + b"\r\n" + headers.encode() + b"\r\n\r\n" + content + b"\r\n"
        for headers, content in parts
    )
    return f"multipart/form-data; boundary={boundary}".encode(), body + b"--" + boundary.encode() + ending


def text_part(name: str, value: str | bytes) -> tuple[str, bytes]:
    return f'Content-Disposition: form-data; name="{name}"', value if isinstance(value, bytes) else value.encode()


def file_part(content: bytes = b"content", name: str = "a.txt", kind: str = "text/plain") -> tuple[str, bytes]:
    return f'Content-Disposition: form-data; name="file"; filename="{name}"\r\nContent-Type: {kind}', content


async def receive(
    parts: Iterable[tuple[str, bytes]], *, max_bytes: int = 1000, pieces: int = 7, model: type[BaseModel] = Form
) -> Upload[Any]:
    """The form as the dependency reads it, from a body in small pieces."""
    content_type, body = multipart(parts)
    return await received(body, content_type, max_bytes=max_bytes, pieces=pieces, model=model)


async def received(body: bytes, content_type: bytes, *, max_bytes: int, pieces: int, model: Any = Form) -> Upload[Any]:
    waiting = [body[at : at + pieces] for at in range(0, len(body), pieces)] or [b""]

    async def messages() -> dict[str, Any]:
        piece = waiting.pop(0)
        return {"type": "http.request", "body": piece, "more_body": bool(waiting)}

    scope = {"type": "http", "method": "POST", "path": "/", "headers": [(b"content-type", content_type)]}
    return await UploadForm(model, max_bytes, None).receive(Request(scope, messages))


async def refusal(parts: Iterable[tuple[str, bytes]], **options: Any) -> problems.Problem:
    with pytest.raises(problems.Problem) as caught:
        await receive(parts, **options)
    return caught.value


@pytest.mark.parametrize("pieces", [1, 7, 64, 10_000])
async def test_a_form_is_read_in_any_pieces(pieces: int) -> None:
    form = await receive(
        [
            text_part("name", "Олена \r\n--xYz"),
            text_part("count", "-12"),
            file_part(b"\r\n--xYzZ\r\n\x00", "звіт.txt"),
            text_part("sure", "true"),
            text_part("options", '{"dry_run": true, "mapping": {"Name": "given_name"}}'),
            text_part("tags", '["a"]'),
        ],
        pieces=pieces,
    )
    expected = Form(
        name="Олена \r\n--xYz", count=-12, sure=True, tags=["a"],
        options=Options(dry_run=True, mapping={"Name": "given_name"}),
    )  # fmt: skip
    assert form.body == expected
    assert (form.file.read(), form.filename, form.content_type) == (b"\r\n--xYzZ\r\n\x00", "звіт.txt", "text/plain")
    assert (form.size, [piece async for piece in form.chunks()]) == (11, [b"\r\n--xYzZ\r\n\x00"])
    await form.close(refused=False)
    assert form.file.closed


@pytest.mark.parametrize(
    ("name", "value", "pointer", "code"),
    [
        ("count", "1.0", "/count", "int_parsing"),
        ("count", "1_0", "/count", "int_parsing"),
        ("count", " 1", "/count", "int_parsing"),
        ("count", "99999999999999999999", "/count", "int_parsing"),
        ("count", "", "/count", "int_parsing"),
        ("sure", "True", "/sure", "bool_parsing"),
        ("sure", "1", "/sure", "bool_parsing"),
        ("options", "{}, 'x': 1", "/options", "invalid_json"),
        ("options", '{"dry_run": "yes"}', "/options/dry_run", "bool_type"),
        ("options", '{"other": 1}', "/options/other", "extra_forbidden"),
        ("options", '{"dry_run": true, "dry_run": false}', "/options", "duplicate_key"),
        ("options", "[]", "/options", "model_type"),
        ("name", b"\xff\xfe", "/name", "invalid_encoding"),
        ("name", "a\x00b", "/name", "nul_character"),
        ("other", "x", "/other", "unknown_part"),
        ("file", "a file without a name", "/file", "missing"),
    ],
)
async def test_parts_are_strict(name: str, value: str | bytes, pointer: str, code: str) -> None:
    parts = [text_part(name, value)] + ([file_part()] if name != "file" else [])
    problem = await refusal(parts)
    assert problem.status == 422
    assert [(error.pointer, error.code) for error in problem.errors] == [(pointer, code)]
    assert not value or str(value) not in str(problem.errors) + problem.detail or len(str(value)) < 3


async def test_each_part_once_and_the_file_in_its_place() -> None:
    twice = await refusal([text_part("name", "a"), text_part("name", "b"), file_part()])
    assert (twice.status, twice.errors[0].code) == (422, "repeated")
    files = await refusal([file_part(), file_part()])
    assert (files.status, files.errors[0].code) == (422, "repeated")
    elsewhere = await refusal([('Content-Disposition: form-data; name="photo"; filename="a.png"', b"x"), file_part()])
    assert (elsewhere.errors[0].pointer, elsewhere.errors[0].code) == ("/photo", "unknown_part")


@pytest.mark.parametrize(
    "change",
    [
        lambda kind, body: (kind, body[:-9]),
        lambda kind, body: (kind, b""),
        lambda kind, body: (kind, b"{}"),
        lambda kind, body: (kind, body.replace(b"form-data;", b"attachment;")),
        lambda kind, body: (kind, body.replace(b'name="file"; ', b"")),
        lambda kind, body: (kind, body.replace(b"Content-Disposition", b"Content Disposition")),
        lambda kind, body: (kind, body.replace(b"Content-Type", b"Content-Transfer-Encoding: base64\r\nContent-Type")),
        lambda kind, body: (kind, body.replace(b"Content-Type", b"X-A: " + b"a" * 20_000 + b"\r\nContent-Type")),
        lambda kind, body: (kind, body.replace(b"a.txt", b"\xff\xfe.txt")),
        lambda kind, body: (kind.replace(b"xYzZY", b"other"), body),
        lambda kind, body: (kind.replace(b"xYzZY", b""), body),
        lambda kind, body: (kind.replace(b"xYzZY", b"x" * 71), body),
        lambda kind, body: (kind, multipart([text_part(f"p{number}", "x") for number in range(65)])[1]),
    ],
)
async def test_malformed_forms(change: Any) -> None:
    kind, body = change(*multipart([file_part()]))
    with pytest.raises(problems.BadRequest) as caught:
        await received(body, kind, max_bytes=1000, pieces=50)
    assert caught.value.code == "multipart_malformed"


async def test_too_large() -> None:
    form = await receive([file_part(b"x" * 1000)], pieces=100)
    assert form.size == 1000
    await form.close(refused=False)
    problem = await refusal([file_part(b"x" * 1001)], pieces=100)
    assert (problem.status, "1000 bytes" in problem.detail) == (413, True)
    problem = await refusal([text_part("name", "x" * 1_000_001), file_part()], pieces=100_000)
    assert problem.status == 413


@settings(max_examples=examples(100), deadline=None)
@given(st.binary(max_size=300), st.integers(1, 40))
def test_any_content_comes_through(content: bytes, pieces: int) -> None:
    async def go() -> None:
        with contextlib.suppress(problems.Problem):
            form = await received(content, b"multipart/form-data; boundary=x", max_bytes=100, pieces=pieces)
            await form.close(refused=False)
        if b"\r\n--xYzZY" not in content:
            form = await receive([file_part(content)], pieces=pieces)
            assert form.file.read() == content
            await form.close(refused=False)

    asyncio.run(go())


@pytest.mark.parametrize(
    ("given_name", "kept"),
    [
        ("a.txt", "a.txt"),
        ("C:\\Users\\olena\\паспорт.pdf", "паспорт.pdf"),
        ("../../etc/passwd", "passwd"),
        ("exe.\u202efdp.txt", "exe.fdp.txt"),
        ("a\r\nSet-Cookie: x.txt", "aSet-Cookie: x.txt"),
        ("і" * 300 + ".pdf", "і" * 196 + ".pdf"),
        ("..", "file"),
        ("/", "file"),
        ("й.txt", "й.txt"),
    ],
)
def test_file_names(given_name: str, kept: str) -> None:
    assert clean_filename(given_name) == kept
    assert len(clean_filename(given_name)) <= 200


async def test_memory_is_flat() -> None:
    """A file of 60 MB goes to disk through some megabytes of memory."""
    block = bytes(1_000_000)
    head, tail = multipart([file_part(b"SPLIT")])[1].split(b"SPLIT")
    pieces = iter([head, *[block] * 60, tail])
    following = next(pieces)

    async def messages() -> dict[str, Any]:
        nonlocal following
        piece, following = following, next(pieces, b"")
        return {"type": "http.request", "body": piece, "more_body": bool(following)}

    kind = b"multipart/form-data; boundary=xYzZY"
    scope = {"type": "http", "method": "POST", "path": "/", "headers": [(b"content-type", kind)]}
    tracemalloc.start()
    try:
        form = await UploadForm(Form, 100_000_000, None).receive(Request(scope, messages))
        assert tracemalloc.get_traced_memory()[1] < 12_000_000
    finally:
        tracemalloc.stop()
    assert form.size == 60_000_000
    await form.close(refused=False)


# Over HTTP


async def upload(world: World, content: bytes = TEXT, name: str = "a.txt", *, expect: int = 201, **more: Any) -> Any:
    """Attach a file to a contact."""
    contact = more.pop("contact_id", None) or (await world.contact())["id"]
    headers = more.pop("headers", {})
    files = {"file": (name, content, more.pop("kind", "application/octet-stream"))}
    return await world.call(
        "POST", "/v1/documents", expect=expect, data={"contact_id": contact, **more}, files=files, headers=headers
    )


def kept_files(world: World) -> list[Path]:
    """Files in the store."""
    folder = Path(world.settings.files_url.removeprefix("file://"))
    return [path for path in folder.rglob("*") if path.is_file()]


async def test_the_route_has_its_own_cap(world: World) -> None:
    """Above the general cap of bodies; beyond its own 413 with nothing kept."""
    large = PDF + bytes(2_000_000)
    assert large.__len__() > world.settings.max_body_bytes
    document = await upload(world, large, "a.pdf")
    assert document["size"] == len(large)
    problem = await upload(world, PDF + bytes(25_000_000), "a.pdf", expect=413)
    assert "25000000 bytes" in problem["detail"]
    assert len(kept_files(world)) == 1
    answer = await send(world, "POST", "/v1/funds", body=b'{"code": "' + b"a" * 1_100_000 + b'"}')
    assert problem_of(answer)["status"] == 413, "other routes keep the general cap"


async def test_a_length_that_is_declared_too_large_is_refused_unread(world: World) -> None:
    headers = [(b"content-length", b"99000000"), (b"content-type", b"multipart/form-data; boundary=x")]
    answer = await send(world, "POST", "/v1/documents", body=[b"x"], headers=headers)
    assert problem_of(answer)["status"] == 413


async def test_other_content_types(world: World) -> None:
    for kind in ("application/json", "text/plain", "multipart/mixed; boundary=x", "application/x-www-form-urlencoded"):
        answer = await send(world, "POST", "/v1/documents", body=b"{}", media_type=kind)
        assert problem_of(answer)["status"] == 415, kind
    answer = await send(world, "POST", "/v1/documents", body=b"{}", media_type="multipart/form-data")
    assert problem_of(answer)["code"] == "multipart_malformed"
    answer = await send(world, "POST", "/v1/documents", body=b"{}", authorized=False)
    assert answer.status == 401, "who asks comes first"


async def test_the_same_form_twice_is_one_document(world: World) -> None:
    """Clients make a new boundary for each attempt: it is not part of what was asked."""
    contact = (await world.contact())["id"]
    headers = {"Idempotency-Key": "upload-1"}
    first = await upload(world, contact_id=contact, title="Notes", headers=headers)
    again = await upload(world, contact_id=contact, title="Notes", headers=headers)
    assert again == first
    assert len(kept_files(world)) == 1
    assert len((await world.get("/v1/documents"))["data"]) == 1
    for change in ({"content": TEXT + b"."}, {"title": "Other"}, {"name": "b.txt"}):
        problem = await upload(
            world, **{"contact_id": contact, "title": "Notes", **change}, headers=headers, expect=422
        )
        assert problem["code"] == "idempotency_key_reused"
    assert len(kept_files(world)) == 1


async def test_a_refused_request_leaves_no_file(world: World) -> None:
    await upload(world, contact_id=str(uuid4()), expect=404)
    await upload(world, expires_on="tomorrow", expect=422)
    await upload(world, name="a.exe", expect=422)
    assert kept_files(world) == []


async def test_the_document_says_what_a_form_is(world: World) -> None:
    described = (await world.get("/openapi.json"))["paths"]["/v1/documents"]["post"]
    schema = described["requestBody"]["content"]["multipart/form-data"]["schema"]
    name = schema["$ref"].rpartition("/")[2]
    form = (await world.get("/openapi.json"))["components"]["schemas"][name]
    assert form["properties"]["file"]["format"] == "binary"
    assert set(form["required"]) == {"file", "contact_id"}
    assert form["additionalProperties"] is False
    assert "null" not in json.dumps(form["properties"])
    assert {"400", "413", "415", "422"} <= described["responses"].keys()
