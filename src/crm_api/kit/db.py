"""Postgres as this project uses it: statements compiled once, the tenant set with the statement, thin sessions.

SQLAlchemy owns the schema and builds the statements; they run on asyncpg directly, prepared. There is no ORM session:
measured, it costs more than twice the processor time of a request, and the reads and writes here are set-based.

A `ReadSession` runs each statement in one trip that sets the tenant and reads under it. A `WriteSession` is one
transaction, begun and given its tenant in one trip; services never commit it, the boundary does.

What a caller with a `Limit` does runs in a transaction of another role, which sees some rows only (`kit.limits`): a
read is three trips then, and rows are written table by table, since each must be seen before another names it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
import orjson
from sqlalchemy import Table

from crm_api.kit import clock, limits, problems
from crm_api.kit.limits import Limit
from crm_api.kit.pool import Lending, Pool, undo
from crm_api.kit.statements import Statement as Statement
from crm_api.kit.statements import insert_sql, plain
from crm_api.kit.statements import prepare as prepare
from crm_api.kit.tables import metadata
from crm_api.kit.trouble import REFUSALS, no_team, refused
from crm_api.kit.trouble import Away as Away

Row = asyncpg.Record
RowLike = Mapping[str, Any] | asyncpg.Record


@dataclass(frozen=True, slots=True)
class Tenant:
    """What a session knows of its organization without asking again."""

    id: UUID
    mode: str
    currency: str
    timezone: str
    language: str
    test_clock: datetime | None = None

    def now(self) -> datetime:
        """The organization's time: its test clock where one is set, else the machine's."""
        return self.test_clock or clock.utc_now()


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts: ``api_key``, ``member`` or ``system`` (a worker, the command line), with its id."""

    kind: str
    id: str
    request_id: str = ""
    scopes: frozenset[str] = frozenset()
    expires_at: datetime | None = None
    """When the acting API key ends; what it makes must not outlive it."""
    limit: Limit | None = None
    """Which rows it may see, where it may not see all."""


SYSTEM = Actor("system", "system")


class ReadSession:
    """Reads of one organization. Every statement is one trip and its own snapshot."""

    __slots__ = ("_database", "actor", "limit", "now", "organization_id", "tenant")

    def __init__(self, database: Database, tenant: Tenant, actor: Actor) -> None:
        self._database = database
        self.tenant = tenant
        self.actor = actor
        self.limit = actor.limit
        self.organization_id = tenant.id
        self.now = tenant.now()

    @property
    def database(self) -> Database:
        """What the session stands on, for work that outlives it."""
        return self._database

    def whole(self) -> ReadSession:
        """The same reader without its limit, for figures of what it has been shown to see. Each use says why."""
        return ReadSession(self._database, self.tenant, replace(self.actor, limit=None))

    async def fetch(self, statement: Statement, **values: Any) -> list[Row]:
        """All rows."""
        values["organization_id"] = self.organization_id
        arguments = statement.arguments(values)
        if self.limit is not None:
            async with self._database.connection() as connection:
                await connection.execute(f"{self._begin()}; SET TRANSACTION READ ONLY")
                limited: list[Row] = await connection.fetch(statement.limited, *arguments)
                await connection.execute("COMMIT")
            return limited
        async with self._database.connection() as connection:
            rows: list[Row] = await connection.fetch(statement.bound, *arguments, str(self.organization_id))
        return rows

    def _begin(self) -> str:
        begin = f"BEGIN; SET LOCAL crm.organization_id = '{self.organization_id}'"
        return begin if self.limit is None else f"{begin}; {self.limit.entering}"

    async def fetch_row(self, statement: Statement, **values: Any) -> Row | None:
        """The first row, or nothing."""
        rows = await self.fetch(statement, **values)
        return rows[0] if rows else None

    async def fetch_val(self, statement: Statement, **values: Any) -> Any:
        """The first column of the first row, or nothing."""
        row = await self.fetch_row(statement, **values)
        return None if row is None else row[0]


@dataclass(slots=True)
class _Deferred:
    table: Table
    columns: tuple[str, ...]
    rows: list[Mapping[str, Any]] = field(default_factory=list)


