"""The embedded Postgres: creating the cluster, its settings, and when it is ready."""

from __future__ import annotations

import logging
import os
import shutil
from pathlib import Path

from crm_api.embedded.errors import EmbeddedError, disk_full, from_output, in_words
from crm_api.embedded.folder import DataFolder
from crm_api.embedded.identity import give_tree, server_folder, shared_file
from crm_api.embedded.places import Place
from crm_api.embedded.process import end_all, free_port, postgres_in, run
from crm_api.embedded.servers import POSTGRES_STOP, Server
from crm_api.embedded.wheels import PostgresVersion

log = logging.getLogger(__name__)

ADMIN, OWNER, DATABASE = "crm_admin", "crm_owner", "crm"
SPACE_NEEDED = 200 * 1024 * 1024

# Passwords for everyone, on both ways in; no line without one.
ACCESS = """\
local all all scram-sha-256
host all all 127.0.0.1/32 scram-sha-256
"""

SETTINGS: dict[str, str] = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_permissions": "0700",
    "password_encryption": "scram-sha-256",
    "max_connections": "200",
    "shared_buffers": "128MB",
    "effective_cache_size": "1GB",
    "work_mem": "8MB",
    "maintenance_work_mem": "64MB",
    "huge_pages": "off",
    "random_page_cost": "1.1",
    "jit": "off",
    "wal_compression": "on",
    "max_wal_size": "1GB",
    "checkpoint_timeout": "15min",
    "timezone": "UTC",
    "datestyle": "iso, ymd",
    "lc_messages": "C",
    "default_text_search_config": "pg_catalog.simple",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] %q%u@%d ",
    "log_checkpoints": "off",
    # Donors' data stays out of the log: no DETAIL lines (they quote key values), no text of failed statements.
    "log_error_verbosity": "terse",
    "log_min_error_statement": "panic",
}

# For tests: a crash of the machine may lose everything, a crash of Postgres loses nothing. So synchronous_commit stays
# on: without fsync it costs one write to the system's cache, and off, a killed Postgres loses acknowledged commits.
NOT_DURABLE: dict[str, str] = {
    "fsync": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "autovacuum_naptime": "10s",
}


class Postgres(Server):
    """The Postgres server: its cluster, its settings, its start."""

    name = "Postgres"
    stop_steps = POSTGRES_STOP

    def __init__(
        self, folder: DataFolder, place: Place, home: Path, *, version: PostgresVersion, durable: bool
    ) -> None:
        super().__init__(place.identity, folder.logs / "postgres.log")
        self.data, self.place, self.home = folder, place, home
        self.version, self.durable = version, durable

    def folder(self) -> Path:
        """Where its files are."""
        return self.place.path

    def new_port(self) -> None:
        self.data.state.postgres_port = free_port()

    def ensure_cluster(self) -> None:
        """Create the cluster if there is none; refuse one of another major version."""
        marker = self.place.cluster / "PG_VERSION"
        if not self.data.state.postgres_version:
            create_cluster(self)
        with in_words("read the database folder", marker):
            found = marker.read_text().strip()
        if found != self.version:
            raise EmbeddedError(
                f"The database in {self.data.path} was made by Postgres {found}, and Postgres {self.version} is to "
                f"run: start it with Postgres {found} and move the data with pg_dump, choose another "
                "data folder, or start with --fresh for an empty database."
            )

    def prepare(self) -> None:
        settings = SETTINGS | ({} if self.durable else NOT_DURABLE)
        settings["port"] = str(self.data.state.postgres_port)
        settings["hba_file"] = str(self.place.conf / "pg_hba.conf")
        settings["unix_socket_directories"] = str(self.sockets or "")
        if _small_shared_memory():
            settings["dynamic_shared_memory_type"] = "mmap"
        lines = [f"{name} = '{_quoted(value)}'\n" for name, value in settings.items()]
        shared_file(self.place.conf / "postgresql.conf", "".join(lines), self.identity)
        shared_file(self.place.conf / "pg_hba.conf", ACCESS, self.identity)
        # Children of a killed postmaster leave by themselves, but a busy one may take its time.
        end_all(postgres_in(self.place.cluster), POSTGRES_STOP[1:])
        self.place.drop_stale_pid_file()

    def command(self) -> list[str]:
        """The command line that starts it."""
        config = self.place.conf / "postgresql.conf"
        return [str(self.home / "bin" / "postgres"), "-D", str(self.place.cluster), "-c", f"config_file={config}"]

    def answers(self, pid: int) -> bool:
        try:
            lines = (self.place.cluster / "postmaster.pid").read_text().splitlines()
        except OSError:
            return False
        return len(lines) >= 8 and lines[0].strip() == str(pid) and lines[7].strip() == "ready"


