"""Forms with a file (multipart/form-data), read as they come: the file goes to disk, never into memory as a whole.

How a route takes one::

    IMPORT = upload_form(ImportCreate, max_bytes=500_000_000)          # module level: one object per route

    @routes.post("/v1/imports", operation_id="imports_create", status_code=202, response_model=ImportRead)
    async def imports_create(
        session: Annotated[WriteSession, writes("contacts:write")],
        form: Annotated[Upload[ImportCreate], IMPORT],
    ) -> Response:
        form.body      # the validated model: every text part is a member of it
        form.file      # an open binary file at its beginning; read it in a thread, or by `form.chunks()`
        form.filename, form.content_type, form.size, form.sha256       # what was declared, what was counted

The model is an ordinary `kit.schemas.Input`. Text parts are as strict as JSON: a whole number is digits, a boolean is
``true`` or ``false``, a member that is an object or a list is written as JSON text (``options={"dry_run": true}``); a
part that the model does not have, or that comes twice, is refused. The part with the file is named ``file``.

What the boundary does with it, in this order: authenticates and checks the scope; reads the form (413 beyond
`max_bytes`, which replaces the general cap of bodies for this route; 400 for a malformed form; 415 for another content
type; 422 for a wrong part); calls `keep`, where the route has one; opens the transaction. So no connection is held
while a slow sender sends, and what `keep` does (look at the content, put it into the file store) happens outside the
transaction. The `Idempotency-Key` is bound to the content: names and values of the parts and the file's SHA-256, not to
the boundary text that clients make anew for each attempt. The file is closed, and removed from disk, with the answer.

`keep(lent, organization_id, form)` may set `form.kept` (what it made of the file) and `form.undo` (takes it back);
`documents.storage.keep_in` makes one that puts the file into the file store. `undo` is called when the request was
refused or was the repetition of one carried out already. When nobody knows how the transaction ended, it is not called:
whoever keeps files removes what no row names later.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import re
import tempfile
import unicodedata
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import IO, Any, Generic, TypeVar, cast
from uuid import UUID

import orjson
from fastapi import Depends, Request
from pydantic import BaseModel
from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser, MultipartState, parse_options_header

from crm_api.kit import body as bodies
from crm_api.kit.problems import BadRequest, FieldError, Invalid, PayloadTooLarge, UnsupportedMedia

Body = TypeVar("Body", bound=BaseModel)
Keep = Callable[[Any, UUID, "Upload[Any]"], Awaitable[None]]
SCOPE_KEY = "crm.upload"
FILE_PART = "file"
_BLOCK = 1 << 20
_MOST_PARTS = 64
_MOST_TEXT = 1_000_000
_OVERHEAD = 1_100_000
"""Bytes of a form beside its file: text parts, headers, boundaries."""
_WHOLE_NUMBER = re.compile(r"-?(0|[1-9][0-9]{0,18})")
_MEDIA_TYPE = re.compile(r"[a-z0-9!#$&^_.+-]{1,100}/[a-z0-9!#$&^_.+-]{1,100}")


@dataclass(slots=True)
class Upload(Generic[Body]):
    """A form that was read: its file and its other parts."""

    body: Body
    file: IO[bytes]
    """At its beginning. On disk when it is larger than a megabyte."""
    filename: str
    """The last part of the declared name, without control and direction characters; at most 200 characters."""
    content_type: str
    """The declared type in small letters without parameters; empty where none was declared."""
    size: int
    sha256: str
    """Of the content, in hexadecimal."""
    fingerprint: bytes
    """What makes two forms the same request."""
    kept: Any = None
    undo: Callable[[], Awaitable[None]] | None = None

    async def chunks(self, size: int = _BLOCK) -> AsyncIterator[bytes]:
        """The content from its beginning, read in a thread."""
        await asyncio.to_thread(self.file.seek, 0)
        while block := await asyncio.to_thread(self.file.read, size):
            yield block

    async def close(self, *, refused: bool) -> None:
        """End of the request; `refused`: it surely changed nothing, so what was kept is taken back."""
        try:
            if refused and self.undo is not None:
                await self.undo()
        finally:
            await asyncio.to_thread(self.file.close)


@dataclass(slots=True)
class _Part:
    headers: dict[str, str] = field(default_factory=dict)
    name: str = ""
    filename: str | None = None
    text: bytearray = field(default_factory=bytearray)
    header_name: bytearray = field(default_factory=bytearray)
    header_value: bytearray = field(default_factory=bytearray)


class _Spool:
    """The file on its way to disk: hashed and written a megabyte at a time, in a thread."""

    def __init__(self) -> None:
        self.file = cast("IO[bytes]", tempfile.SpooledTemporaryFile(max_size=_BLOCK))  # noqa: SIM115
        self.size = 0
        self._digest = hashlib.sha256()
        self._waiting = bytearray()

    def add(self, data: bytes) -> None:
        self.size += len(data)
        self._waiting += data

    async def settle(self, *, last: bool = False) -> None:
        if len(self._waiting) >= _BLOCK or (last and self._waiting):
            block, self._waiting = bytes(self._waiting), bytearray()
            await asyncio.to_thread(self._write, block)

    def _write(self, block: bytes) -> None:
        self._digest.update(block)
        self.file.write(block)

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()


class _Reader:
    """Takes a form apart."""

    def __init__(self, boundary: bytes, spool: _Spool, max_bytes: int) -> None:
        self.spool = spool
        self.max_bytes = max_bytes
        self.texts: list[tuple[str, bytes]] = []
        self.file_part: _Part | None = None
        self._part = _Part()
        self._count = 0
        self._text_bytes = 0
        callbacks: Any = {
            "on_part_begin": self._begin,
            "on_part_data": self._data,
            "on_part_end": self._end,
            "on_header_field": lambda data, start, end: self._part.header_name.extend(data[start:end]),
            "on_header_value": lambda data, start, end: self._part.header_value.extend(data[start:end]),
            "on_header_end": self._header,
            "on_headers_finished": self._headers,
        }
        self._parser = MultipartParser(boundary, callbacks)

    async def read(self, request: Request) -> None:
        try:
            async for chunk in request.stream():
                for at in range(0, len(chunk), _BLOCK):
                    self._parser.write(chunk[at : at + _BLOCK])
                    await self.spool.settle()
        except (MultipartParseError, UnicodeDecodeError):
            raise _malformed("The form cannot be read as multipart/form-data; let a library write it.") from None
        if self._parser.state != MultipartState.END:
            raise _malformed("The form ends before its last boundary; send it again as a whole.")
        await self.spool.settle(last=True)

    def _begin(self) -> None:
        self._part = _Part()
        self._count += 1
        if self._count > _MOST_PARTS:
            raise BadRequest(f"A form has at most {_MOST_PARTS} parts.", code="multipart_malformed")

    def _header(self) -> None:
        part = self._part
        part.headers[part.header_name.decode("ascii").lower()] = part.header_value.decode("utf-8")
        part.header_name.clear()
        part.header_value.clear()

    def _headers(self) -> None:
        part = self._part
        kind, options = parse_options_header_of(part.headers.get("content-disposition", ""))
        if kind != "form-data" or not options.get("name"):
            raise _malformed("Every part needs 'Content-Disposition: form-data' with a name.")
        part.name, part.filename = options["name"], options.get("filename")
        encoding = part.headers.get("content-transfer-encoding", "binary").strip().lower()
        if encoding not in {"binary", "8bit", "7bit"}:
            raise _malformed("Parts are sent as they are: leave out Content-Transfer-Encoding.")
        if part.filename is not None:
            if part.name != FILE_PART:
                raise Invalid.at(_pointer(part.name), "unknown_part", f"Send the file in the part '{FILE_PART}'.")
            if self.file_part is not None:
                raise Invalid.at(f"/{FILE_PART}", "repeated", "Send one file.")
            self.file_part = part
        elif any(part.name == name for name, _ in self.texts):
            raise Invalid.at(_pointer(part.name), "repeated", "Send each part once.")

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._part.filename is not None:
            self.spool.add(data[start:end])
            if self.spool.size > self.max_bytes:
                raise too_large(self.max_bytes)
            return
        self._text_bytes += end - start
        if self._text_bytes > _MOST_TEXT:
            raise PayloadTooLarge(f"The parts beside the file are larger than {_MOST_TEXT} bytes together.")
        self._part.text += data[start:end]

    def _end(self) -> None:
        if self._part.filename is None:
            self.texts.append((self._part.name, bytes(self._part.text)))


def parse_options_header_of(value: str) -> tuple[str, dict[str, str]]:
    """A header such as ``form-data; name="file"`` as its first word and its parameters, read as UTF-8."""
    kind, options = parse_options_header(value.encode("utf-8").decode("latin-1"))
    return kind.decode("latin-1"), {name.decode("latin-1"): text.decode("utf-8") for name, text in options.items()}


def too_large(max_bytes: int) -> PayloadTooLarge:
    """The file is over the route's cap."""
    return PayloadTooLarge(f"The file is larger than {max_bytes} bytes. Split it or make it smaller.")


