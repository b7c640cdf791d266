"""The API's server processes."""

from __future__ import annotations

from crm_api.settings import Settings


def serve(settings: Settings) -> None:
    """Run uvicorn with the settings' host, port and number of processes, until stopped."""
    import uvicorn

    from crm_api.protocol import Protocol

    uvicorn.run(
        "crm_api.asgi:application",
        factory=True,
        host=settings.host,
        port=settings.port,
        workers=settings.processes if settings.processes > 1 else None,
        loop="uvloop",
        http=Protocol,
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=20,
        timeout_keep_alive=30,
    )
