"""How fast a file of contacts is imported, beside an owner's COPY of the same rows into the same tables.

    python -m benchmarks.imports                 # 100,000 rows against 100,000 contacts that are there; a few minutes
    python -m benchmarks.imports --million       # and then 1,000,000 rows in one file, watching the worker's memory
    python -m benchmarks.imports --rows 10000    # a first impression

Postgres of its own, a `crm-api worker` process as in production. The file holds people and organizations in five
scripts, every row new, each looked up by external id, e-mail and phone. COPY writes the rows that the import made of
them (contacts, key rows, external ids, vocabulary) for another organization: superuser, same tables, same indexes, same
constraints. What the import writes besides (the journal for undo, the audit trail) has no counterpart there.
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import UUID

import asyncpg
import psutil

from crm_api.bootstrap import COMMAND_LINE, NewOrganization, make_organization
from crm_api.documents.storage import FileStore
from crm_api.embedded import start_blocking
from crm_api.kit.crypto import Vault, new_master_key
from crm_api.kit.db import Database
from crm_api.migrate import migrate
from crm_api.settings import Settings
from crm_api.transfers.imports import service
from crm_api.transfers.imports.schemas import ImportOptions, ImportUpload

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "results" / "imports.json"
_PASSWORD = "service-password-of-the-benchmarks"
_TABLES = ("contacts", "contact_keys", "contact_external_ids", "contact_words")
HEADER = ("external_id", "kind", "given_name", "middle_name", "family_name", "organization_name", "email", "phone",
          "city", "country", "language", "tags")  # fmt: skip


@dataclass(frozen=True)
class Run:
    """One import as it was measured."""

    rows: int
    existing: int
    seconds: float
    rows_per_second: float
    worker_peak_mb: float
    copy_seconds: float | None = None
    ratio: float | None = None
    key_rows: int | None = None


_SYLLABLES = {
    "uk": (
        (
            "Шев",
            "Бон",
            "Мель",
            "Ков",
            "Петр",
            "Лис",
            "Гон",
            "Ткач",
            "Крав",
            "Мор",
            "Пав",
            "Сав",
            "Рад",
            "Бойк",
            "Олій",
            "Дан",
            "Яр",
            "Вас",
            "Кост",
            "Зах",
            "Тим",
            "Грин",
        ),
        ("а", "о", "у", "и", "е", "ар", "ен", "ов", "ич", "ель", "ор", "ий"),
        ("енко", "чук", "ський", "ко", "юк", "ич", "ак", "ець", "шин", "ів"),
    ),
    "ru": (
        (
            "Ив",
            "Петр",
            "Сид",
            "Кузн",
            "Смирн",
            "Волк",
            "Лебед",
            "Козл",
            "Нов",
            "Мороз",
            "Павл",
            "Сем",
            "Гол",
            "Вин",
            "Богд",
            "Вор",
            "Фед",
            "Мих",
            "Бел",
            "Тар",
        ),
        ("а", "о", "у", "е", "ар", "ен", "ов", "ич", "ел", "ор"),
        ("ов", "ев", "ин", "кин", "ский", "ская", "ова", "ева", "ина", "цев"),
    ),
    "ka": (
        ("ბერ", "კვა", "მამ", "გელ", "ლომ", "ხარ", "ჯაფ", "წიკ", "შენ", "დოლ", "გიო", "ნოზ", "ცინ", "მაის", "თავ"),
        ("ი", "ა", "ე", "უ", "ო", "არ", "ელ"),
        ("ძე", "შვილი", "ია", "უა", "ავა", "ური", "ანი"),
    ),
    "ar": (
        ("حد", "سع", "خل", "من", "نا", "جم", "كر", "عب", "صا", "فا", "رش", "طا", "يو"),
        ("ا", "ي", "و", "ال", "ان"),
        ("اد", "يد", "وري", "ني", "اني", "مي", "ور"),
    ),
    "en": (
        (
            "Smi",
            "Bro",
            "Tay",
            "Wal",
            "Hal",
            "Car",
            "Mor",
            "Ben",
            "Har",
            "Gar",
            "Col",
            "Mur",
            "Kel",
            "O'Ne",
            "Fitz",
            "Müll",
            "Søre",
            "Núñ",
            "García",
            "Lefè",
        ),
        ("a", "e", "i", "o", "an", "er", "in", "on", "el", "ar"),
        ("th", "son", "ton", "ley", "ford", "man", "well", "sen", "ez", "ard"),
    ),
}
_GIVEN = {
    "uk": (
        "Олена",
        "Іван",
        "Марія",
        "Тарас",
        "Оксана",
        "Богдан",
        "Наталія",
        "Юрій",
        "Ганна",
        "Остап",
        "Зоя",
        "Дмитро",
        "Ірина",
        "Петро",
        "Софія",
        "Андрій",
    ),
    "ru": (
        "Сергей",
        "Анна",
        "Дмитрий",
        "Ольга",
        "Алексей",
        "Елена",
        "Николай",
        "Татьяна",
        "Михаил",
        "Светлана",
        "Павел",
        "Юлия",
        "Игорь",
        "Вера",
    ),
    "ka": ("ნინო", "გიორგი", "მარიამ", "ლევან", "თამარ", "დავით", "ეკა", "ირაკლი", "სალომე", "ზურაბ", "ნანა", "ბექა"),
    "ar": ("ليلى", "محمد", "فاطمة", "أحمد", "سارة", "يوسف", "نور", "خالد", "مريم", "عمر", "هدى", "سامي"),
    "en": (
        "John",
        "Mary",
        "Zoë",
        "James",
        "Anna",
        "Peter",
        "José",
        "Emma",
        "Lucas",
        "Björk",
        "Chloë",
        "Martin",
        "Sofia",
        "Hugh",
        "Nora",
        "Léa",
    ),
}
_PLACES = {
    "uk": (("Київ", "UA"), ("Львів", "UA"), ("Одеса", "UA"), ("Харків", "UA")),
    "ru": (("Рига", "LV"), ("Алматы", "KZ")),
    "ka": (("თბილისი", "GE"), ("ბათუმი", "GE")),
    "ar": (("عمان", "JO"), ("بيروت", "LB")),
    "en": (("London", "GB"), ("München", "DE"), ("Málaga", "ES"), ("Kraków", "PL")),
}
_PHONES = {
    "UA": "+38050",
    "GE": "+99555",
    "LV": "+3712",
    "KZ": "+7701",
    "JO": "+96279",
    "LB": "+9613",
    "GB": "+44770",
    "DE": "+49151",
    "ES": "+3461",
    "PL": "+4850",
}


def people(first: int, count: int) -> Iterator[tuple[str, ...]]:
    """Rows of a file: `count` records numbered from `first`, the same in every run."""
    for number in range(first, first + count):
        rng = random.Random(number)
        language = rng.choices(("uk", "ru", "ka", "ar", "en"), (40, 15, 15, 10, 20))[0]
        starts, middles, ends = _SYLLABLES[language]
        family = rng.choice(starts) + rng.choice(middles) + rng.choice(middles) + rng.choice(ends)
        city, country = rng.choice(_PLACES[language])
        phone = _PHONES[country] + f"{number:07d}"[-7:] if rng.random() < 0.6 else ""
        email = f"p{number}@example{number % 97}.org" if rng.random() < 0.85 else ""
        tags = ", ".join(rng.sample(("friend", "donor", "newsletter", "event-2025", "volunteer"), rng.randrange(3)))
        if rng.random() < 0.06:
            name = ("", "", "", f"{family} {rng.choice(('Foundation', 'ТОВ', 'Group', 'Фонд'))}")
            yield (f"old:{number}", "organization", *name, email, phone, city, country, language, tags)
        else:
            middle = "Іванович" if language == "uk" and rng.random() < 0.3 else ""
            given = rng.choice(_GIVEN[language])
            yield (f"old:{number}", "person", given, middle, family, "", email, phone, city, country, language, tags)


def write_file(path: Path, first: int, count: int) -> None:
    """A CSV file of people."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(HEADER)
        writer.writerows(people(first, count))


