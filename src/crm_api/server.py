"""The API's server processes."""

from __future__ import annotations

import gc
import sys
from importlib import import_module

from crm_api.settings import Settings


def serve(settings: Settings) -> None:
    """Run uvicorn with the settings' host, port and number of processes, until stopped."""
    gc.disable()  # while importing, when nothing is garbage: an eighth of the time to start (`asgi` enables it again)
    import uvicorn

    if settings.processes > 1 and sys.platform == "linux":
        _fork_from_here()
    uvicorn.run(
        "crm_api.asgi:application",
        factory=True,
        host=settings.host,
        port=settings.port,
        workers=settings.processes if settings.processes > 1 else None,
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=20,
        timeout_keep_alive=30,
    )


def _fork_from_here() -> None:
    """Let uvicorn fork its processes from this one, with everything imported already, instead of starting each from
    nothing: they answer sooner and share most of their memory. Nothing here has made a thread, a connection or a random
    number yet. Elsewhere than on Linux a fork is not safe in a process that has loaded system libraries."""
    import multiprocessing

    from uvicorn import _subprocess

    import_module("crm_api.asgi")
    gc.freeze()
    _subprocess.spawn = multiprocessing.get_context("fork")  # type: ignore[assignment]
