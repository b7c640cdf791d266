"""Settings of the tests, for worlds and for worker processes (which need not load the API for them)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import SecretStr

from crm_api.settings import Settings

SECRET_KEY = "a2V5LW9mLXRoZS10ZXN0cy1rZXktb2YtdGhlLXRlc3Rz"

COMMON_SERVICES: dict[str, str] = {}
"""Outside services of this process that are there for every organization (`tests.api.surface.plant`)."""


def make_settings(database_url: str, mail: Path, **changes: Any) -> Settings:
    """Settings of the tests: every answer is checked against its declared model."""
    Path(f"{mail}-files").mkdir(exist_ok=True)
    values: dict[str, Any] = {
        "environment": "test",
        "database_url": database_url,
        "redis_url": "",
        "secret_keys": [SecretStr(SECRET_KEY)],
        "mail_url": f"file://{mail}",
        "files_url": f"file://{mail}-files",
        "check_responses": True,
        "access_log": False,
        "job_retry_base_seconds": 0.01,
        "database_pool": 8,
        "rate_limit_burst": 100_000,
        "rate_limit_per_second": 100_000,
        "retry_url": "https://donate.example.org/again/{gift_id}",
        "service_urls": dict(COMMON_SERVICES),
    }
    return Settings(_env_file=None, **{**values, **changes})