def _malformed(detail: str) -> BadRequest:
    return BadRequest(detail, code="multipart_malformed")


def _pointer(name: str) -> str:
    return f"/{bodies.escape(name)}"


def clean_filename(name: str) -> str:
    """The last part of a path, without characters that control or turn text, in composed form; never empty."""
    base = unicodedata.normalize("NFC", name).replace("\\", "/").rpartition("/")[2]
    kept = "".join(one for one in base if unicodedata.category(one) not in {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})
    kept = kept.strip().lstrip(".")
    if len(kept) > 200:
        stem, dot, ending = kept.rpartition(".")
        kept = stem[: 199 - len(ending)] + dot + ending if dot and len(ending) <= 10 else kept[:200]
    return kept or "file"


class UploadForm(Generic[Body]):
    """A dependency that takes a form with a file; the boundary has read it by the time the endpoint asks."""

    def __init__(self, model: type[Body], max_bytes: int, keep: Keep | None) -> None:
        self.model = model
        self.max_bytes = max_bytes
        self.keep = keep

    @property
    def max_body_bytes(self) -> int:
        """The cap of the route's whole body."""
        return self.max_bytes + _OVERHEAD

    async def __call__(self, request: Request) -> Upload[Body]:
        """What was read."""
        found: Upload[Body] = request.scope[SCOPE_KEY]
        return found

    async def receive(self, request: Request) -> Upload[Body]:
        """Read the form; for the boundary only, which closes it."""
        try:
            kind, options = parse_options_header_of(request.headers.get("content-type", ""))
        except UnicodeDecodeError:
            kind, options = "", {}
        if kind != "multipart/form-data":
            raise UnsupportedMedia("Send the body as 'Content-Type: multipart/form-data' with the file in it.")
        boundary = options.get("boundary", "")
        if not 1 <= len(boundary) <= 70 or not boundary.isascii():
            raise _malformed("Content-Type needs a boundary of 1 to 70 characters.")
        spool = _Spool()
        try:
            reader = _Reader(boundary.encode(), spool, self.max_bytes)
            await reader.read(request)
            return await self._made(reader, spool)
        except BaseException:
            with contextlib.suppress(OSError):
                spool.file.close()
            raise

    async def _made(self, reader: _Reader, spool: _Spool) -> Upload[Body]:
        part = reader.file_part
        if part is None:
            raise Invalid.at(
                f"/{FILE_PART}", "missing", f"Send the file in a part named '{FILE_PART}' with a file name."
            )
        model = self._validated(reader.texts)
        await asyncio.to_thread(spool.file.seek, 0)
        declared = part.headers.get("content-type", "").partition(";")[0].strip().lower()
        filename = clean_filename(part.filename or "")
        told = [sorted([name, text.decode()] for name, text in reader.texts), filename, declared, spool.sha256]
        return Upload(
            body=model,
            file=spool.file,
            filename=filename,
            content_type=declared if _MEDIA_TYPE.fullmatch(declared) else "",
            size=spool.size,
            sha256=spool.sha256,
            fingerprint=orjson.dumps(told),
        )

    def _validated(self, texts: list[tuple[str, bytes]]) -> Body:
        """The model, from JSON that is made of the parts: so the rules of JSON bodies are the rules here."""
        members = []
        errors = []
        for name, raw in texts:
            kind = self._kinds.get(name)
            if kind is None:
                errors.append(FieldError(_pointer(name), "unknown_part", "This part is not known here; remove it."))
                continue
            members.append(f"{orjson.dumps(name).decode()}:{_as_json(name, raw, kind)}")
        if errors:
            raise Invalid("The form has parts that are not known here; see errors.", errors=errors)
        return bodies.parse_model(self.model, f"{{{','.join(members)}}}".encode())

    @cached_property
    def _kinds(self) -> dict[str, str]:
        """What the text of each part stands for: ``text``, ``integer``, ``boolean`` or ``json``."""
        schema = self.model.model_json_schema()
        definitions = schema.get("$defs", {})
        return {name: _kind(member, definitions) for name, member in schema.get("properties", {}).items()}


