"""The processes under test: two server processes each of crm-api and of the reference applications, and a worker."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from benchmarks.stage import Stage

ROOT = Path(__file__).parent.parent
PROCESSES = 2
_START_SECONDS = 30.0


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def _first_answer(port: int, request: bytes) -> bool:
    """Whether a server answers a request with 200."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
            connection.sendall(request)
            return connection.recv(65536).startswith(b"HTTP/1.1 200")
    except OSError:
        return False


def _environment(more: dict[str, str]) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("CRM_")}
    inherited.pop("PYTHONDONTWRITEBYTECODE", None)  # else every start compiles everything anew
    return {**inherited, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'src'}", "PYTHONWARNINGS": "ignore", **more}


@dataclass
class Process:
    """A running application."""

    name: str
    command: list[str]
    environment: dict[str, str]
    port: int
    probe: bytes
    log: Path
    """A request it answers with 200 once it works."""
    popen: subprocess.Popen[bytes] | None = None
    start_seconds: float = 0.0

    @property
    def pid(self) -> int:
        """The topmost process."""
        assert self.popen is not None
        return self.popen.pid

    def start(self) -> None:
        """Start it and wait for its first answer."""
        began = time.perf_counter()
        with self.log.open("ab") as log:
            self.popen = subprocess.Popen(self.command, env=self.environment, cwd=ROOT, stdout=log, stderr=log)
        while self.probe and not _first_answer(self.port, self.probe):
            if self.popen.poll() is not None or time.perf_counter() - began > _START_SECONDS:
                self.stop()
                raise SystemExit(f"{self.name} did not start; see {self.log}")
            time.sleep(0.005)
        self.start_seconds = time.perf_counter() - began

    def stop(self) -> None:
        """End it and everything it started."""
        if self.popen is None:
            return
        family = psutil.Process(self.popen.pid).children(recursive=True) if self.popen.poll() is None else []
        self.popen.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.popen.wait(timeout=20)
        for process in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        if self.popen.poll() is None:
            self.popen.kill()
            self.popen.wait()
        self.popen = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def crm(stage: Stage) -> Process:
    """`crm-api serve` in production mode."""
    port = _free_port()
    probe = (
        f"GET /v1/organization HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {stage.facts.api_key}\r\n"
        "Connection: close\r\n\r\n"
    )
    command = [sys.executable, "-m", "crm_api.cli", "serve"]
    return Process(
        "crm-api", command, _environment(stage.environment(port)), port, probe.encode(), stage.folder / "crm.log"
    )


def reference(stage: Stage, name: str) -> Process:
    """One of `benchmarks.references`, under the same server with the same options."""
    port = _free_port()
    command = [
        sys.executable, "-m", "uvicorn", f"benchmarks.references.{name}:app", "--host", "127.0.0.1",
        "--port", str(port), "--workers", str(PROCESSES), "--loop", "uvloop", "--http", "httptools",
        "--no-access-log", "--log-level", "error",
    ]  # fmt: skip
    environment = {"PLAIN_DATABASE_URL": stage.owner_url, "PLAIN_TOKEN": stage.facts.api_key}
    probe = b"GET /health HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n"
    return Process(name, command, _environment(environment), port, probe, stage.folder / f"{name}.log")


def worker(stage: Stage) -> Process:
    """`crm-api worker` in production mode."""
    command = [sys.executable, "-m", "crm_api.cli", "worker"]
    return Process("worker", command, _environment(stage.environment(0)), 0, b"", stage.folder / "worker.log")
