"""`crm-api doctor`: what is wrong, in words."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from urllib.parse import urlsplit

import asyncpg

from crm_api.documents.storage import FileStore, FilesUnset
from crm_api.guard import trouble_of
from crm_api.kit.crypto import Vault
from crm_api.kit.db import Database
from crm_api.kit.problems import Unavailable
from crm_api.settings import Settings


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at."""

    what: str
    good: bool
    words: str


async def examine(settings: Settings) -> list[Finding]:
    """Look at everything an operator can get wrong."""
    findings = [_secrets(settings)]
    findings += await _database(settings)
    findings.append(await _redis(settings))
    findings.append(await _mail(settings))
    findings.append(await _files(settings))
    return findings


def _secrets(settings: Settings) -> Finding:
    name = "CRM_SECRET_KEYS"
    if not settings.secret_keys:
        return Finding(
            name,
            False,
            "not set, so no payment provider can be connected. Make one with: python -c "
            "'import base64,os;print(base64.urlsafe_b64encode(os.urandom(32)).decode())'",
        )
    try:
        Vault([key.get_secret_value() for key in settings.secret_keys])
    except ValueError as error:
        return Finding(name, False, str(error).partition(": ")[2])
    return Finding(name, True, f"{len(settings.secret_keys)} key(s)")


async def _database(settings: Settings) -> list[Finding]:
    name = "DATABASE_URL"
    if not settings.database_url:
        return [Finding(name, False, "not set; write postgresql://user:password@host/database, or run `crm-api dev`")]
    try:
        database = await Database.open(settings.database_url, size=1, name="crm-api doctor")
    except asyncpg.InvalidPasswordError:
        return [Finding(name, False, "the password is refused")]
    except asyncpg.InvalidCatalogNameError:
        return [Finding(name, False, "there is no such database; create it, then run `crm-api migrate`")]
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, ValueError) as error:
        return [Finding(name, False, f"cannot connect ({type(error).__name__}); check host, port, user and network")]
    try:
        return await _inside(database)
    finally:
        await database.close()


# A role that is not there is null here: both answers are.
_LIMITED = """
    SELECT pg_has_role(current_user, r.oid, 'SET') AS takes, pg_has_role(current_user, r.oid, 'USAGE') AS has
    FROM (SELECT 1) one LEFT JOIN pg_roles r ON r.rolname = 'crm_limited'
"""


def _limits(row: asyncpg.Record) -> Finding:
    """Whether callers that teams limit can be served, and nobody else is limited by mistake."""
    what = "limited role"
    if not row["takes"]:
        words = "the service cannot take the role crm_limited, so callers limited to teams fail; run `crm-api migrate`"
        return Finding(what, False, words)
    if row["has"]:
        words = "the service has the role crm_limited always, so nobody sees anything; grant it WITH INHERIT FALSE"
        return Finding(what, False, words)
    return Finding(what, True, "callers limited to teams are held by row-level security")


async def _inside(database: Database) -> list[Finding]:
    from crm_api.guard import _ROLE

    async with database.connection() as connection:
        version = int(await connection.fetchval("SHOW server_version_num")) // 10000
        role = await connection.fetchrow(_ROLE)
        migrated = await connection.fetchval("SELECT to_regclass('public.organizations') IS NOT NULL")
        limited = migrated and await connection.fetchrow(_LIMITED)
        granted = migrated and await connection.fetchval("SELECT has_table_privilege('organizations', 'SELECT')")
    findings = [Finding("DATABASE_URL", True, f"Postgres {version} answers")]
    if version < 16:
        findings.append(Finding("Postgres", False, f"version {version} is too old; 16 or newer is needed"))
    trouble = trouble_of(role)
    findings.append(
        Finding("service role", trouble is None, trouble or f"{role['name']} is held by row-level security")
    )
    if not migrated:
        findings.append(Finding("schema", False, "empty; run `crm-api migrate`"))
    else:
        words = "in place" if granted else "the service role may not read it; run `crm-api migrate`"
        findings.append(Finding("schema", bool(granted), words))
        findings.append(_limits(limited))
    return findings


async def _redis(settings: Settings) -> Finding:
    name = "REDIS_URL"
    if not settings.redis_url:
        return Finding(name, True, "not set: workers find work by looking every second instead of being rung")
    from redis.asyncio import Redis
    from redis.exceptions import RedisError

    client = Redis.from_url(settings.redis_url, socket_connect_timeout=3)
    try:
        await client.ping()
    except (RedisError, OSError, ValueError) as error:
        return Finding(name, False, f"does not answer ({type(error).__name__}); work goes on, but starts later")
    finally:
        await client.aclose()
    return Finding(name, True, "answers")


async def _files(settings: Settings) -> Finding:
    name = "CRM_FILES_URL"
    try:
        await FileStore(settings, Vault([])).probe()
    except FilesUnset as error:
        return Finding(name, False, str(error))
    except Unavailable:
        return Finding(
            name, False, "no file can be written, read and deleted there; check rights, region, endpoint and keys"
        )
    return Finding(name, True, "files can be written, read and deleted")


async def _mail(settings: Settings) -> Finding:
    name = "CRM_MAIL_URL"
    if not settings.mail_url:
        return Finding(name, False, "not set, so no letter can be sent; smtp+starttls://user:password@host:587")
    if settings.mail_directory is not None:
        good = settings.mail_directory.is_dir()
        return Finding(name, good, "letters are written as files" if good else "the folder does not exist")
    parts = urlsplit(settings.mail_url)
    try:
        async with asyncio.timeout(5):
            _, writer = await asyncio.open_connection(parts.hostname, parts.port or 25)
            writer.close()
    except (OSError, TimeoutError, ValueError) as error:
        return Finding(name, False, f"the mail server cannot be reached ({type(error).__name__})")
    return Finding(name, True, "the mail server answers")
