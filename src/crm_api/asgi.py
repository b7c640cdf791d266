"""What a server process imports: `uvicorn --factory crm_api.asgi:application`."""

from __future__ import annotations

import gc

from starlette.types import ASGIApp

from crm_api.app import asgi
from crm_api.kit import log
from crm_api.settings import get_settings


def application() -> ASGIApp:
    """The application with settings from the environment."""
    settings = get_settings()
    log.configure(level=settings.log_level, json=settings.log_json)
    built = asgi(settings)
    gc.enable()
    gc.collect()
    gc.freeze()  # modules, routes and schemas stay for good, on pages that forked processes go on sharing
    return built