def _kind(member: dict[str, Any], definitions: dict[str, Any]) -> str:
    if "$ref" in member:
        return _kind(definitions[member["$ref"].rpartition("/")[2]], definitions)
    for option in member.get("anyOf") or member.get("oneOf") or ():
        if option.get("type") != "null":
            return _kind(option, definitions)
    kind = member.get("type", "string")
    return {"object": "json", "array": "json", "number": "json"}.get(kind, "text" if kind == "string" else str(kind))


def _as_json(name: str, raw: bytes, kind: str) -> str:
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        raise Invalid.at(_pointer(name), "invalid_encoding", "Send text parts in UTF-8.") from None
    if kind == "integer" and not _WHOLE_NUMBER.fullmatch(text):
        raise Invalid.at(_pointer(name), "int_parsing", "Send a whole number in digits.")
    if kind == "boolean" and text not in {"true", "false"}:
        raise Invalid.at(_pointer(name), "bool_parsing", "Send true or false.")
    if kind == "json":
        try:
            bodies.parse_json(raw)
        except BadRequest:
            raise Invalid.at(_pointer(name), "invalid_json", "This part is JSON text, and this is not.") from None
        except Invalid as error:
            errors = [one._replace(pointer=_pointer(name) + one.pointer) for one in error.errors]
            raise Invalid(error.detail, errors=errors) from None
    return orjson.dumps(text).decode() if kind == "text" else text