class Memory:
    """The most memory a process and its children had together, looked at every fifth of a second."""

    def __init__(self, pid: int) -> None:
        self._process = psutil.Process(pid)
        self._end = threading.Event()
        self.peak = 0
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        while not self._end.wait(0.2):
            try:
                family = [self._process, *self._process.children(recursive=True)]
                self.peak = max(self.peak, sum(one.memory_info().rss for one in family))
            except psutil.Error:
                continue

    def stop(self) -> float:
        """The peak in megabytes."""
        self._end.set()
        self._thread.join()
        return round(self.peak / 2**20, 1)


class Bench:
    """Postgres, a worker, an organization."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.embedded = start_blocking(folder / "services")
        owner = self.embedded.runtime.owner_url
        self.service_url = owner.replace(owner.split("//")[1].split("@")[0], f"crm_app:{_PASSWORD}")
        self.superuser_url = self.embedded.runtime.superuser_url.rpartition("/")[0] + "/" + owner.rpartition("/")[2]
        migrate(owner, self.service_url)
        self.files = folder / "files"
        self.files.mkdir()
        self.key = new_master_key()
        self.settings = Settings(
            _env_file=None, environment="test", database_url=self.service_url, files_url=f"file://{self.files}"
        )

    def environment(self) -> dict[str, str]:
        """Of the worker: production."""
        return {
            "CRM_ENVIRONMENT": "production",
            "CRM_PUBLIC_URL": "https://crm.example.org",
            "DATABASE_URL": self.service_url,
            "REDIS_URL": "",
            "CRM_SECRET_KEYS": self.key,
            "CRM_FILES_URL": f"file://{quote(str(self.files))}",
            "CRM_MAIL_URL": f"file://{quote(str(self.folder))}",
        }

    @contextmanager
    def worker(self) -> Iterator[int]:
        """A worker process; its id."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("CRM_")}
        inherited.pop("PYTHONDONTWRITEBYTECODE", None)
        with (self.folder / "worker.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "crm_api.cli", "worker"],
                env={**inherited, "PYTHONPATH": str(ROOT / "src"), **self.environment()},
                stdout=log,
                stderr=log,
            )
        try:
            yield process.pid
        finally:
            process.terminate()
            process.wait(timeout=30)

    async def tune(self) -> None:
        """What any production installation sets."""
        admin = await asyncpg.connect(self.superuser_url)
        await admin.execute("ALTER SYSTEM SET max_wal_size = '4GB'")
        await admin.execute("SELECT pg_reload_conf()")
        await admin.close()

    async def run(self, database: Database, made: NewOrganization, path: Path, existing: int) -> tuple[UUID, Run]:
        """Import a file and wait for its end."""
        store = FileStore(self.settings, Vault([self.key]))
        name = store.new_name(made.id, "imports")

        async def content() -> Any:
            with path.open("rb") as file:
                while block := file.read(1 << 20):
                    yield block

        size = path.stat().st_size
        await store.write(name, content(), max_bytes=size)
        body = ImportUpload(kind="contacts", options=ImportOptions(dry_run=False, on_match="update"))
        with self.worker() as pid:
            await asyncio.sleep(3)  # the worker is up before the clock starts, as it is in production
            memory = Memory(pid)
            began = time.perf_counter()
            async with database.write(made.tenant, COMMAND_LINE) as session:
                row = service.create_import(session, body, name=name, filename=path.name, size=size)
            while True:
                await asyncio.sleep(0.1)
                now = await database.read(made.tenant).fetch_row(service.GET, id=row["id"])
                assert now is not None
                if now["state"] in {"succeeded", "failed"}:
                    break
            seconds = time.perf_counter() - began
            peak = memory.stop()
        if now["state"] == "failed" or now["failed"]:
            raise SystemExit(
                f"the import failed: {now['reason']} {now['failed']} {(self.folder / 'worker.log').read_text()[-2000:]}"
            )
        return row["id"], Run(now["created"], existing, round(seconds, 2), round(now["rows"] / seconds), peak)

    async def copy(self, made: NewOrganization, import_id: UUID, other: NewOrganization) -> tuple[float, int]:
        """Write what an import made by COPY for another organization: seconds, and how many key rows there were."""
        admin = await asyncpg.connect(self.superuser_url)
        own = (
            f"SELECT record_id FROM import_rows WHERE organization_id = '{made.id}' AND import_id = '{import_id}' "
            "AND outcome = 'created'"
        )
        words = f"SELECT entry_id FROM contact_words WHERE organization_id = '{made.id}'"
        seconds = 0.0
        for table in _TABLES:
            named = "SELECT attname FROM pg_attribute WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped"
            columns = [row["attname"] for row in await admin.fetch(named, table)]
            column = {"contacts": "id", "contact_words": "entry_id"}.get(table, "contact_id")
            chosen = words if table == "contact_words" else own
            taken = ", ".join(f"'{other.id}'::uuid" if name == "organization_id" else name for name in columns)
            path = self.folder / f"{table}.copy"
            query = f"SELECT {taken} FROM {table} WHERE organization_id = '{made.id}' AND {column} IN ({chosen})"
            await admin.copy_from_query(query, output=path)
            began = time.perf_counter()
            await admin.copy_to_table(table, source=path, columns=columns)
            seconds += time.perf_counter() - began
        keys = await admin.fetchval("SELECT count(*) FROM contact_keys WHERE organization_id = $1", other.id)
        await admin.close()
        return seconds, keys


