"""Where files are kept: a folder of this machine or a bucket that speaks S3, behind one small API.

A file has a name that nobody can guess, led by the organization's id: ``<organization>/<area>/ab/<random>``. It is
written once, read as often as wanted and deleted; it is never changed. Content goes through in pieces, so memory stays
flat whatever the size. Nothing here knows a database: write first, then record the name in a transaction; delete after
the commit that forgot the name; sweep what no row names (`documents.service.sweep`).

A link lets whoever holds it read one file for some minutes. S3 signs its own; for a folder it is an address of ours,
``/v1/files/<token>``, whose token is sealed with `CRM_SECRET_KEYS` and says name, type, file name and end.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import secrets
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import quote, unquote, urlsplit
from uuid import UUID

import orjson
from pydantic import SecretStr

from crm_api.kit import clock
from crm_api.kit.crypto import Vault
from crm_api.kit.log import get_logger
from crm_api.kit.problems import NotFound, PayloadTooLarge, Unavailable

if TYPE_CHECKING:
    from obstore.store import LocalStore, S3Store

    from crm_api.kit.uploads import Keep, Upload

log = get_logger("crm_api.files")
_PURPOSE = "files"
_NAME = re.compile(r"[0-9a-f-]{36}/[a-z][a-z_]{0,30}/[0-9a-f]{2}/[0-9a-f]{40}")
_AREA = re.compile(r"[a-z][a-z_]{0,30}")
_PIECE = 1 << 20
_S3_PART = 8 << 20
_S3_AT_ONCE = 3


class FileSettings(Protocol):
    """The settings that say where files are kept (`crm_api.settings`)."""

    @property
    def files_url(self) -> str: ...
    @property
    def files_endpoint(self) -> str: ...
    @property
    def files_region(self) -> str: ...
    @property
    def files_access_key_id(self) -> str: ...
    @property
    def files_secret_access_key(self) -> SecretStr: ...
    @property
    def file_link_seconds(self) -> int: ...
    @property
    def public_url(self) -> str: ...


class FilesUnset(ValueError):
    """`CRM_FILES_URL` is missing or cannot be used; the text says what to do."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A file that was written. `media_type` and `filename` are what it is served as."""

    name: str
    size: int
    sha256: str
    media_type: str
    filename: str


@dataclass(frozen=True, slots=True)
class Link:
    """An address that works without credentials until a moment."""

    url: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Linked:
    """What a link of ours points at."""

    name: str
    filename: str
    media_type: str


@dataclass(frozen=True, slots=True)
class Listed:
    """A file found in the store."""

    name: str
    size: int
    modified: datetime


def content_disposition(filename: str) -> str:
    """``attachment`` with the file name in any script: RFC 6266, with an ASCII stand-in and the RFC 5987 form."""
    plain = "".join(one if one.isascii() and one.isprintable() and one not in '"\\%;' else "_" for one in filename)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(filename, safe='')}"


