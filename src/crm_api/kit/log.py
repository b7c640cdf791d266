"""Structured logs, JSON lines, from an allow-list of plain values: nothing personal ever goes in."""

from __future__ import annotations

import logging
import sys
from typing import Any

import structlog

get_logger = structlog.get_logger


def configure(*, level: str = "INFO", json: bool = True) -> None:
    """Set up logging for a process. `json=False` is for a person's terminal."""
    numeric = logging.getLevelNamesMapping().get(level.upper(), logging.INFO)
    renderer: Any = structlog.processors.JSONRenderer() if json else structlog.dev.ConsoleRenderer(colors=False)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(numeric),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(level=max(numeric, logging.WARNING), stream=sys.stderr, format="%(levelname)s %(name)s")
    for name in ("arq", "httpx", "httpcore", "asyncio", "uvicorn.error"):
        logging.getLogger(name).setLevel(logging.ERROR)
