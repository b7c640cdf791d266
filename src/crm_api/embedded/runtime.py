"""Starting and stopping both servers together: what `crm-api dev` and the tests call."""

from __future__ import annotations

import asyncio
import atexit
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar
from urllib.parse import quote

from crm_api.embedded.errors import EmbeddedError, in_words
from crm_api.embedded.folder import DataFolder
from crm_api.embedded.identity import server_identity
from crm_api.embedded.keeper import Keeper
from crm_api.embedded.places import Place, settle
from crm_api.embedded.postgres import ADMIN, DATABASE, OWNER, Postgres
from crm_api.embedded.process import free_port, pause
from crm_api.embedded.valkey import Valkey
from crm_api.embedded.wheels import PostgresVersion, ensure_supported, runnable_postgres, runnable_valkey
from crm_api.kit.clock import monotonic

log = logging.getLogger(__name__)

T = TypeVar("T")


@dataclass(frozen=True)
class Runtime:
    """Where the services are. TCP on 127.0.0.1 suits every client; the socket forms are a little faster.

    The socket forms are None when no folder with a short enough path was found, the Redis ones without Valkey.
    """

    owner_url: str = field(repr=False)  # crm_owner, database crm: owns it; CREATEROLE and CREATEDB, not superuser
    owner_socket_url: str | None = field(repr=False)
    superuser_url: str = field(repr=False)  # crm_admin, database postgres: the bootstrap superuser
    superuser_socket_url: str | None = field(repr=False)
    redis_url: str | None = field(repr=False)
    redis_socket_url: str | None = field(repr=False)
    data_dir: Path
    postgres_version: PostgresVersion


class Embedded:
    """Running services. They are supervised: one that dies is started again on the same port."""

    def __init__(self, folder: DataFolder, place: Place, postgres: Postgres, valkey: Valkey | None) -> None:
        self._folder, self._place = folder, place
        self._postgres = Keeper(postgres)
        self._valkey = Keeper(valkey) if valkey else None
        self._keepers = [keeper for keeper in (self._postgres, self._valkey) if keeper]
        self._owner = os.getpid()
        self._stopped = False
        self._version = postgres.version
        self._sockets = postgres.sockets

    @property
    def runtime(self) -> Runtime:
        """Where the services are reached."""
        return _addresses(self._folder, self._sockets, valkey=self._valkey is not None, version=self._version)

    def _bring_up(self) -> None:
        futures = [keeper.start() for keeper in self._keepers]
        for future in futures:
            future.result()
        self._folder.save()  # the ports that turned out to be free
        atexit.register(self._stop_at_exit)

    async def stop(self) -> None:
        """End both cleanly (Postgres: fast shutdown with a checkpoint) and free the data folder."""
        await _to_the_end(self.stop_blocking)

    def stop_blocking(self) -> None:
        """Stop every service; again does nothing."""
        if self._stopped:
            return
        self._stopped = True
        atexit.unregister(self._stop_at_exit)
        try:
            for keeper in reversed(self._keepers):
                keeper.stop()
            self._place.drop_socket_folder(self._folder)
        finally:
            self._place.release()
            self._folder.close()

    def _stop_at_exit(self) -> None:
        if os.getpid() == self._owner:  # not in a forked child
            self.stop_blocking()

    async def restart_valkey(self) -> None:
        """Stop it cleanly and start it again, empty, on the same port."""
        await _to_the_end(self.restart_valkey_blocking)

    def restart_valkey_blocking(self) -> None:
        """Stop Valkey and start it again."""
        self._need_valkey().restart()

    def kill_postgres(self) -> None:
        """SIGKILL to the postmaster; returns once it is dead. Supervision starts it again unless paused."""
        self._postgres.kill()

    def kill_valkey(self) -> None:
        """SIGKILL to Valkey; supervision starts it again unless paused."""
        self._need_valkey().kill()

    def pause_supervision(self) -> None:
        """A server that dies stays dead until `resume_supervision`."""
        for keeper in self._keepers:
            keeper.paused = True

    def resume_supervision(self) -> None:
        """Start what died meanwhile, and from now on again."""
        for keeper in self._keepers:
            keeper.paused = False

    @property
    def ready(self) -> bool:
        """Whether all services run and answer, as last seen."""
        return all(keeper.ready for keeper in self._keepers)

    async def wait_ready(self, timeout: float = 60) -> None:  # noqa: ASYNC109
        """Return when all services answer again, for example after a kill."""
        deadline = monotonic() + timeout
        while not self._ready_before(deadline, timeout):  # noqa: ASYNC110 - set by threads
            await asyncio.sleep(0.02)

    def wait_ready_blocking(self, timeout: float = 60) -> None:
        """Return once every service answers; `EmbeddedError` after `timeout` seconds."""
        deadline = monotonic() + timeout
        while not self._ready_before(deadline, timeout):
            pause(0.02)

    def _ready_before(self, deadline: float, timeout: float) -> bool:
        if not self.ready and (self._stopped or monotonic() > deadline):
            raise EmbeddedError(
                f"The embedded services did not all answer within {timeout:.0f} seconds: see {self._folder.logs}."
            )
        return self.ready

    @property
    def postgres_pid(self) -> int | None:
        """The postmaster's process id."""
        return self._postgres.pid

    @property
    def valkey_pid(self) -> int | None:
        """Valkey's process id."""
        return self._valkey.pid if self._valkey else None

    def _need_valkey(self) -> Keeper:
        if self._valkey is None:
            raise EmbeddedError("This runtime was started without Valkey: start it with valkey=True.")
        return self._valkey

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop_blocking()


