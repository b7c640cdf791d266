"""Where the servers' own files lie: in the data folder, or, when root's servers cannot reach that, in a folder of ours.

Postgres runs as another user than root, so a data folder under /root or a private temporary folder is out of its
reach. Nothing there is loosened: the files then live under the system's state folder and `embedded.json` points to
them. `--fresh` removes such a folder; those of test runs (durable=False) go once their data folder is gone.
"""

from __future__ import annotations

import logging
import os
import secrets
import shutil
import tempfile
from pathlib import Path

from crm_api.embedded.errors import EmbeddedError, in_words
from crm_api.embedded.folder import PLACE_FOLDERS, STATE, DataFolder
from crm_api.embedded.identity import Identity, reachable, server_folder, shared_file, shared_folder
from crm_api.embedded.process import command_line, end_all, postgres_in
from crm_api.embedded.servers import POSTGRES_STOP, VALKEY_STOP
from crm_api.embedded.wheels import state_folder

log = logging.getLogger(__name__)

SOCKET_PATH_LIMIT = 100  # Linux allows 107 bytes, macOS 103
LONGEST_SOCKET_NAME = len("/.s.PGSQL.65535")


class Place:
    """The folder with postgres/, valkey/, run/ and conf/, held while in use."""

    def __init__(self, path: Path, identity: Identity) -> None:
        self.path = path
        self.identity = identity
        self._handle = -1

    @property
    def cluster(self) -> Path:
        """The Postgres data directory."""
        return self.path / "postgres"

    @property
    def valkey(self) -> Path:
        """Valkey's working directory."""
        return self.path / "valkey"

    @property
    def conf(self) -> Path:
        """Where both servers' settings are."""
        return self.path / "conf"

    def prepare(self) -> None:
        shared_folder(self.path, self.identity)
        shared_folder(self.conf, self.identity)
        server_folder(self.valkey, self.identity)

    def hold(self, folder: DataFolder) -> None:
        """Mark a place outside its data folder as used by it."""
        if not self.try_hold():
            raise EmbeddedError(
                f"The database files of {folder.path} at {self.path} are in use through a copy of this data folder: "
                "stop the other process, or choose another data folder."
            )
        shared_file(self.path / "origin", f"{_kind(self.path)}\n{folder.path}\n", Identity())

    def try_hold(self) -> bool:
        """Take the folder for this process; whether nobody else holds it."""
        import fcntl

        with in_words("lock the database folder", self.path):
            handle = os.open(self.path / "held", os.O_RDWR | os.O_CREAT, 0o600)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(handle)
                return False
        self._handle = handle
        return True

    def release(self) -> None:
        """Let the folder go."""
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1

    def end_orphans(self) -> None:
        """End servers that an earlier process left behind (it was killed), and their stale pid files."""
        postmaster = self.cluster / "postmaster.pid"
        pids = postgres_in(self.cluster) | _named_in(postmaster, str(self.cluster))
        if pids:
            log.warning("ending the Postgres an earlier process left behind: %s", sorted(pids))
            # The oldest is the postmaster; asked first, it ends the others in order.
            first = _named_in(postmaster, str(self.cluster)) or pids
            end_all(first, POSTGRES_STOP)
            end_all(postgres_in(self.cluster), ())
        self.drop_stale_pid_file()
        pids = _named_in(self.valkey / "valkey.pid", str(self.conf))
        if pids:
            log.warning("ending the Valkey an earlier process left behind: %s", sorted(pids))
            end_all(pids, VALKEY_STOP)

    def drop_stale_pid_file(self) -> None:
        """Once no process of the cluster is left, whatever else may have been given its process id meanwhile.

        Only where we can be sure (Linux); elsewhere Postgres judges the file itself.
        """
        if Path("/proc/self").exists():
            with in_words("remove a stale file", self.cluster):
                (self.cluster / "postmaster.pid").unlink(missing_ok=True)

    def remove(self) -> None:
        """Delete what the servers have written here."""
        self.end_orphans()
        for name in PLACE_FOLDERS:
            _remove_tree(self.path / name)

    def socket_folder(self, folder: DataFolder) -> Path | None:
        """A private folder for unix sockets with a short, plain path; None if there is none (TCP still works)."""
        self._remove_short_run(folder.state.short_run)
        folder.state.short_run = ""
        usual = self.path / "run"
        _remove_tree(usual)
        if _fit_for_sockets(usual):
            return server_folder(usual, self.identity)
        for parent in dict.fromkeys((Path(tempfile.gettempdir()), Path("/tmp"))):  # noqa: S108
            example = parent / "crm-api-12345678"
            if parent.is_dir() and _fit_for_sockets(example) and reachable(parent, self.identity):
                with in_words("create a folder for sockets", parent):
                    made = Path(tempfile.mkdtemp(prefix="crm-api-", dir=parent))
                folder.state.short_run = str(made)
                folder.save()
                return server_folder(made, self.identity)
        return None

    def drop_socket_folder(self, folder: DataFolder) -> None:
        """Remove the short socket folder, if there is one."""
        if folder.state.short_run:
            self._remove_short_run(folder.state.short_run)
            folder.state.short_run = ""
            folder.save()

    def _remove_short_run(self, path: str) -> None:
        """Only if it is still the one we made: names under the temporary folder are used again."""
        owner = self.identity.uid if self.identity.dropped else os.geteuid()
        if path and os.path.lexists(path) and os.lstat(path).st_uid == owner:
            _remove_tree(Path(path))


