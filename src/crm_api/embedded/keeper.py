"""Supervision: one thread per server, which starts it, notices its end and starts it again.

A thread, not an asyncio task, because the kernel ties a child's life to the *thread* that started it
(`PR_SET_PDEATHSIG`), and because a server must outlive the event loop it was started from (pytest-xdist's controller).
"""

from __future__ import annotations

import contextlib
import logging
import queue
import signal
import subprocess
import threading
from collections.abc import Callable
from concurrent.futures import Future

from crm_api.embedded.errors import Abandoned, EmbeddedError, PortTaken
from crm_api.embedded.process import pause, spawn, tail
from crm_api.embedded.servers import Server
from crm_api.kit.clock import monotonic

log = logging.getLogger(__name__)

TICK = 0.1
READY_WITHIN = 120.0  # recovery after a crash can take a while
FIRST_DELAY, LONGEST_DELAY = 0.1, 5.0
STEADY_AFTER = 10.0  # a server that lived this long is restarted at once
PORT_ATTEMPTS = 8

Job = tuple[Callable[[], None], "Future[None]"]


class Keeper:
    """Keeps one server running until it is stopped."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.paused = False
        self._process: subprocess.Popen[bytes] | None = None
        self._wanted = False
        self._ready = threading.Event()
        self._give_up = threading.Event()
        self._retry_at = 0.0
        self._delay = 0.0
        self._up_since = 0.0
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=f"embedded-{server.name.lower()}", daemon=True)

    def start(self) -> Future[None]:
        """Bring the server up for the first time; the future fails with an `EmbeddedError`."""
        self._thread.start()
        return self._submit(self._first_start)

    def stop(self) -> None:
        """End the server cleanly, and the thread."""
        if not self._thread.is_alive():
            return
        self._give_up.set()
        try:
            self._submit(self._take_down).result()
        finally:
            self._jobs.put(None)
            self._thread.join()

    def restart(self) -> None:
        """Stop the server and start it again; returns once it answers."""

        def again() -> None:
            self._take_down()
            self._wanted = True
            self._bring_up()

        self._submit(again).result()

    def kill(self) -> None:
        """SIGKILL, as a fault would; returns when the process is gone. Supervision starts it again unless paused."""
        process = self._process
        self._ready.clear()
        if process is not None:
            process.send_signal(signal.SIGKILL)
            process.wait()

    @property
    def pid(self) -> int | None:
        """The process id of the running server."""
        process = self._process
        return process.pid if process is not None and process.poll() is None else None

    @property
    def ready(self) -> bool:
        return self._ready.is_set() and self.pid is not None

    def _submit(self, work: Callable[[], None]) -> Future[None]:
        done: Future[None] = Future()
        self._jobs.put((work, done))
        return done

    def _run(self) -> None:
        while True:
            try:
                job = self._jobs.get(timeout=TICK)
            except queue.Empty:
                self._watch()
                continue
            if job is None:
                return
            work, done = job
            try:
                work()
            except BaseException as error:
                done.set_exception(error)
            else:
                done.set_result(None)

    def _watch(self) -> None:
        process = self._process
        if not self._wanted or self.paused or process is None or process.poll() is None or monotonic() < self._retry_at:
            return
        if self._ready.is_set() and monotonic() - self._up_since > STEADY_AFTER:
            self._delay = 0.0
        self._ready.clear()
        self._delay = min(LONGEST_DELAY, self._delay * 2 or FIRST_DELAY)
        self._retry_at = monotonic() + self._delay
        log.warning("%s ended (exit code %s); starting it again", self.server.name, process.returncode)
        try:
            self._bring_up()
        except Abandoned:
            return
        except EmbeddedError as error:
            log.error("%s", error)
        except Exception:
            log.exception("%s could not be started again", self.server.name)

    def _first_start(self) -> None:
        self._wanted = True
        for attempt in range(PORT_ATTEMPTS):
            try:
                return self._bring_up()
            except PortTaken:
                if attempt + 1 == PORT_ATTEMPTS:
                    raise
                self.server.new_port()
        return None

    def _bring_up(self) -> None:
        server = self.server
        self._ready.clear()
        server.prepare()
        process, offset = spawn(
            server.command(),
            identity=server.identity,
            death_signal=server.stop_steps[0][0],
            log=server.log,
        )
        self._process = process
        deadline = monotonic() + READY_WITHIN
        while not server.answers(process.pid):
            if process.poll() is not None:
                raise server.explain(tail(server.log, offset))
            if self._give_up.is_set():
                raise Abandoned(f"{server.name} was stopped while it was starting.")
            if monotonic() > deadline:
                self._end(process)
                raise EmbeddedError(
                    f"{server.name} did not become ready within {READY_WITHIN:.0f} seconds: see {server.log}, then "
                    "start again."
                )
            pause(0.01)
        self._up_since = monotonic()
        self._ready.set()
        log.info("%s is ready (process %d)", server.name, process.pid)

    def _take_down(self) -> None:
        self._wanted = False
        self._ready.clear()
        if self._process is not None:
            self._end(self._process)

    def _end(self, process: subprocess.Popen[bytes]) -> None:
        for step, seconds in self.server.stop_steps:
            process.send_signal(step)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(seconds)
                return
            log.warning("%s did not end on %s", self.server.name, step.name)
        process.kill()
        process.wait()
