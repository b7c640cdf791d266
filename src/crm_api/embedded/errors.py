"""What can go wrong while starting the embedded services, in words for a person."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

OWN_SERVICES = "run your own servers and set DATABASE_URL and REDIS_URL"


class EmbeddedError(Exception):
    """The message is a full sentence: what is wrong and what to do next."""


class PortTaken(EmbeddedError):
    """Another program listens on the port we chose; a first start then chooses another one."""


class Abandoned(EmbeddedError):
    """Stop was asked for while the server was still coming up."""


def disk_full(where: Path) -> EmbeddedError:
    """The sentence for a full disk."""
    return EmbeddedError(
        f"The disk that holds {where} is full: free about 300 MB there, or choose a data folder on another disk."
    )


def from_os_error(action: str, error: OSError, where: Path) -> EmbeddedError:
    """A failed system call as a sentence; `action` completes 'Could not …'."""
    path = Path(os.fsdecode(error.filename)) if isinstance(error.filename, str | bytes) else where
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return disk_full(path)
    if error.errno in (errno.EACCES, errno.EPERM):
        hint = f"user id {os.geteuid()} may not write there. Choose another data folder, or give this user the folder"
    elif error.errno == errno.EROFS:
        hint = "that file system is read-only. Choose a data folder on a disk that can be written"
    elif error.errno in (errno.ENOTDIR, errno.EEXIST):
        hint = "a file is in the way where a folder is needed. Choose another data folder"
    else:
        hint = f"the system says: {error.strerror or error}. Choose another data folder, or put that right first"
    return EmbeddedError(f"Could not {action} at {path}: {hint}.")


@contextmanager
def in_words(action: str, where: Path) -> Iterator[None]:
    """Turn an `OSError` of the block into an `EmbeddedError`."""
    try:
        yield
    except OSError as error:
        raise from_os_error(action, error, where) from error


def from_output(program: str, output: str, *, folder: Path, log: Path) -> EmbeddedError:
    """Why a server ended, read from what it wrote."""
    if "No space left on device" in output or "Disk quota exceeded" in output:
        return disk_full(folder)
    if "Address already in use" in output:
        return PortTaken(
            f"{program} could not start because another program uses its port on 127.0.0.1: "
            "end that program, or start again so that another port is chosen."
        )
    if "could not look up effective user ID" in output:
        return EmbeddedError(
            f"Postgres cannot create a database for user id {os.geteuid()}, which has no name on this system "
            f"(/etc/passwd): run as a user with a name, or as root, or {OWN_SERVICES}."
        )
    if "shared memory" in output and "could not" in output.lower():
        return EmbeddedError(
            f"{program} could not get shared memory from the system: end other database servers, or raise the "
            f"limit (docker run --shm-size 256m). Details are in {log}."
        )
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    said = " / ".join(lines[-3:])[-600:] or "nothing"
    return EmbeddedError(f"{program} ended while starting; its last words were: {said}. The whole log is {log}.")
