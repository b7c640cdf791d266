"""Processes of ours that begin in a moment: forked from one that has loaded the code already.

Each is a process of its own, as `python -m …` would make it, with its own session, environment and log; only the two
seconds of importing are spent once instead of with every start.
"""

from __future__ import annotations

import multiprocessing
import os
import runpy
import signal
import sys
import warnings
from collections.abc import Mapping
from pathlib import Path

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(
    ["crm_api.asgi", "crm_api.server", "crm_api.worker", "crm_api.registry", "tests.support.settings"]
)


def _begin(module: str, arguments: tuple[str, ...], environment: Mapping[str, str], log: Path) -> None:
    os.setsid()
    with log.open("ab") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = [module, *arguments]
    warnings.simplefilter("ignore", RuntimeWarning)  # runpy's, of a module that is loaded already
    runpy.run_module(module, run_name="__main__", alter_sys=True)


class Forked:
    """A running process; what of `subprocess.Popen` the tests use."""

    def __init__(self, module: str, *arguments: str, environment: Mapping[str, str], log: Path) -> None:
        self._process = _context.Process(target=_begin, args=(module, arguments, dict(environment), log))
        self._process.start()
        assert self._process.pid is not None
        self.pid: int = self._process.pid

    def poll(self) -> int | None:
        """Its exit status once it has ended, negative for a signal."""
        return self._process.exitcode

    @property
    def returncode(self) -> int | None:
        """The same."""
        return self._process.exitcode

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal, if it runs."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """Ask it to end."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it."""
        self.send_signal(signal.SIGKILL)

    def wait(self) -> None:
        """Wait for its end."""
        self._process.join()
