"""Structured logs, JSON lines, from an allow-list of plain values: nothing personal ever goes in."""

from __future__ import annotations

import logging
import sys
from typing import Any

import orjson
import structlog

from crm_api.kit import clock

get_logger = structlog.get_logger
_http = get_logger("crm_api.http")
_lines: Any = None  # where lines of requests go as bytes, when they are JSON


def log_request(method: str, route: str, status: int, ms: float, request_id: str) -> None:
    """The access log's line: the same as any other, made by the shortest way, since there is one for each request."""
    values = {"method": method, "route": route, "status": status, "ms": ms, "request_id": request_id}
    if _lines is None:
        _http.info("request", **values)
        return
    values |= {"event": "request", "level": "info", "timestamp": clock.utc_now()}
    _lines.write(orjson.dumps(values, option=orjson.OPT_UTC_Z | orjson.OPT_APPEND_NEWLINE))
    _lines.flush()


def configure(*, level: str = "INFO", json: bool = True) -> None:
    """Set up logging for a process. `json=False` is for a person's terminal."""
    global _lines
    numeric = logging.getLevelNamesMapping().get(level.upper(), logging.INFO)
    if json:  # as bytes, made by orjson: a line costs half of what print and json cost
        renderer: Any = structlog.processors.JSONRenderer(serializer=orjson.dumps)
        factory: Any = structlog.BytesLoggerFactory(sys.stderr.buffer)
    else:
        renderer = structlog.dev.ConsoleRenderer(colors=False)
        factory = structlog.PrintLoggerFactory(sys.stderr)
    _lines = sys.stderr.buffer if json and numeric <= logging.INFO else None
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(numeric),
        logger_factory=factory,
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(level=max(numeric, logging.WARNING), stream=sys.stderr, format="%(levelname)s %(name)s")
    for name in ("arq", "httpx", "httpcore", "asyncio", "uvicorn.error"):
        logging.getLogger(name).setLevel(logging.ERROR)
