"""Renders templates written by an organization in a process that can be killed.

Liquid's own limits do not bound a filter over a huge range (``(1..100000000) | join`` keeps a core busy for minutes) or
a fault in the parser, so such a template gets a process of its own: bounded processor time, memory and wall-clock time,
an empty environment, and only JSON going in and out. Processes are started when first needed, reused, and replaced
after many jobs or after one was killed.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, cast

from crm_api.communications.templates.context import plain
from crm_api.communications.templates.problems import Finding, TemplateInvalid
from crm_api.communications.templates.sandbox_child import read_frame, write_frame

_CHILD = "crm_api.communications.templates.sandbox_child"
_START_SECONDS = 30.0


class SandboxUnavailable(RuntimeError):
    """No process could be started. Says nothing about the template; try again later."""


class _Crashed(Exception):
    """The process ended without an answer; ``timed_out`` when it was for using too much time."""

    def __init__(self, timed_out: bool, idle: bool = False) -> None:
        super().__init__()
        self.timed_out = timed_out
        self.idle = idle


class _Child:
    """One rendering process and the two pipes to it. Used by one thread at a time."""

    def __init__(self, cpu_seconds: float, memory_bytes: int) -> None:
        path = os.pathsep.join(os.path.abspath(entry) for entry in sys.path)
        self.jobs = 0
        try:
            self.process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
                [sys.executable, "-S", "-s", "-B", "-m", _CHILD, str(cpu_seconds), str(memory_bytes)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={"PYTHONPATH": path},
                start_new_session=True,
            )
        except OSError as error:
            raise SandboxUnavailable("the process for templates does not start") from error
        try:
            self._exchange(None, _START_SECONDS)
        except _Crashed:
            self.close()
            raise SandboxUnavailable("the process for templates does not start") from None

    def ask(self, job: dict[str, Any], seconds: float) -> dict[str, Any]:
        """The answer to one job; `_Crashed` if the process ends or must be ended first."""
        self.jobs += 1
        return self._exchange(job, seconds)

    def _exchange(self, job: dict[str, Any] | None, seconds: float) -> dict[str, Any]:
        late = threading.Event()

        def end() -> None:
            late.set()
            self.process.kill()

        timer = threading.Timer(seconds, end)
        timer.daemon = True
        timer.start()
        answer = None
        stdin, stdout = self.process.stdin, self.process.stdout
        assert stdin is not None
        assert stdout is not None
        try:
            with suppress(OSError, ValueError):  # a broken pipe, or half a message: the process is gone
                if job is not None:
                    write_frame(cast("Any", stdin), job)
                answer = read_frame(cast("Any", stdout))
        finally:
            timer.cancel()
        if answer is None:
            self.process.kill()
            code = self.process.wait()
            cpu = code == -getattr(signal, "SIGPROF", 0) and code != 0
            raise _Crashed(timed_out=late.is_set() or cpu, idle=code == 0)
        return answer

    def usable(self, max_jobs: int) -> bool:
        """Whether it is alive and not yet due for replacement."""
        return self.jobs < max_jobs and self.process.poll() is None

    def close(self) -> None:
        """End the process and its pipes."""
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()


class Sandbox:
    """A few rendering processes. Jobs beyond that many wait their turn."""

    def __init__(
        self,
        *,
        size: int = 2,
        cpu_seconds: float = 1.0,
        wall_seconds: float = 10.0,
        memory_bytes: int = 256_000_000,
        jobs_per_child: int = 1_000,
    ) -> None:
        self._cpu_seconds = cpu_seconds
        self._wall_seconds = wall_seconds
        self._memory_bytes = memory_bytes
        self._jobs_per_child = jobs_per_child
        self._idle: list[_Child] = []
        self._lock = threading.Lock()
        self._threads = ThreadPoolExecutor(max_workers=size, thread_name_prefix="letters")

    async def render(
        self,
        parts: Mapping[str, str],
        context: Mapping[str, object],
        *,
        strict: bool = False,
        known: Iterable[str] | None = None,
    ) -> dict[str, str]:
        """Like `engine.render_parts`, elsewhere; also `TemplateInvalid` with ``template_timeout`` or
        ``template_crashed``, and `SandboxUnavailable`."""
        plain(dict(context))
        job = {
            "parts": dict(parts),
            "context": dict(context),
            "strict": strict,
            "known": None if known is None else sorted(known),
        }
        answer = await asyncio.get_running_loop().run_in_executor(self._threads, self._run, job)
        findings = answer.get("findings")
        if findings:
            raise TemplateInvalid.of(tuple(Finding(*one) for one in findings))
        rendered = answer.get("parts")
        if not isinstance(rendered, dict) or {*rendered} != {*parts}:
            raise TemplateInvalid("template_crashed", "The template could not be rendered.")
        return {name: str(value) for name, value in rendered.items()}

    def _run(self, job: dict[str, Any]) -> dict[str, Any]:
        for attempt in (1, 2):
            child = self._take()
            try:
                answer = child.ask(job, self._wall_seconds)
            except _Crashed as crash:
                child.close()
                if crash.idle and attempt == 1:
                    continue  # it ended itself for lack of work just as this job came
                if crash.timed_out:
                    raise TemplateInvalid("template_timeout", "The template takes too long.") from None
                break
            self._give_back(child)
            return answer
        raise TemplateInvalid("template_crashed", "The template could not be rendered.") from None

    def _take(self) -> _Child:
        while True:
            with self._lock:
                child = self._idle.pop() if self._idle else None
            if child is None:
                return _Child(self._cpu_seconds, self._memory_bytes)
            if child.usable(self._jobs_per_child):
                return child
            child.close()

    def _give_back(self, child: _Child) -> None:
        with self._lock:
            self._idle.append(child)

    def close(self) -> None:
        """Let running jobs finish and end the processes."""
        self._threads.shutdown(wait=True)
        with self._lock:
            children, self._idle = self._idle, []
        for child in children:
            child.close()


_shared: Sandbox | None = None


def shared_sandbox() -> Sandbox:
    """This process's sandbox. Nothing is started until the first job."""
    global _shared
    if _shared is None:
        _shared = Sandbox()
        atexit.register(close_shared_sandbox)
    return _shared


def close_shared_sandbox() -> None:
    """End the shared sandbox's processes; the next `shared_sandbox` starts anew. For shutdown hooks and tests."""
    global _shared
    if _shared is not None:
        _shared.close()
        _shared = None
        atexit.unregister(close_shared_sandbox)