def create_cluster(server: Postgres) -> None:
    """initdb, roles and database, made beside the final name so that a half-made cluster is never taken for one."""
    place, identity, state = server.place, server.identity, server.data.state
    if shutil.disk_usage(place.path).free < SPACE_NEEDED:
        raise disk_full(place.path)
    new = place.path / "postgres.new"
    with in_words("clear an unfinished database", new):
        for leftover in (new, place.cluster):
            if leftover.exists():
                shutil.rmtree(leftover)
    password = place.conf / "initdb-password"
    try:
        for locale in _locales(server.version):
            server_folder(new, identity, uid=identity.initdb_uid)
            shared_file(password, state.admin_password, identity)
            code, output = run(_initdb(server, new, password, locale), uid=identity.initdb_uid, gid=identity.gid)
            if code == 0 or "invalid locale" not in output:
                break
        _keep_log(server, output)
        if code != 0:
            raise from_output("initdb", output, folder=place.path, log=server.data.logs / "initdb.log")
        _create_roles(server, new)
        give_tree(new, identity)
        with in_words("put the database in its place", place.cluster):
            new.rename(place.cluster)
            state.postgres_version = server.version
            server.data.save()
    except BaseException:
        shutil.rmtree(new, ignore_errors=True)
        raise
    finally:
        password.unlink(missing_ok=True)
    log.info("created a Postgres %s database in %s", server.version, place.cluster)


def _locales(version: PostgresVersion) -> tuple[tuple[str, ...], ...]:
    """Sorting by code point, letters of all scripts known to lower() and upper(); the same on every system."""
    if version == "18":
        return (("--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"),)
    return (("--lc-collate=C", "--lc-ctype=C.UTF-8"), ("--locale=C",))  # 16 has no provider of its own


def _initdb(server: Postgres, target: Path, password: Path, locale: tuple[str, ...]) -> list[str]:
    options = [
        f"--pgdata={target}",
        f"--username={ADMIN}",
        f"--pwfile={password}",
        "--auth=scram-sha-256",
        "--encoding=UTF8",
        "--text-search-config=simple",
        "--no-instructions",
        *locale,
    ]
    return [str(server.home / "bin" / "initdb"), *options, *([] if server.durable else ["--no-sync"])]


def _create_roles(server: Postgres, cluster: Path) -> None:
    """In single-user mode: no server, no connection, no moment without passwords."""
    secret = server.data.state.owner_password
    statements = (
        f"CREATE ROLE {OWNER} LOGIN CREATEDB CREATEROLE PASSWORD '{secret}';",
        f"CREATE DATABASE {DATABASE} OWNER {OWNER};",
    )
    quiet = ["-c", "log_min_error_statement=panic", "-c", "log_checkpoints=off"]
    fast = [] if server.durable else ["-c", "fsync=off"]
    command = [str(server.home / "bin" / "postgres"), "--single", "-j", *quiet, *fast, "-D", str(cluster), "postgres"]
    identity = server.identity
    code, output = run(command, uid=identity.initdb_uid, gid=identity.gid, text="\n\n".join(statements) + "\n\n")
    _keep_log(server, output)
    if code != 0 or any(word in output for word in ("ERROR:", "FATAL:", "PANIC:")):
        raise from_output("Postgres", output, folder=cluster, log=server.data.logs / "initdb.log")


def _keep_log(server: Postgres, text: str) -> None:
    with (
        in_words("write the log", server.data.logs),
        open(os.open(server.data.logs / "initdb.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "a") as file,
    ):
        file.write(text)


def _quoted(value: str) -> str:
    return value.replace("\\", "\\\\").replace("'", "''")


def _small_shared_memory() -> bool:
    """Containers often have 64 MB of /dev/shm, too little for a parallel query."""
    try:
        info = os.statvfs("/dev/shm")  # noqa: S108
    except OSError:
        return False
    return info.f_blocks * info.f_frsize < 256 * 1024 * 1024