class FileStore:
    """The store of one process. Nothing is opened before the first file."""

    def __init__(self, settings: FileSettings, vault: Vault) -> None:
        self._settings = settings
        self._vault = vault

    # Names

    @staticmethod
    def new_name(organization_id: UUID, area: str) -> str:
        """A fresh name; `area` is the package that keeps the file, such as ``documents`` or ``imports``."""
        if not _AREA.fullmatch(area):
            raise ValueError(f"an area is a word of small letters: {area!r}")
        token = secrets.token_hex(20)
        return f"{organization_id}/{area}/{token[:2]}/{token}"

    # Content

    async def write(
        self, name: str, content: AsyncIterable[bytes], *, max_bytes: int, media_type: str = "", filename: str = "file"
    ) -> Stored:
        """Store a file as its pieces come: whole or not at all. `PayloadTooLarge` beyond `max_bytes`, `Unavailable`
        when the store does not take it."""
        _checked(name)
        digest, size = hashlib.sha256(), 0

        async def counted() -> AsyncIterator[bytes]:
            nonlocal size
            async for piece in content:
                size += len(piece)
                if size > max_bytes:
                    raise PayloadTooLarge(f"The file is larger than {max_bytes} bytes.")
                await asyncio.to_thread(digest.update, piece)
                yield piece

        import obstore

        attributes: Any = None
        if self.remote:  # a link of S3's leads past us: the bucket itself must know what it serves
            attributes = {
                "Content-Type": media_type or "application/octet-stream",
                "Content-Disposition": content_disposition(filename),
            }
        try:
            await obstore.put_async(
                self._store,
                name,
                counted(),
                attributes=attributes,
                use_multipart=True,
                chunk_size=_S3_PART if self.remote else _PIECE,
                max_concurrency=_S3_AT_ONCE,
            )
            if not self.remote:
                await asyncio.to_thread(self._to_disk, name)
        except _troubles() as error:
            raise _away(error) from None
        return Stored(name, size, digest.hexdigest(), media_type or "application/octet-stream", filename)

    async def size(self, name: str) -> int:
        """Bytes of a file; 404 when it is gone."""
        import obstore

        try:
            found = await obstore.head_async(self._store, _checked(name))
        except FileNotFoundError:
            raise NotFound("There is no such file any more.") from None
        except _troubles() as error:
            raise _away(error) from None
        return int(found["size"])

    async def read(self, name: str, *, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """The content from byte `start` up to, not including, `end`, in pieces of about a megabyte; 404 when the file
        is gone."""
        import obstore

        options: Any = {}
        if end is not None:
            options = {"range": (start, end)}
        elif start:
            options = {"range": {"offset": start}}
        try:
            found = await obstore.get_async(self._store, _checked(name), options=options)
            async for piece in found.stream(min_chunk_size=_PIECE):
                yield bytes(piece)
        except FileNotFoundError:
            raise NotFound("There is no such file any more.") from None
        except _troubles() as error:
            raise _away(error) from None

    async def delete(self, name: str) -> None:
        """Remove a file; no matter if it is gone already."""
        import obstore

        try:
            await obstore.delete_async(self._store, _checked(name))
        except FileNotFoundError:
            return
        except _troubles() as error:
            raise _away(error) from None

    async def listing(self, organization_id: UUID, area: str) -> AsyncIterator[list[Listed]]:
        """All files of an organization's area, some hundred at a time, in no particular order."""
        import obstore

        try:
            async for batch in obstore.list(self._store, prefix=f"{organization_id}/{area}", chunk_size=500):
                found = [Listed(one["path"], one["size"], one["last_modified"]) for one in batch]
                yield [one for one in found if _NAME.fullmatch(one.name)]
        except _troubles() as error:
            raise _away(error) from None

    # Links

    async def link(self, name: str, *, filename: str, media_type: str, seconds: int | None = None) -> Link:
        """An address at which anybody can read the file until it ends. For S3 the type and file name are those it was
        written with."""
        lasts = timedelta(seconds=seconds or self._settings.file_link_seconds)
        ends = clock.utc_now().replace(microsecond=0) + lasts
        if self.remote:
            import obstore

            store: Any = self._store
            try:
                url = await obstore.sign_async(store, "GET", _checked(name), lasts)
            except _troubles() as error:
                raise _away(error) from None
            return Link(url, ends)
        told = orjson.dumps([_checked(name), filename, media_type, int(ends.timestamp())])
        token = self._vault.seal_link(_PURPOSE, told)
        return Link(f"{self._settings.public_url.rstrip('/')}/v1/files/{token}", ends)

    def opened(self, token: str) -> Linked:
        """What a link of ours says; 404 when it is none or has ended."""
        told = self._vault.open_link(_PURPOSE, token)
        if told is not None:
            name, filename, media_type, ends = orjson.loads(told)
            if clock.utc_now().timestamp() < ends:
                return Linked(name, filename, media_type)
        raise NotFound("This link is not valid, or not any more. Ask for a new one.", code="link_invalid")

    # The store itself

    @property
    def remote(self) -> bool:
        """Whether files are in a bucket."""
        return self._settings.files_url.startswith("s3:")

    async def probe(self) -> None:
        """Write, read and delete a small file; raises what is in the way (`FilesUnset`, `Unavailable`)."""
        _ = self._open()
        name = self.new_name(UUID(int=0), "probe")

        async def content() -> AsyncIterator[bytes]:
            yield b"crm-api"

        await self.write(name, content(), max_bytes=7)
        try:
            if b"".join([piece async for piece in self.read(name)]) != b"crm-api":
                raise Unavailable("The file store gave back something else than was written.")
        finally:
            await self.delete(name)

    @cached_property
    def _store(self) -> LocalStore | S3Store:
        try:
            return self._open()
        except FilesUnset as error:
            log.error("files_unset", reason=str(error))
            raise Unavailable(
                "The server cannot keep files: its operator must set CRM_FILES_URL (see crm-api doctor).",
                retry_after=60,
            ) from None

    def _open(self) -> LocalStore | S3Store:
        parts = urlsplit(self._settings.files_url)
        if parts.scheme == "file" and not parts.netloc and len(parts.path) > 1:
            from obstore.store import LocalStore

            folder = Path(unquote(parts.path))
            if not folder.is_dir():
                raise FilesUnset("the folder does not exist; make it, readable by the service alone")
            return LocalStore(folder)
        if parts.scheme == "s3" and parts.netloc:
            return self._bucket(parts.netloc, parts.path.strip("/"))
        raise FilesUnset("not set, so no file can be kept; write file:///folder or s3://bucket/prefix")

    def _bucket(self, bucket: str, prefix: str) -> S3Store:
        from obstore.store import S3Store

        given = self._settings
        options: dict[str, Any] = {"region": given.files_region or "us-east-1"}
        if given.files_endpoint:
            options["endpoint"] = given.files_endpoint
        if given.files_access_key_id:
            options["access_key_id"] = given.files_access_key_id
            options["secret_access_key"] = given.files_secret_access_key.get_secret_value()
        return S3Store(
            bucket,
            prefix=prefix or None,
            client_options={"allow_http": given.files_endpoint.startswith("http://"), "timeout": "60s"},
            retry_config={"max_retries": 3, "retry_timeout": timedelta(seconds=20)},
            **options,
        )

    def _to_disk(self, name: str) -> None:
        """A row that names the file is durable, so the file must be."""
        path = Path(unquote(urlsplit(self._settings.files_url).path)) / name
        for place, flags in ((path, os.O_RDONLY), (path.parent, os.O_RDONLY | os.O_DIRECTORY)):
            descriptor = os.open(place, flags)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)


def _checked(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ValueError("not a name of a file")
    return name


def _troubles() -> tuple[type[Exception], ...]:
    from obstore.exceptions import BaseError

    return (BaseError, OSError)


def _away(error: Exception) -> Unavailable:
    log.error("file_store_trouble", error=type(error).__name__)  # its text may hold addresses and names
    return Unavailable("The file store does not answer as it should. Try again in a moment.", retry_after=5)


def keep_in(area: str, look: Callable[[Upload[Any]], Awaitable[str]] | None = None) -> Keep:
    """For `kit.uploads.upload_form(keep=…)`: put the form's file into the store; `form.kept` is its `Stored`.

    `look` sees the form before that, refuses what it does not like by raising a problem, and says the media type that
    the file is served as.
    """

    async def keep(lent: Any, organization_id: UUID, form: Upload[Any]) -> None:
        files: FileStore = lent.more["files"]
        media_type = await look(form) if look is not None else form.content_type
        name = files.new_name(organization_id, area)
        form.kept = await files.write(
            name, form.chunks(), max_bytes=form.size, media_type=media_type, filename=form.filename
        )

        async def undo() -> None:
            with suppress(Unavailable):  # then the sweep finds it
                await files.delete(name)

        form.undo = undo

    return keep