def _fit_for_sockets(folder: Path) -> bool:
    plain = all(letter.isascii() and (letter.isalnum() or letter in "/._-") for letter in str(folder))
    return plain and len(str(folder)) + LONGEST_SOCKET_NAME <= SOCKET_PATH_LIMIT


def _remove_tree(path: Path) -> None:
    with in_words("delete the folder", path):
        if path.is_symlink():
            path.unlink()
        elif path.exists():
            shutil.rmtree(path)


def _named_in(pid_file: Path, mark: str) -> set[int]:
    """The process a pid file names, if it really is that server (ids are used again)."""
    try:
        pid = int(pid_file.read_text().split("\n", 1)[0])
    except (OSError, ValueError):
        return set()
    return {pid} if pid > 1 and mark in command_line(pid) else set()


def settle(folder: DataFolder, identity: Identity, *, fresh: bool, durable: bool) -> Place:
    """Decide where this data folder's server files are, clear what must go, and end orphans."""
    if identity.dropped:
        _tidy(folder)
    place = _known_place(folder, identity)
    try:
        if fresh:
            place.remove()
            if place.path != folder.path:
                _remove_tree(place.path)
            place.release()
            folder.forget()
            place = _known_place(folder, identity)
        if not (folder.state.place or folder.state.postgres_version or reachable(folder.path.parent, identity)):
            place = Place(_new_place(folder, durable=durable), identity)
            place.hold(folder)
        if not reachable(place.path.parent, identity):
            raise EmbeddedError(
                f"The folders above {folder.path} have become private, so the database's own user cannot reach its "
                "files any more: let others enter them again (chmod o+x), or choose another data folder."
            )
        place.end_orphans()
        if folder.state.postgres_version and not (place.cluster / "PG_VERSION").exists():
            raise _gone(folder, place)
        place.prepare()
    except BaseException:
        place.release()
        raise
    return place


def _known_place(folder: DataFolder, identity: Identity) -> Place:
    if not folder.state.place:
        return Place(folder.path, identity)
    place = Place(Path(folder.state.place), identity)
    if place.path.is_dir():
        place.hold(folder)
    return place


def _gone(folder: DataFolder, place: Place) -> EmbeddedError:
    return EmbeddedError(
        f"The database files of {folder.path} are gone from {place.cluster}: bring them back from a backup, or start "
        "with --fresh for an empty database."
    )


def _places() -> Path:
    top = state_folder() / "clusters"
    with in_words("create the folder for databases", top):
        top.mkdir(mode=0o711, exist_ok=True)
        top.chmod(0o711)
    return top


def _new_place(folder: DataFolder, *, durable: bool) -> Path:
    path = _places() / secrets.token_hex(4)
    with in_words("create the folder for the database", path):
        path.mkdir(mode=0o700)
    shared_file(path / "origin", f"{'durable' if durable else 'passing'}\n{folder.path}\n", Identity())
    folder.state.place = str(path)
    folder.save()
    log.info("root's database user cannot reach %s, so the database files are in %s", folder.path, path)
    return path


def _kind(path: Path) -> str:
    """'durable' or 'passing' (started with durable=False)."""
    try:
        return (path / "origin").read_text(encoding="utf-8").split("\n", 1)[0]
    except OSError:
        return "durable"


def _tidy(folder: DataFolder) -> None:
    """Remove places of tests whose data folder is gone. Durable ones stay: their data folder may have been moved."""
    for path in _places().iterdir():
        try:
            kind, _, origin = (path / "origin").read_text(encoding="utf-8").rstrip("\n").partition("\n")
        except OSError:
            continue
        left = str(path) != folder.state.place and (Path(origin) == folder.path or not Path(origin, STATE).exists())
        if not left:
            continue
        if kind == "durable":
            log.warning("%s holds the database of the former data folder %s; delete it if not wanted", path, origin)
            continue
        place = Place(path, Identity())
        if place.try_hold():
            try:
                place.end_orphans()
                _remove_tree(path)
            finally:
                place.release()
