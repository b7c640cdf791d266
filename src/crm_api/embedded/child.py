"""The small program between us and a server: drops root, ties the server's life to ours, becomes the server.

Run as `python -I -S child.py PARENT_PID SIGNAL UID GID PROGRAM ARGUMENTS…` by `process.spawn`; it imports nothing of
crm_api. Doing this in a program of its own avoids `preexec_fn`, which is unsafe beside threads, and lets root's own
Python start (often under /root) before the privileges go.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main(arguments: list[str]) -> None:
    """Bind to the parent's life, drop to the given user, and become the server."""
    parent, wanted, uid, gid = (int(value) for value in arguments[:4])
    command = arguments[4:]
    prctl = None
    if sys.platform.startswith("linux"):  # elsewhere a killed parent leaves orphans, which the next start ends
        with contextlib.suppress(ImportError):
            import ctypes  # while we may still read root's Python

            prctl = ctypes.CDLL(None).prctl
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    os.umask(0o077)
    if uid >= 0:
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
    if prctl is not None:
        prctl(PR_SET_PDEATHSIG, wanted, 0, 0, 0)  # after the change of user, which clears the setting
        if os.getppid() != parent:
            sys.exit("the parent process ended before the server started")
    os.execv(command[0], command)  # noqa: S606


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except OSError as error:
        sys.exit(f"could not start {sys.argv[5]}: {error}")