def upload_form(model: type[BaseModel], *, max_bytes: int, keep: Keep | None = None) -> Any:
    """``Annotated[Upload[ImportCreate], upload_form(ImportCreate, max_bytes=500_000_000)]``: see the module."""
    return Depends(UploadForm(model, max_bytes, keep))


def described(model: type[BaseModel], schema: dict[str, Any]) -> dict[str, Any]:
    """The OpenAPI schema of a form, from its model's: with the file, and without null, which a form cannot say."""
    properties: dict[str, Any] = {
        FILE_PART: {"type": "string", "format": "binary", "description": "The file, with its name and content type."}
    }
    for name, member in schema.get("properties", {}).items():
        options = [one for one in member.get("anyOf", ()) if one != {"type": "null"}]
        plain = {key: value for key, value in member.items() if key != "anyOf" and (key, value) != ("default", None)}
        properties[name] = (
            {**options[0], **plain}
            if len(options) == 1 and "anyOf" in member
            else plain | ({"anyOf": options} if options else {})
        )
    examples = [{FILE_PART: "(binary)", **example} for example in schema.get("examples", [])]
    return {
        **schema,
        "properties": properties,
        "required": [FILE_PART, *schema.get("required", [])],
        "examples": examples,
        "description": schema.get("description", model.__name__),
    }
