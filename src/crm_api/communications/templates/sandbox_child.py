"""The process in which an organization's own templates are rendered. Runs as ``python -m``; started by `sandbox`.

It has no environment, no database, no secrets; it reads a job from standard input and writes the result to standard
output, both as a length and JSON, so nothing but plain data can pass in either direction. It limits its own memory,
may write no file, and asks the kernel to end it when one job has used its share of processor time.
"""

from __future__ import annotations

import json
import select
import signal
import sys
from contextlib import suppress
from typing import Any, BinaryIO

IDLE_SECONDS = 300.0
MAX_FRAME = 8_000_000


def read_frame(stream: BinaryIO) -> dict[str, Any] | None:
    """The next message, or None at the end of the stream (also in the middle of a message)."""
    head = stream.read(4)
    if len(head) < 4:
        return None
    size = int.from_bytes(head, "big")
    if size > MAX_FRAME:
        return None
    body = stream.read(size)
    if len(body) < size:
        return None
    message = json.loads(body)
    return message if isinstance(message, dict) else None


def write_frame(stream: BinaryIO, message: dict[str, Any]) -> None:
    """Write one message and flush it."""
    body = json.dumps(message, ensure_ascii=False).encode("utf-8", "surrogatepass")
    stream.write(len(body).to_bytes(4, "big") + body)
    stream.flush()


def _limit(memory_bytes: int) -> None:
    try:
        import resource
    except ImportError:  # Windows has none; the parent's clock still ends a hang
        return
    for limit, value in (
        (resource.RLIMIT_AS, memory_bytes),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        with suppress(ValueError, OSError):  # macOS knows RLIMIT_AS but refuses to set it
            resource.setrlimit(limit, (value, value))


def _alarm(seconds: float) -> None:
    """After this much processor time the kernel ends the process (SIGPROF, left at its default action)."""
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_PROF, seconds)


def _work(job: dict[str, Any]) -> dict[str, Any]:
    from crm_api.communications.templates.engine import render_parts
    from crm_api.communications.templates.problems import TemplateInvalid

    try:
        return {"parts": render_parts(job["parts"], job["context"], strict=job["strict"], known=job["known"])}
    except TemplateInvalid as error:
        found = error.findings[:50]
        return {"findings": [[one.code, one.detail, one.line, one.part] for one in found]}
    except MemoryError:
        return {"findings": [["template_memory", "The template uses too much memory.", None, None]]}


def main(cpu_seconds: float, memory_bytes: int) -> None:
    """Answer jobs until standard input ends or nothing came for a while."""
    from crm_api.communications.templates import engine

    engine.render("{{ x }}", {"x": "warm"}, html=True)
    stdin, stdout = sys.stdin.buffer, sys.stdout.buffer
    _limit(memory_bytes)
    write_frame(stdout, {"ready": True})
    while select.select([stdin], [], [], IDLE_SECONDS)[0]:
        job = read_frame(stdin)
        if job is None:
            return
        _alarm(cpu_seconds)
        answer = _work(job)
        _alarm(0)
        write_frame(stdout, answer)


if __name__ == "__main__":
    main(float(sys.argv[1]), int(sys.argv[2]))
