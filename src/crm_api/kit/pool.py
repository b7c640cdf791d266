"""Connections of the service role, lent one user at a time.

asyncpg's own pool wraps each use in a proxy, a timeout and tasks: measured, a third of what a small statement costs.
Here a free connection is a `pop`, giving it back an `append`; whatever is unusual takes the longer way.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
from collections import deque
from types import TracebackType
from typing import Any

import asyncpg
import orjson

from crm_api.kit import clock
from crm_api.kit.statements import plain
from crm_api.kit.trouble import Away, in_words

_UNDO_SECONDS = 5.0
_CONNECT_SECONDS = 10.0
_LIFE_SECONDS = 1800.0  # what a server process remembers of tables and plans grows with its age
_IDLE_SECONDS = 300.0


class Connection(asyncpg.Connection):
    """A connection that knows when it was last given back, and when it is to be replaced."""

    __slots__ = ("free_since", "old_at")

    free_since: float
    old_at: float


async def undo(connection: Any) -> None:
    """End whatever transaction is open. A cancelled statement is waited for by the driver; a dead server is not."""
    try:
        async with asyncio.timeout(_UNDO_SECONDS):
            await connection.execute("ROLLBACK")
    except Exception:
        drop(connection)


def drop(connection: Any) -> None:
    """Cut a connection off."""
    with contextlib.suppress(Exception):
        connection.terminate()


def _notice_dead_peers(connection: Any) -> None:
    """Bound the wait for a server that vanished without a word, for which TCP itself takes a quarter of an hour."""
    link = connection._transport.get_extra_info("socket")
    if link is None or link.family == socket.AF_UNIX:
        return
    for name, value in (("TCP_USER_TIMEOUT", 45_000), ("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 3)):
        if option := getattr(socket, name, None):  # Linux; the others have the plain keepalive
            link.setsockopt(socket.IPPROTO_TCP, option, value)
    link.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)


def _encode_json(value: Any) -> str:
    return orjson.dumps(value, default=plain).decode()


class Pool:
    """At most `size` connections, made when they are needed; the one used last is lent first."""

    def __init__(self, url: str, *, size: int, wait_seconds: float, options: dict[str, Any]) -> None:
        self._url = url
        self._size = size
        self._wait_seconds = wait_seconds
        self._options = options
        self._free: deque[Connection] = deque()
        self._count = 0  # free, lent and being made
        self._waiting: deque[asyncio.Future[Connection | None]] = deque()
        self._lent: set[Connection] = set()
        self._leaving: set[asyncio.Task[None]] = set()
        self._closed = False

    async def acquire(self) -> Connection:
        """Take a connection; the user gives it back with `release` or `mend`."""
        while self._free:
            connection = self._free.pop()
            if not connection.is_closed():
                self._lent.add(connection)
                return connection
            self._count -= 1
        if self._closed:
            raise Away("The server is being stopped. Send the request again.")
        try:
            if self._count < self._size:
                connection = await self._connect()
            else:
                connection = await self._queue()
        except TimeoutError as error:
            raise Away("Every database connection is busy. Send the request again.") from error
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError) as error:
            raise Away("The database cannot be reached right now. Send the request again.") from error
        self._lent.add(connection)
        return connection

    async def _connect(self) -> Connection:
        self._count += 1
        try:
            async with asyncio.timeout(_CONNECT_SECONDS) as limit:
                made = await asyncpg.connect(self._url, connection_class=Connection, **self._options)
                try:
                    await _prepare(made)
                except BaseException:
                    drop(made)
                    raise
        except BaseException as error:
            self._count -= 1
            self._hand_on(None)
            if isinstance(error, TimeoutError) and limit.expired():
                raise ConnectionError("no answer in time") from error
            raise
        made.old_at = clock.monotonic() + _LIFE_SECONDS * random.uniform(0.8, 1.0)  # noqa: S311 - not all at once
        return made

    async def _queue(self) -> Connection:
        """Wait for a connection, or for room to make one."""
        line_up = self._waiting.append
        async with asyncio.timeout(self._wait_seconds):
            while True:
                turn: asyncio.Future[Connection | None] = asyncio.get_running_loop().create_future()
                line_up(turn)
                try:
                    connection = await turn
                except BaseException:
                    if turn.done() and not turn.cancelled():  # served and cancelled at the same moment
                        self._hand_on(turn.result())
                    raise
                if connection is not None and not connection.is_closed():
                    return connection
                self._count -= connection is not None
                if self._count < self._size:
                    return await self._connect()
                line_up = self._waiting.appendleft  # somebody was faster: stay first in the line

    def release(self, connection: Connection) -> None:
        """Give back a connection in good order."""
        self._lent.discard(connection)
        now = clock.monotonic()
        if connection.is_closed() or connection.is_in_transaction():
            drop(connection)
            self._gone()
        elif self._closed or now > connection.old_at:
            self._retire(connection)
        else:
            connection.free_since = now
            self._hand_on(connection)
            if self._free and now - self._free[0].free_since > _IDLE_SECONDS:
                self._retire(self._free.popleft())

    async def mend(self, connection: Connection) -> None:
        """Give back a connection after an error, its transaction ended. Shield it: a caller may be cancelled twice."""
        if not connection.is_closed() and connection.is_in_transaction():
            await undo(connection)
        self.release(connection)

    def _retire(self, connection: Connection) -> None:
        """Take leave of a connection without making anybody wait for it."""
        task = asyncio.get_running_loop().create_task(_say_goodbye(connection))
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)
        self._gone()

    def _gone(self) -> None:
        self._count -= 1
        self._hand_on(None)

    def _hand_on(self, connection: Connection | None) -> None:
        """Serve whoever has waited longest; `None` is room for a connection."""
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(connection)
                return
        if connection is not None:
            self._free.append(connection)

    async def close(self, seconds: float) -> None:
        """Close every connection; those in use get some seconds."""
        self._closed = True
        while self._free:
            self._retire(self._free.pop())
        deadline = clock.monotonic() + seconds
        while (self._lent or self._leaving) and clock.monotonic() < deadline:  # noqa: ASYNC110 - once, at the very end
            await asyncio.sleep(0.01)
        for connection in list(self._lent):
            drop(connection)


async def _prepare(connection: Any) -> None:
    _notice_dead_peers(connection)
    for kind in ("jsonb", "json"):
        await connection.set_type_codec(
            kind, schema="pg_catalog", encoder=_encode_json, decoder=orjson.loads, format="text"
        )


async def _say_goodbye(connection: Connection) -> None:
    try:
        await connection.close(timeout=_UNDO_SECONDS)
    except Exception:
        drop(connection)


class Lending:
    """``async with`` around the use of a connection. Trouble of the database leaves it in words."""

    __slots__ = ("_connection", "_pool")

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._connection: Any = None

    async def __aenter__(self) -> Any:
        self._connection = await self._pool.acquire()
        return self._connection

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        connection = self._connection
        if error is None:
            self._pool.release(connection)
            return
        if isinstance(error, asyncpg.ReadOnlySQLTransactionError):  # a primary that became a replica
            drop(connection)
        await asyncio.shield(self._pool.mend(connection))
        if (problem := in_words(error)) is not None:
            raise problem from error
