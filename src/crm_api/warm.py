"""A child process of `crm-api dev`: imports what it will need while the services are still starting, waits for its
settings as one line of JSON on its standard input, then runs its command. When its parent is gone, it ends."""

from __future__ import annotations

import gc
import json
import os
import signal
import sys
import threading
from importlib import import_module

_NEEDED = {
    "serve": ("crm_api.asgi", "uvloop", "uvicorn.lifespan.on"),
    "worker": ("crm_api.worker", "arq.worker", "crm_api.communications.channels.factory"),
}


def _line() -> bytes:
    """The first line of standard input, unbuffered; nothing when the parent ended before."""
    found = b""
    while not found.endswith(b"\n") and (more := os.read(0, 65536)):
        found += more
    return found


def _end_with_parent() -> None:
    while os.read(0, 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


def main() -> None:
    """Entry point: `python -m crm_api.warm serve`."""
    command = sys.argv[1]
    try:
        gc.disable()  # nothing is garbage while importing
        for name in _NEEDED[command]:
            import_module(name)
        gc.enable()
        gc.freeze()
        line = _line()
    except KeyboardInterrupt:
        return
    if not line.endswith(b"\n"):
        return
    os.environ.clear()
    os.environ.update(json.loads(line))
    threading.Thread(target=_end_with_parent, daemon=True).start()
    from crm_api.cli import app

    app([command], prog_name="crm-api")


if __name__ == "__main__":
    main()