async def start(
    data_dir: Path,
    *,
    postgres_version: PostgresVersion = "18",
    valkey: bool = True,
    fresh: bool = False,
    durable: bool = True,
) -> Embedded:
    """Start the services on a data folder, which is made if needed; `EmbeddedError` says what is in the way.

    `fresh` deletes the folder's earlier database first. `durable=False` is for tests: a crash of the machine may lose
    the data. A cancelled start stops what it had started.
    """
    work = asyncio.ensure_future(
        asyncio.to_thread(
            start_blocking, data_dir, postgres_version=postgres_version, valkey=valkey, fresh=fresh, durable=durable
        )
    )
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        await asyncio.wait([work])
        if work.exception() is None:
            await _to_the_end(work.result().stop_blocking)
        raise


def start_blocking(
    data_dir: Path,
    *,
    postgres_version: PostgresVersion = "18",
    valkey: bool = True,
    fresh: bool = False,
    durable: bool = True,
) -> Embedded:
    """`start` where no event loop runs; end it with `stop_blocking`."""
    ensure_supported()
    began = monotonic()
    identity = server_identity()
    home = runnable_postgres(postgres_version, identity)
    program = runnable_valkey(identity) if valkey else None
    folder = DataFolder(data_dir)
    folder.open(fresh=fresh)
    place: Place | None = None
    try:
        with in_words("prepare the data folder", folder.path):
            place = settle(folder, identity, fresh=fresh, durable=durable)
            postgres = Postgres(folder, place, home, version=postgres_version, durable=durable)
            postgres.ensure_cluster()
            cache = Valkey(folder, place, program) if program else None
            sockets = place.socket_folder(folder)
            for server in filter(None, (postgres, cache)):
                server.sockets = sockets
            folder.state.postgres_port = free_port(folder.state.postgres_port)
            folder.state.valkey_port = free_port(folder.state.valkey_port)
        embedded = Embedded(folder, place, postgres, cache)
    except BaseException:
        if place:
            place.release()
        folder.close()
        raise
    try:
        embedded._bring_up()
    except BaseException:
        embedded.stop_blocking()
        raise
    log.info("embedded services in %s ready after %.1f s", folder.path, monotonic() - began)
    return embedded


def stop_blocking(embedded: Embedded) -> None:
    """The counterpart of `start_blocking`."""
    embedded.stop_blocking()


def _addresses(folder: DataFolder, sockets: Path | None, *, valkey: bool, version: PostgresVersion) -> Runtime:
    state = folder.state

    def database(role: str, password: str, name: str) -> tuple[str, str | None]:
        port = state.postgres_port
        tcp = f"postgresql://{role}:{password}@127.0.0.1:{port}/{name}"
        if sockets is None:
            return tcp, None
        return tcp, f"postgresql://{role}:{password}@/{name}?host={quote(str(sockets), safe='')}&port={port}"

    owner, owner_socket = database(OWNER, state.owner_password, DATABASE)
    admin, admin_socket = database(ADMIN, state.admin_password, "postgres")
    redis = f"redis://:{state.valkey_password}@127.0.0.1:{state.valkey_port}/0"
    redis_socket = f"unix://:{state.valkey_password}@{sockets}/valkey.sock?db=0" if sockets else None
    return Runtime(
        owner_url=owner,
        owner_socket_url=owner_socket,
        superuser_url=admin,
        superuser_socket_url=admin_socket,
        redis_url=redis if valkey else None,
        redis_socket_url=redis_socket if valkey else None,
        data_dir=folder.path,
        postgres_version=version,
    )


async def _to_the_end(work: Callable[[], T]) -> T:
    """Run blocking work in a thread; a cancellation is passed on only when the work is done."""
    task = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise
