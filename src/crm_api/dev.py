"""`crm-api dev`: everything from nothing. Embedded Postgres and Valkey, migrations, an organization and its key, the
API and a worker as processes of their own, letters as files."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

from crm_api.embedded import Embedded, EmbeddedError, start
from crm_api.kit.clock import monotonic
from crm_api.migrate import migrate

SERVICE_ROLE = "crm_app"
_READY_SECONDS = 60.0
_RESTARTS = 5
"""A process that ends by itself is started again, but not more often than this within a minute."""


class DevTrouble(Exception):
    """Why development mode cannot start, and what to do."""


@dataclass(frozen=True, slots=True)
class DevOptions:
    """What `crm-api dev` was asked for."""

    port: int = 8000
    data_dir: Path = Path(".crm")
    fresh: bool = False
    demo: bool = True
    ready_file: Path | None = None


def _check_port(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            raise DevTrouble(
                f"Port {port} is in use. Stop what listens there, or choose another: crm-api dev --port {port + 1}"
            ) from None


def _write_private(path: Path, content: dict[str, Any]) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(content, file, indent=2)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def _remembered(path: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found


def _as_service(owner_url: str, password: str) -> str:
    parts = urlsplit(owner_url)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{SERVICE_ROLE}:{quote(password, safe='')}@{host}"))


class Child:
    """A process of ours, kept running. It gets ready to run at once, and runs when it is told its settings."""

    def __init__(self, command: str) -> None:
        self.command = command
        self._environment: dict[str, str] | None = None
        self._ends: list[float] = []
        self._process = self._spawn()

    def _spawn(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(  # noqa: S603
            [sys.executable, "-m", "crm_api.warm", self.command], stdin=subprocess.PIPE, start_new_session=True
        )

    def run(self, environment: dict[str, str]) -> None:
        """Let it run with these settings."""
        self._environment = environment
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it has ended: `look` says so
            self._process.stdin.write(json.dumps(environment).encode() + b"\n")
            self._process.stdin.flush()

    def look(self, say: Callable[[str], None]) -> None:
        """Start it again if it has ended by itself."""
        status = self._process.poll()
        if status is None or self._environment is None:
            return
        now = monotonic()
        self._ends = [end for end in self._ends if end > now - 60] + [now]
        if len(self._ends) > _RESTARTS:
            raise DevTrouble(f"The {self.command} process keeps ending (status {status}); see its message above.")
        say(f"The {self.command} process ended (status {status}); starting it again.")
        self._process = self._spawn()
        self.run(self._environment)

    def terminate(self) -> None:
        """Ask it to end."""
        if self._process.poll() is None:
            self._process.terminate()

    def wait(self) -> None:
        """Wait for its end."""
        try:
            self._process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


class Dev:
    """One run of development mode."""

    def __init__(self, options: DevOptions, say: Callable[[str], None]) -> None:
        self.options = options
        self.say = say
        self.folder = options.data_dir.resolve()
        self.mail = self.folder / "mail"
        self.files = self.folder / "files"
        self.state_file = self.folder / "dev.json"
        self._children: list[Child] = []
        self._stop = asyncio.Event()

    async def run(self) -> int:
        """Start everything, wait for Ctrl-C or SIGTERM, stop everything; the exit status."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._stop.set)
        if self.options.ready_file is not None:
            self.options.ready_file.unlink(missing_ok=True)
        _check_port(self.options.port)
        if self.options.fresh and self.state_file.exists():
            self._wipe()
        self.folder.mkdir(parents=True, exist_ok=True)
        self.mail.mkdir(exist_ok=True)
        self.files.mkdir(mode=0o700, exist_ok=True)
        self.say("Starting Postgres and Valkey …")
        embedded: Embedded | None = None
        try:
            self._children = [Child("serve"), Child("worker")]  # their imports take as long as the services' start
            embedded = await start(self.folder / "services", fresh=self.options.fresh)
            return await self._with(embedded)
        except EmbeddedError as error:
            raise DevTrouble(str(error)) from error
        finally:
            self._end_children()
            if embedded is not None:
                await embedded.stop()
            if self.options.ready_file is not None:
                self.options.ready_file.unlink(missing_ok=True)
            self.say("Stopped.")

    def _wipe(self) -> None:
        self.state_file.unlink(missing_ok=True)
        shutil.rmtree(self.mail, ignore_errors=True)
        shutil.rmtree(self.files, ignore_errors=True)

    async def _with(self, embedded: Embedded) -> int:
        state = _remembered(self.state_file)
        if "secret_key" not in state:
            from crm_api.kit.crypto import new_master_key

            state |= {"secret_key": new_master_key(), "service_password": secrets.token_urlsafe(24)}
            _write_private(self.state_file, state)
        runtime = embedded.runtime
        service_url = _as_service(runtime.owner_url, state["service_password"])
        await asyncio.to_thread(migrate, runtime.owner_url, service_url)
        if "api_key" not in state:
            await self._make_organization(service_url, state)
        environment = self._environment(service_url, runtime.redis_url or "", state["secret_key"])
        if self.options.demo and not state.get("demo_loaded"):
            await self._demo(environment, state)
        for child in self._children:
            child.run(environment)
        await self._until_ready()
        if self._stop.is_set():
            return 0
        self._announce(state, service_url, runtime.redis_url or "")
        return await self._watch()

    async def _make_organization(self, service_url: str, state: dict[str, Any]) -> None:
        from crm_api.bootstrap import make_organization
        from crm_api.kit.db import Database

        database = await Database.open(service_url, size=2)
        try:
            made = await make_organization(database, name="Demo Fund", mode="test")
        finally:
            await database.close()
        state |= {"api_key": made.api_key, "organization_id": str(made.id), "demo_loaded": False}
        _write_private(self.state_file, state)

    def _environment(self, service_url: str, redis_url: str, secret_key: str) -> dict[str, str]:
        base_url = f"http://127.0.0.1:{self.options.port}"
        defaults = {
            "CRM_ENVIRONMENT": "development",
            "CRM_PUBLIC_URL": base_url,
            "CRM_LOG_LEVEL": "WARNING",
            "CRM_RETRY_URL": "https://donate.example.org/{campaign}?again={gift_id}",
        }
        fixed = {
            "DATABASE_URL": service_url,
            "REDIS_URL": redis_url,
            "CRM_SECRET_KEYS": secret_key,
            "CRM_HOST": "127.0.0.1",
            "CRM_PORT": str(self.options.port),
            "CRM_MAIL_URL": f"file://{quote(str(self.mail))}",
            "CRM_FILES_URL": f"file://{quote(str(self.files))}",
        }
        return {**defaults, **os.environ, **fixed}

    async def _demo(self, environment: dict[str, str], state: dict[str, Any]) -> None:
        self.say("Loading demo data …")
        command = [sys.executable, "-m", "crm_api.cli", "demo", "--organization", state["organization_id"]]
        process = await asyncio.create_subprocess_exec(*command, env=environment)
        if await process.wait() != 0:
            raise DevTrouble("The demo data could not be loaded; start with --no-demo, or afresh with --fresh.")
        state["demo_loaded"] = True
        _write_private(self.state_file, state)

    async def _until_ready(self) -> None:
        deadline = monotonic() + _READY_SECONDS
        while not self._stop.is_set() and not await self._answers():
            self._look()
            if monotonic() > deadline:
                raise DevTrouble("The API does not answer; look at the messages above.")
            await asyncio.sleep(0.02)

    async def _answers(self) -> bool:
        try:
            async with asyncio.timeout(2):
                reader, writer = await asyncio.open_connection("127.0.0.1", self.options.port)
                writer.write(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                answer = await reader.read()
                writer.close()
        except OSError:
            return False
        return answer.startswith(b"HTTP/1.1 200")

    def _look(self) -> None:
        for child in self._children:
            child.look(self.say)

    def _announce(self, state: dict[str, Any], service_url: str, redis_url: str) -> None:
        base_url = f"http://127.0.0.1:{self.options.port}"
        facts = {
            "base_url": base_url,
            "api_key": state["api_key"],
            "organization_id": state["organization_id"],
            "docs_url": f"{base_url}/docs",
            "mail_dir": str(self.mail),
            "database_url": service_url,
            "redis_url": redis_url,
        }
        _write_private(self.state_file, {**state, **facts})
        if self.options.ready_file is not None:
            _write_private(self.options.ready_file, facts)
        self.say(
            f"\ncrm-api is ready.\n\n  API       {base_url}\n  Docs      {base_url}/docs\n"
            f"  Key       {state['api_key']}\n"
            f"  Letters   {self.mail}\n\nTry:  crm-api simulate stripe payment_intent.succeeded\nStop: Ctrl-C\n"
        )

    async def _watch(self) -> int:
        while not self._stop.is_set():
            self._look()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), 0.5)
        self.say("Stopping …")
        return 0

    def _end_children(self) -> None:
        for child in self._children:
            child.terminate()
        for child in self._children:
            child.wait()


def run_dev(options: DevOptions, say: Callable[[str], None]) -> int:
    """Run development mode to its end; the exit status."""
    return asyncio.run(Dev(options, say).run())
