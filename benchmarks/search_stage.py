# ruff: noqa: E501
"""A million people in one organization, loaded by COPY, for the search benchmark and for trying plans out."""

from __future__ import annotations

import asyncio
import json
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit
from uuid import UUID

import asyncpg
import orjson
import psutil

from benchmarks.search_people import person
from crm_api.bootstrap import make_organization
from crm_api.contacts.keys import key_rows, variants, vocabulary
from crm_api.embedded import start_blocking
from crm_api.kit.crypto import new_master_key
from crm_api.kit.db import Database
from crm_api.migrate import migrate

SERVICE_PASSWORD = "service-password-of-the-benchmarks"
CHUNK = 25_000
_BEGAN = datetime(2023, 1, 1, tzinfo=UTC)
_FIELDS = ("id", "kind", "display_name", "given_name", "family_name", "language", "emails", "phones", "addresses", "external_ids",
           "tags", "roles", "created_at", "updated_at")  # fmt: skip


def contact_id(number: int) -> UUID:
    """The id of a contact by its number."""
    return UUID(f"01938d6e-5a00-7000-8000-{number:012d}")


@dataclass(frozen=True, slots=True)
class Loaded:
    """What is remembered of a loaded database."""

    people: int
    organization_id: str
    api_key: str
    secret_key: str
    words: int


class SearchStage:
    """Postgres, Valkey and the people; a context manager that leaves nothing behind unless the folder was given."""

    def __init__(self, people: int, data_dir: Path | None, say: Callable[[str], None]) -> None:
        self.people, self.say, self._kept = people, say, data_dir is not None
        self.folder = (data_dir or Path(tempfile.mkdtemp(prefix="crm-search-"))).resolve()
        self.folder.mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o755)
        (self.folder / "mail").mkdir(exist_ok=True)
        (self.folder / "files").mkdir(exist_ok=True)

    @property
    def service_url(self) -> str:
        """The service role's connection."""
        parts = urlsplit(self.embedded.runtime.owner_url)
        host = parts.netloc.rpartition("@")[2]
        return urlunsplit(parts._replace(netloc=f"crm_app:{SERVICE_PASSWORD}@{host}"))

    @property
    def superuser_url(self) -> str:
        """The superuser's connection to the same database."""
        path = urlsplit(self.embedded.runtime.owner_url).path
        return urlunsplit(urlsplit(self.embedded.runtime.superuser_url)._replace(path=path))

    def __enter__(self) -> SearchStage:
        self.embedded = start_blocking(self.folder / "services")
        try:
            marker = self.folder / "loaded.json"
            if not marker.exists():
                asyncio.run(self._tune())
                self.embedded.stop_blocking()
                self.embedded = start_blocking(self.folder / "services")
                migrate(self.embedded.runtime.owner_url, self.service_url)
                marker.write_text(orjson.dumps(asyncio.run(self._load())).decode())
            self.loaded = Loaded(**json.loads(marker.read_text()))
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        self.embedded.stop_blocking()
        if not self._kept:
            shutil.rmtree(self.folder, ignore_errors=True)

    async def _tune(self) -> None:
        megabytes = min(4096, psutil.virtual_memory().total // 2**20 // 4)
        connection = await asyncpg.connect(self.embedded.runtime.superuser_url)
        await connection.execute(f"ALTER SYSTEM SET shared_buffers = '{megabytes}MB'")
        await connection.execute("ALTER SYSTEM SET max_wal_size = '8GB'")
        await connection.close()

    async def _load(self) -> Loaded:
        database = await Database.open(self.service_url, size=2)
        made = await make_organization(database, name="Search Fund", mode="live")
        await database.close()
        connection = await asyncpg.connect(self.superuser_url)
        await connection.execute("SET session_replication_role = replica; SET synchronous_commit = off")
        words: set[str] = set()
        for begin in range(0, self.people, CHUNK):
            self.say(f"{begin:,} of {self.people:,} people")
            rows, keys, ids = _chunk(made.id, range(begin, min(begin + CHUNK, self.people)))
            words.update(*(vocabulary(found) for found in keys))
            await connection.copy_records_to_table("contacts", records=rows, columns=["organization_id", *_FIELDS])
            flat = (
                (made.id, kind, value, owner) for owner, found in zip(ids, keys, strict=True) for kind, value in found
            )
            await connection.copy_records_to_table("contact_keys", records=flat)
        self.say(f"{len(words):,} words")
        entry = contact_id(0)
        known = ((made.id, variant, word, entry) for word in sorted(words) for variant in variants(word))
        await connection.copy_records_to_table("contact_words", records=known)
        self.say("vacuum and statistics")
        for table in ("contacts", "contact_keys", "contact_words"):
            await connection.execute(f"VACUUM (ANALYZE, PARALLEL 0) {table}")
        await connection.execute("CHECKPOINT")
        await connection.close()
        return Loaded(self.people, str(made.id), made.api_key, new_master_key(), len(words))


def _chunk(organization_id: UUID, numbers: range) -> tuple[list[Any], list[list[tuple[str, str]]], list[UUID]]:
    rows, keys, ids = [], [], []
    for number in numbers:
        columns: dict[str, Any] = {**person(number), "id": contact_id(number), "kind": "person"}
        columns["display_name"] = f"{columns['given_name']} {columns['family_name']}"
        columns["created_at"] = columns["updated_at"] = _BEGAN + timedelta(minutes=number)
        rows.append((organization_id, *(_plain(columns[name]) for name in _FIELDS)))
        keys.append(key_rows(columns))
        ids.append(columns["id"])
    return rows, keys, ids


def _plain(value: Any) -> Any:
    return orjson.dumps(value).decode() if isinstance(value, list) else value
