"""A small TCP proxy that can cut, stall and count: what toxiproxy does, in the test's own event loop."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Literal
from urllib.parse import urlsplit, urlunsplit

Mode = Literal["pass", "cut_response", "cut_request", "stall"]


class Proxy:
    """Stands before a server. `mode` may be changed at any time and holds for connections made after that.

    * ``pass``: as if it were not there
    * ``cut_response``: the request arrives and is carried out; its answer never comes back
    * ``cut_request``: the connection breaks with the request half sent
    * ``stall``: accepts and never says a word
    """

    def __init__(self, host: str, port: int) -> None:
        self.upstream = host, port
        self.mode: Mode = "pass"
        self.cut = 0
        """Answers thrown away so far."""
        self.on_answer: Callable[[], Awaitable[None]] | None = None
        """Called when the server answers, before the answer is passed on or thrown away."""
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @classmethod
    async def before(cls, url: str) -> Proxy:
        """A running proxy before the server at a URL."""
        parts = urlsplit(url)
        proxy = cls(parts.hostname or "127.0.0.1", parts.port or 80)
        await proxy.start()
        return proxy

    async def start(self, port: int = 0) -> None:
        """Listen; with `port` where it listened before."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", port)

    @property
    def port(self) -> int:
        assert self._server is not None
        found: int = self._server.sockets[0].getsockname()[1]
        return found

    def instead_of(self, url: str) -> str:
        """The URL through this proxy."""
        parts = urlsplit(url)
        name = parts.netloc.rpartition("@")[0]
        return urlunsplit(parts._replace(netloc=f"{name}@127.0.0.1:{self.port}" if name else f"127.0.0.1:{self.port}"))

    async def stop(self) -> None:
        """Cut every connection and listen no more."""
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        mode = self.mode
        try:
            if mode == "stall":
                await asyncio.Event().wait()
            with contextlib.suppress(OSError):
                await self._join(reader, writer, mode)
        finally:
            writer.transport.abort()

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, mode: Mode) -> None:
        up_reader, up_writer = await asyncio.open_connection(*self.upstream)
        try:
            ways = [
                asyncio.create_task(self._forward(reader, up_writer, mode, answer=False)),
                asyncio.create_task(self._forward(up_reader, writer, mode, answer=True)),
            ]
            _, pending = await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            for way in pending:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
        finally:
            up_writer.transport.abort()

    async def _forward(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, mode: Mode, *, answer: bool
    ) -> None:
        while chunk := await reader.read(65536):
            if answer and self.on_answer is not None:
                await self.on_answer()
            if answer and mode == "cut_response":
                self.cut += 1
                return
            if not answer and mode == "cut_request":
                writer.write(chunk[: len(chunk) // 2])
                await writer.drain()
                return
            writer.write(chunk)
            await writer.drain()