async def measure(rows: int, *, million: bool) -> list[Run]:
    """Everything."""
    folder = Path(tempfile.mkdtemp(prefix="crm-imports-"))
    folder.chmod(0o755)
    bench = await asyncio.to_thread(Bench, folder)
    runs: list[Run] = []
    try:
        await bench.tune()
        database = await Database.open(bench.service_url, size=2)
        made = await make_organization(database, name="Import Fund", mode="live")
        other = await make_organization(database, name="Copy Fund", mode="live")
        for number, first in enumerate((0, rows)):
            path = folder / "people.csv"
            write_file(path, first, rows)
            import_id, run = await bench.run(database, made, path, number * rows)
            print(run, flush=True)
        seconds, keys = await bench.copy(made, import_id, other)
        measured = {"copy_seconds": round(seconds, 2), "ratio": round(run.seconds / seconds, 2), "key_rows": keys}
        run = Run(**{**asdict(run), **measured})
        runs.append(run)
        print(run, flush=True)
        if million:
            write_file(folder / "people.csv", 10 * rows, 1_000_000)
            _, run = await bench.run(database, made, folder / "people.csv", 2 * rows)
            runs.append(run)
            print(run, flush=True)
        await database.close()
    finally:
        await asyncio.to_thread(bench.embedded.stop_blocking)
        shutil.rmtree(folder, ignore_errors=True)
    return runs


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--million", action="store_true")
    parser.add_argument("--no-save", action="store_true")
    chosen = parser.parse_args()
    runs = asyncio.run(measure(chosen.rows, million=chosen.million))
    if not chosen.no_save:
        told = {"cores": os.cpu_count(), "runs": [asdict(run) for run in runs]}
        RESULTS.write_text(json.dumps(told, indent=2) + "\n")


if __name__ == "__main__":
    main()