class WriteSession(ReadSession):
    """One transaction of one organization. Opened by `Database.write`, committed by the boundary that opened it.

    A *bulk* session loads many records at once (imports, demo data); `bulk` says what is loaded. The same services
    work in it, but facts about single records are recorded as the one batch fact that stands for them, so that a
    thousand gifts of last year bring one rebuild and no letters (`outbox.service.emit`). Its `now` may be set before
    each record, so that history keeps its own times.
    """

    __slots__ = ("_after_commit", "_connection", "_deferred", "_durable", "_lent", "bulk", "done", "memo", "told")

    def __init__(
        self, database: Database, tenant: Tenant, actor: Actor, *, bulk: str = "", durable: bool = True
    ) -> None:
        super().__init__(database, tenant, actor)
        self._durable = durable
        self._lent: Any = None
        self._connection: Any = None
        self._deferred: dict[str, _Deferred] = {}
        self._after_commit: list[Callable[[], None]] = []
        self.bulk = bulk
        self.told: frozenset[Any] = frozenset()
        """Batch facts this bulk session has recorded already."""
        self.memo: dict[Any, Any] = {}
        """What a bulk session has looked up already and need not ask again; whoever writes such a thing drops it."""
        self.done = False

    async def _begun(self) -> Any:
        """The transaction's connection; the first statement begins it, its tenant set in the same trip."""
        if self._connection is None:
            lent = self._database.connection()
            self._connection = await lent.__aenter__()
            self._lent = lent
            begin = self._begin()
            await self._connection.execute(begin if self._durable else f"{begin}; SET LOCAL synchronous_commit = off")
        return self._connection

    async def fetch(self, statement: Statement, **values: Any) -> list[Row]:
        values["organization_id"] = self.organization_id
        connection = self._connection or await self._begun()
        sql = statement.sql if self.limit is None else statement.limited
        try:
            rows: list[Row] = await connection.fetch(sql, *statement.arguments(values))
        except REFUSALS as error:
            raise refused(error) from None
        return rows

    async def execute(self, statement: Statement, **values: Any) -> int:
        """Run a statement; how many rows it touched."""
        values["organization_id"] = self.organization_id
        connection = self._connection or await self._begun()
        sql = statement.sql if self.limit is None else statement.limited
        try:
            tag: str = await connection.execute(sql, *statement.arguments(values))
        except REFUSALS as error:
            raise refused(error) from None
        count = tag.rpartition(" ")[2]
        return int(count) if count.isdigit() else 0

    def later(self, table: Table, **values: Any) -> None:
        """Insert a row at the end of the transaction, all such rows in one statement. Not visible before."""
        columns = tuple(values)
        slot = self._deferred.setdefault(f"{table.name}:{','.join(columns)}", _Deferred(table, columns))
        slot.rows.append(values)

    def later_rows(self, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
        """The same for many rows of the same columns."""
        if rows:
            columns = tuple(rows[0])
            slot = self._deferred.setdefault(f"{table.name}:{','.join(columns)}", _Deferred(table, columns))
            slot.rows.extend(rows)

    def after_commit(self, callback: Callable[[], None]) -> None:
        """Call something cheap once the commit stands (ring a doorbell, drop a cache entry)."""
        self._after_commit.append(callback)

    async def flush(self) -> None:
        """Write the deferred rows now."""
        if self._deferred:
            await self._insert(self._connection or await self._begun(), fenced=False)

    async def _insert(self, connection: Any, *, fenced: bool) -> None:
        deferred, self._deferred = list(self._deferred.values()), {}
        if self.limit is not None:
            await self._insert_limited(connection, self.limit, deferred)
            return
        sql = insert_sql(tuple((slot.table, slot.columns) for slot in deferred), fenced=fenced)
        arguments = [orjson.dumps(slot.rows, default=plain).decode() for slot in deferred]
        try:
            await connection.execute(sql, self.organization_id, *arguments)
        except REFUSALS as error:
            raise refused(error) from None

    async def _insert_limited(self, connection: Any, limit: Limit, deferred: Sequence[_Deferred]) -> None:
        """Write rows table by table, what is referred to first. New contacts are given to the caller's own teams."""
        order = limits.in_order(metadata)
        for slot in sorted(deferred, key=lambda one: order[one.table.name]):
            sql = f"{insert_sql(((slot.table, slot.columns),), fenced=False)} /* limited */"
            if slot.table.name == limits.ROOT and limit.homeless:
                raise no_team()
            try:
                await connection.execute(sql, self.organization_id, orjson.dumps(slot.rows, default=plain).decode())
                if slot.table.name == limits.ROOT and limit.home:
                    await connection.execute(limit.assigning(self.organization_id, [row["id"] for row in slot.rows]))
            except REFUSALS as error:
                raise refused(error) from None

    @asynccontextmanager
    async def beyond_limit(self) -> AsyncIterator[None]:
        """A part that must reach rows which the caller does not see, such as what hangs on two contacts that it may
        merge. Whatever the caller names was looked up before, under the limit."""
        if self.limit is None:
            yield
            return
        await self.flush()
        connection = self._connection or await self._begun()
        limit = self.limit
        await connection.execute(limits.LEAVING)
        self.limit = None
        try:
            yield
            await self.flush()
        except Exception:
            with suppress(asyncpg.InFailedSQLTransactionError):  # a savepoint puts it back itself
                await connection.execute(limits.RETURNING)
            raise
        finally:
            self.limit = limit
        await connection.execute(limits.RETURNING)

    @asynccontextmanager
    async def under_limit(self, limit: Limit | None) -> AsyncIterator[None]:
        """A part done for a caller with a limit, in a transaction that has none."""
        if limit is None:
            yield
            return
        await self.flush()
        connection = self._connection or await self._begun()
        await connection.execute(limit.entering)
        self.limit = limit
        try:
            yield
            await self.flush()
        except Exception:
            with suppress(asyncpg.InFailedSQLTransactionError):
                await connection.execute(limits.FORGETTING)
            raise
        finally:
            self.limit = None
        await connection.execute(limits.FORGETTING)

    async def commit(self) -> None:
        """Flush and commit. For boundaries only. Where nothing but deferred rows is to be written, their statement is
        the whole transaction: one trip instead of three."""
        if self.limit is not None and self._deferred:
            await self.flush()
        if self._connection is not None:
            await self.flush()
            if await self._connection.execute("COMMIT") != "COMMIT":  # an aborted transaction "commits" as ROLLBACK
                raise problems.Unavailable("The change could not be kept. Send the request again.")
        elif self._deferred:
            async with self._database.connection() as connection:
                await self._insert(connection, fenced=True)
        self.done = True
        for callback in self._after_commit:
            callback()

    async def end(self, error: BaseException | None) -> None:
        """Roll back what is not committed and give the connection back. For boundaries only. An `error` that was
        trouble of the database comes out in words."""
        lent, self._lent = self._lent, None
        committed, self.done = self.done, True
        if lent is not None:
            if not committed:
                await undo(self._connection)
            kind, trace = (type(error), error.__traceback__) if error is not None else (None, None)
            await lent.__aexit__(kind, error, trace)

    @asynccontextmanager
    async def savepoint(self) -> AsyncIterator[None]:
        """A part that may fail on its own; its deferred rows and callbacks go with it."""
        deferred = {key: _Deferred(slot.table, slot.columns, list(slot.rows)) for key, slot in self._deferred.items()}
        callbacks, told = list(self._after_commit), self.told
        connection = self._connection or await self._begun()
        await connection.execute("SAVEPOINT part")
        try:
            yield
        except BaseException:
            self._deferred, self._after_commit, self.told = deferred, callbacks, told
            self.memo.clear()
            await connection.execute("ROLLBACK TO SAVEPOINT part; RELEASE SAVEPOINT part")
            raise
        await connection.execute("RELEASE SAVEPOINT part")


class Database:
    """The pool of the service role."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    @classmethod
    async def open(
        cls,
        url: str,
        *,
        size: int = 10,
        wait_seconds: float = 5.0,
        statement_cache: int = 512,
        idle_seconds: float = 60.0,
        name: str = "crm-api",
    ) -> Database:
        """Connect; what is in the way is raised as the driver says it. Statements, locks and idle transactions are
        bounded by server settings."""
        options: dict[str, Any] = {
            "statement_cache_size": statement_cache,
            "server_settings": {
                "application_name": name,
                "statement_timeout": "30000",
                "lock_timeout": "10000",
                "idle_in_transaction_session_timeout": str(round(idle_seconds * 1000)),
                "jit": "off",
                "timezone": "UTC",
            },
        }
        pool = Pool(url, size=size, wait_seconds=wait_seconds, options=options)
        try:
            pool.release(await pool.acquire())
        except Away as error:
            raise error.__cause__ or error from None
        return cls(pool)

    async def close(self) -> None:
        """Close every connection; those in use get a few seconds."""
        await self._pool.close(5)

    def connection(self) -> Lending:
        """A bare connection, without a tenant: under row-level security it sees no tenant's row."""
        return Lending(self._pool)

    def read(self, tenant: Tenant, actor: Actor = SYSTEM) -> ReadSession:
        """A read session; holds no connection between statements."""
        return ReadSession(self, tenant, actor)

    def begin(self, tenant: Tenant, actor: Actor, *, bulk: str = "") -> WriteSession:
        """A transaction that begins with its first statement. Whoever asks for it commits and ends it."""
        return WriteSession(self, tenant, actor, bulk=bulk)

    @asynccontextmanager
    async def write(
        self, tenant: Tenant, actor: Actor = SYSTEM, *, bulk: str = "", durable: bool = True
    ) -> AsyncIterator[WriteSession]:
        """A transaction: committed when the block ends, rolled back when it raises. `bulk`: what it loads, where it
        loads many records (see `WriteSession`). Not `durable`: its commit does not wait for the disk, since a crash of
        the server that undoes it does no harm; whatever is committed after it keeps it too."""
        session = WriteSession(self, tenant, actor, bulk=bulk, durable=durable)
        try:
            yield session
            if not session.done:
                await session.commit()
        except BaseException as error:
            await asyncio.shield(session.end(error))
            raise
        await session.end(None)
