"""`crm-api doctor`: what an operator can get wrong, each told in words and without a password."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from tests.support.services import PASSWORD, Services
from tests.support.settings import make_settings

from crm_api.doctor import examine


async def failures(database_url: str, mail: Path, **changes: Any) -> dict[str, str]:
    """What the doctor finds wrong."""
    found = await examine(make_settings(database_url, mail, **changes))
    assert PASSWORD not in str(found)
    return {finding.what: finding.words for finding in found if not finding.good}


async def test_a_healthy_installation(database_url: str, services: Services, tmp_path: Path) -> None:
    assert await failures(database_url, tmp_path, redis_url=services.redis_url) == {}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda url: "", "not set; write postgresql://user:password@host/database, or run `crm-api dev`"),
        (lambda url: url.replace("crm_app:", "crm_app:wrong"), "the password is refused"),
        (lambda url: url.rpartition("/")[0] + "/nothere", "there is no such database; create it, then run"),
        (
            lambda url: url.replace(f":{urlsplit(url).port}/", ":1/"),
            "cannot connect (ConnectionRefusedError); check host",
        ),
        (lambda url: "mysql://x", "cannot connect ("),
    ],
)
async def test_a_database_that_cannot_be_used(database_url: str, tmp_path: Path, change: Any, words: str) -> None:
    found = await failures(change(database_url), tmp_path)
    assert found.keys() == {"DATABASE_URL"}
    assert found["DATABASE_URL"].startswith(words)


async def test_a_role_that_row_level_security_does_not_hold(owner_url: str, tmp_path: Path) -> None:
    found = await failures(owner_url, tmp_path)
    assert "owns tables" in found["service role"]


async def test_an_empty_database(services: Services, database_url: str, tmp_path: Path) -> None:
    parts = urlsplit(services.owner_url)
    empty = urlsplit(database_url)._replace(path=parts.path).geturl()
    assert (await failures(empty, tmp_path))["schema"] == "empty; run `crm-api migrate`"


async def test_redis_mail_and_keys(database_url: str, tmp_path: Path) -> None:
    found = await failures(
        database_url,
        tmp_path,
        redis_url="redis://127.0.0.1:1/0",
        mail_url="smtp://127.0.0.1:1",
        secret_keys=[],
    )
    assert found.keys() == {"REDIS_URL", "CRM_MAIL_URL", "CRM_SECRET_KEYS"}
    assert found["REDIS_URL"] == "does not answer (ConnectionError); work goes on, but starts later"
    assert found["CRM_MAIL_URL"] == "the mail server cannot be reached (ConnectionRefusedError)"
    assert (await failures(database_url, tmp_path / "gone"))["CRM_MAIL_URL"] == "the folder does not exist"
