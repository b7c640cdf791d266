"""Starting programs, and looking at and ending processes that are not our children."""

from __future__ import annotations

import errno
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterable, Sequence
from pathlib import Path

from crm_api.embedded.errors import EmbeddedError, in_words
from crm_api.embedded.identity import Identity
from crm_api.kit.clock import monotonic

StopSteps = tuple[tuple[signal.Signals, float], ...]

# Below the ports the system hands out for outgoing connections (Linux from 32768, macOS from 49152): while a server is
# down, none of its clients can then be given its port as their own.
PORTS = range(15_000, 30_000)
LOG_LIMIT = 16 * 1024 * 1024


def pause(seconds: float) -> None:
    """Wait, in whatever thread this is."""
    threading.Event().wait(seconds)


def shim(command: Sequence[str], *, uid: int, gid: int, death_signal: int) -> list[str]:
    """The command wrapped in `child.py`."""
    program = Path(__file__).with_name("child.py")
    words = (os.getpid(), int(death_signal), uid, gid)
    return [sys.executable, "-I", "-S", str(program), *map(str, words), *command]


def clean_environment() -> dict[str, str]:
    """No PG* variables, no secrets of ours, no surprises from the user's language."""
    keep = {name: value for name in ("LD_LIBRARY_PATH", "TMPDIR") if (value := os.environ.get(name))}
    return {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC", **keep}


def spawn(
    command: Sequence[str], *, identity: Identity, death_signal: int, log: Path
) -> tuple[subprocess.Popen[bytes], int]:
    """Start a server in a session of its own (Ctrl-C is ours to handle), its output appended to `log`.

    Returns the process and the log's length before it. The server ends with the *thread* that calls this.
    """
    with in_words("write the log", log):
        if log.exists() and log.stat().st_size > LOG_LIMIT:
            log.replace(log.with_name(log.name + ".1"))
        handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        with open(handle, "ab") as file:
            offset = file.tell()
            process = subprocess.Popen(  # noqa: S603
                shim(command, uid=identity.uid, gid=identity.gid, death_signal=death_signal),
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                cwd="/",
                env=clean_environment(),
                start_new_session=True,
            )
    return process, offset


def run(command: Sequence[str], *, uid: int, gid: int, text: str = "", timeout: float = 120) -> tuple[int, str]:
    """Run a program to its end; its exit code and everything it said."""
    try:
        done = subprocess.run(  # noqa: S603
            shim(command, uid=uid, gid=gid, death_signal=signal.SIGKILL),
            input=text.encode(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd="/",
            env=clean_environment(),
            timeout=timeout,
            check=False,
            start_new_session=True,
        )
    except subprocess.TimeoutExpired as error:
        raise EmbeddedError(
            f"{Path(command[0]).name} did not finish within {timeout:.0f} seconds: the machine or its disk is very "
            "busy. Try again."
        ) from error
    return done.returncode, done.stdout.decode(errors="replace")


def tail(log: Path, offset: int) -> str:
    """What a server wrote since `offset`, at most the last 8 KB."""
    try:
        with log.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(offset, size - 8192))
            return file.read().decode(errors="replace")
    except OSError:
        return ""


def alive(pid: int) -> bool:
    """Whether the process exists and is not a zombie waiting for a careless parent."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError as error:
        return error.errno == errno.EPERM
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return not Path("/proc/self").exists()
    except OSError:
        return True
    return stat.rpartition(")")[2].split()[0] not in ("Z", "X")


def command_line(pid: int) -> str:
    """The words a process was started with, '' when they cannot be read."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        if Path("/proc/self").exists():
            return ""
    try:
        done = subprocess.run(["/bin/ps", "-o", "command=", "-p", str(pid)], capture_output=True, check=False)  # noqa: S603
    except OSError:
        return ""
    return done.stdout.decode(errors="replace")


def postgres_in(folder: Path) -> set[int]:
    """Postgres processes at work in a data folder (Linux): all of a server stay there. A shell there is not one."""
    found = set()
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if os.readlink(entry / "cwd") == str(folder) and (entry / "comm").read_text().strip() == "postgres":
                found.add(int(entry.name))
        except OSError:
            continue
    return {pid for pid in found if alive(pid)}


def end_all(pids: Iterable[int], steps: StopSteps) -> None:
    """End processes that are not our children, ever more firmly."""
    left = {pid for pid in pids if alive(pid)}
    for step, seconds in (*steps, (signal.SIGKILL, 5.0)):
        for pid in left:
            try:
                os.kill(pid, step)
            except ProcessLookupError:
                continue
            except PermissionError as error:
                raise EmbeddedError(
                    f"Process {pid} of an earlier run still uses this data folder and belongs to another user: "
                    f"end it (kill {pid}), then start again."
                ) from error
        deadline = monotonic() + seconds
        while left and monotonic() < deadline:
            left = {pid for pid in left if alive(pid)}
            if left:
                pause(0.02)
        if not left:
            return
    raise EmbeddedError(f"Process {min(left)} of an earlier run does not end even when killed: restart the machine.")


def port_free(port: int) -> bool:
    """Whether a port of the loopback address can be had."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def free_port(preferred: int = 0) -> int:
    """A free port on 127.0.0.1: the one used last time if possible."""
    from secrets import choice

    if preferred and port_free(preferred):
        return preferred
    for _ in range(200):
        port = choice(PORTS)
        if port_free(port):
            return port
    raise EmbeddedError(
        f"No free port was found on 127.0.0.1 between {PORTS.start} and {PORTS.stop}: end some of the programs that "
        "listen there, then start again."
    )
