"""What supervision needs to know of a server."""

from __future__ import annotations

import signal
from abc import ABC, abstractmethod
from pathlib import Path

from crm_api.embedded.errors import EmbeddedError, from_output
from crm_api.embedded.identity import Identity
from crm_api.embedded.process import StopSteps

# Postgres: fast (disconnects clients, writes a checkpoint), then immediate (recovers at the next start).
POSTGRES_STOP: StopSteps = ((signal.SIGINT, 30.0), (signal.SIGQUIT, 10.0))
VALKEY_STOP: StopSteps = ((signal.SIGTERM, 5.0),)


class Server(ABC):
    """One server: how to start it, to know that it answers, and to end it."""

    name: str
    stop_steps: StopSteps
    sockets: Path | None = None  # the folder for unix sockets, if there is one

    def __init__(self, identity: Identity, log: Path) -> None:
        self.identity = identity
        self.log = log

    @abstractmethod
    def new_port(self) -> None:
        """Choose another port; only before the first successful start."""

    @abstractmethod
    def prepare(self) -> None:
        """Write the settings; clear what a killed predecessor left."""

    @abstractmethod
    def command(self) -> list[str]: ...

    @abstractmethod
    def answers(self, pid: int) -> bool:
        """Whether this very process is ready for clients."""

    @abstractmethod
    def folder(self) -> Path: ...

    def explain(self, output: str) -> EmbeddedError:
        """Why it did not start, from what it printed."""
        return from_output(self.name, output, folder=self.folder(), log=self.log)
