"""Bringing a database to this version's schema, and the service's login into being."""

from __future__ import annotations

import asyncio
import importlib.util
import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

import asyncpg

_REVISION = re.compile(r"^(revision|down_revision)\b[^=\n]*= *[\"']([^\"']+)[\"']", re.MULTILINE)


class MigrationTrouble(Exception):
    """What is wrong with the database or its roles, in words."""


def migrations_folder() -> Path:
    """Where the migrations are: beside the source in a checkout, inside the package when installed."""
    package = Path(__file__).parent
    for folder in (package / "_migrations", package.parent.parent / "migrations"):
        if (folder / "env.py").exists():
            return folder
    raise MigrationTrouble("The migrations are missing from this installation; install crm-api anew.")


def _config(owner_url: str) -> object:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(migrations_folder()))
    config.set_main_option("path_separator", "os")
    config.set_main_option("prepend_sys_path", str(migrations_folder()))
    config.set_main_option("sqlalchemy.url", async_url(owner_url).replace("%", "%%"))
    return config


def async_url(url: str) -> str:
    """The URL as SQLAlchemy's asyncpg dialect takes it."""
    scheme, separator, rest = url.partition("://")
    if not separator or not scheme.startswith("postgres"):
        raise MigrationTrouble("MIGRATION_DATABASE_URL must look like postgresql://owner:password@host/database.")
    return f"postgresql+asyncpg://{rest}"


def upgrade(owner_url: str) -> None:
    """Run every migration that is not there yet."""
    from alembic import command

    if importlib.util.find_spec("greenlet") is None:
        raise MigrationTrouble("The package greenlet is missing; install the locked requirements.")
    command.upgrade(_config(owner_url), "head")  # type: ignore[arg-type]


def check(owner_url: str) -> None:
    """Raise when the models and the migrations differ."""
    from alembic import command

    command.check(_config(owner_url))  # type: ignore[arg-type]


async def ensure_service_login(owner_url: str, service_url: str) -> None:
    """Create the login that `DATABASE_URL` names, unless it is there, and give it the service's privileges."""
    parts = urlsplit(service_url)
    name, password = unquote(parts.username or ""), unquote(parts.password or "")
    if not name:
        raise MigrationTrouble("DATABASE_URL names no user; write postgresql://user:password@host/database.")
    owner = await asyncpg.connect(owner_url)
    try:
        role = await owner.fetchrow("SELECT rolsuper, rolbypassrls FROM pg_roles WHERE rolname = $1", name)
        if role is None:
            await owner.execute(
                await owner.fetchval(
                    "SELECT format('CREATE ROLE %I LOGIN PASSWORD %L', $1::text, $2::text)", name, password
                )
            )
        elif role["rolsuper"] or role["rolbypassrls"]:
            raise MigrationTrouble(
                f"The role {name} in DATABASE_URL bypasses row-level security. "
                "Use a role of its own for the service, neither superuser nor BYPASSRLS."
            )
        await owner.execute(await owner.fetchval("SELECT format('GRANT crm_service TO %I', $1::text)", name))
    finally:
        await owner.close()


def newest_revision() -> str | None:
    """The revision all others lead to, read from the files without importing Alembic; nothing if that is not plain."""
    revisions, parents = set(), set()
    for file in (migrations_folder() / "versions").glob("*.py"):
        said = dict(_REVISION.findall(file.read_text(encoding="utf-8")))
        revisions.add(said.get("revision"))
        parents.add(said.get("down_revision"))
    heads = revisions - parents
    return heads.pop() if len(heads) == 1 else None


async def _is_newest(owner_url: str) -> bool:
    newest = newest_revision()
    owner = await asyncpg.connect(owner_url)
    try:
        if await owner.fetchval("SELECT to_regclass('alembic_version')") is None:
            return False
        found = [row[0] for row in await owner.fetch("SELECT version_num FROM alembic_version")]
    finally:
        await owner.close()
    return newest is not None and found == [newest]


def migrate(owner_url: str, service_url: str) -> None:
    """Everything `crm-api migrate` does. Safe to run again at any time, and by several hosts at once."""
    async_url(owner_url)
    from crm_api.row_limits import apply

    if not asyncio.run(_is_newest(owner_url)):
        upgrade(owner_url)
    asyncio.run(apply(owner_url))
    asyncio.run(ensure_service_login(owner_url, service_url))
