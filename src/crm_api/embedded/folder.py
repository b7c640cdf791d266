"""The data folder: who may use it, what it remembers, and where the servers' own files are.

    embedded.json   what we chose: versions, ports, passwords (0600)
    embedded.lock   held by the process that runs the servers
    logs/           postgres.log, valkey.log, initdb.log
    conf/           the servers' settings, written anew at each start
    postgres/ valkey/ run/   the servers' data and sockets

The last four are "the place". As root it lies elsewhere (`places.py`) when the servers' user cannot reach the folder.
"""

from __future__ import annotations

import json
import os
import secrets
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

from crm_api.embedded.errors import EmbeddedError, in_words
from crm_api.embedded.identity import Identity, shared_file
from crm_api.embedded.process import alive

STATE, LOCK = "embedded.json", "embedded.lock"
FORMAT = 1
PLACE_FOLDERS = ("postgres", "postgres.new", "valkey", "run", "conf")

_in_use: set[Path] = set()


def _password() -> str:
    return secrets.token_hex(24)


@dataclass
class State:
    """What is remembered between runs."""

    format: int = FORMAT
    postgres_version: str = ""  # empty until the cluster is complete
    postgres_port: int = 0
    valkey_port: int = 0
    place: str = ""  # empty: the data folder itself
    short_run: str = ""  # a socket folder under the temporary folder, when the usual path is too long
    admin_password: str = field(default_factory=_password, repr=False)
    owner_password: str = field(default_factory=_password, repr=False)
    valkey_password: str = field(default_factory=_password, repr=False)


class DataFolder:
    """A data folder this process holds. `close` lets others have it."""

    def __init__(self, wanted: Path) -> None:
        with in_words("use the data folder", wanted):
            self.path = wanted.expanduser().resolve()
        self._handle = -1
        self.state = State()
        self.first_start = False

    @property
    def logs(self) -> Path:
        """Where the servers' logs are."""
        return self.path / "logs"

    def open(self, *, fresh: bool) -> None:
        """Check, lock and read the folder; `fresh` forgets an unreadable state file."""
        self._check()
        with in_words("create the data folder", self.path):
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock()
        try:
            self._load(fresh=fresh)
            with in_words("create the log folder", self.logs):
                self.logs.mkdir(mode=0o700, exist_ok=True)
        except BaseException:
            self.close()
            raise

    def _check(self) -> None:
        """Refuse a folder that is not ours before touching anything in it."""
        with in_words("use the data folder", self.path):
            if not self.path.exists():
                return
            if not self.path.is_dir():
                raise EmbeddedError(f"{self.path} is a file, not a folder: choose another data folder.")
            owner = self.path.stat().st_uid
            if owner != os.geteuid():
                raise EmbeddedError(
                    f"The data folder {self.path} belongs to user id {owner}, and this runs as {os.geteuid()}: "
                    "start as that user, or choose another data folder."
                )
            entries = {entry.name for entry in self.path.iterdir()}
        if STATE not in entries and entries - {LOCK, STATE + ".new"}:
            raise EmbeddedError(
                f"The folder {self.path} already holds other files and was not made by crm-api: "
                "choose an empty or a new data folder."
            )

    def _lock(self) -> None:
        import fcntl

        if self.path in _in_use:
            raise self._busy(os.getpid())
        path = self.path / LOCK
        with in_words("lock the data folder", path):
            handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
            try:
                # A record lock: the system drops it when this very process ends, however it ends, and no forked
                # child inherits it. It does not exclude this process itself: that is what `_in_use` is for.
                fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except (BlockingIOError, PermissionError) as error:
                holder = os.pread(handle, 20, 0).decode().strip()
                os.close(handle)
                raise self._busy(int(holder) if holder.isdigit() else 0) from error
            except BaseException:
                os.close(handle)
                raise
            os.ftruncate(handle, 0)
            os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
        self._handle = handle
        _in_use.add(self.path)

    def _busy(self, pid: int) -> EmbeddedError:
        if pid and alive(pid):
            who = f"process {pid}" + (" (this one)" if pid == os.getpid() else "")
            return EmbeddedError(
                f"The data folder {self.path} is in use by {who}, which runs its database: "
                f"stop that process first, or choose another data folder."
            )
        return EmbeddedError(
            f"The data folder {self.path} is in use by another process, perhaps in another container: "
            "stop it first, or choose another data folder."
        )

    def _load(self, *, fresh: bool) -> None:
        path = self.path / STATE
        if not path.exists():
            self.first_start = True
            return self.save()
        known = {item.name for item in fields(State)}
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
            if values["format"] > FORMAT:
                raise EmbeddedError(
                    f"{path} was written by a newer crm-api: use that version, or choose another data folder."
                )
            self.state = State(**{name: value for name, value in values.items() if name in known})
        except (OSError, ValueError, TypeError, KeyError) as error:
            if not fresh:
                raise EmbeddedError(
                    f"{path}, which holds the database's passwords, cannot be read ({type(error).__name__}): restore "
                    "it from a backup, or start with --fresh, which deletes this data."
                ) from error
        return None

    def save(self) -> None:
        """Write the state file anew, whole."""
        shared_file(self.path / STATE, json.dumps(asdict(self.state), indent=2) + "\n", Identity())

    def forget(self) -> None:
        """New passwords and ports: the data they belonged to is gone."""
        self.state = State()
        self.save()

    def close(self) -> None:
        if self._handle >= 0:
            _in_use.discard(self.path)
            os.close(self._handle)
            self._handle = -1
