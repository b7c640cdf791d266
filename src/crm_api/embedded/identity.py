"""Which system user the servers run as.

An ordinary user runs them as itself. Postgres refuses root, so as root the servers get a user id of their own: a fixed
number from the range systemd documents as unused (60578 to 61183), which needs no `useradd` and is shared with nobody.
initdb alone insists on a user that has a name; it runs as `nobody` inside a folder only our group can reach.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from crm_api.embedded.errors import OWN_SERVICES, EmbeddedError, in_words

PRIVATE_ID = 60917


@dataclass(frozen=True)
class Identity:
    """User ids for the servers; -1 means: the user we are."""

    uid: int = -1
    gid: int = -1
    initdb_uid: int = -1

    @property
    def dropped(self) -> bool:
        """Whether the servers run as another user than we do."""
        return self.uid >= 0


def server_identity() -> Identity:
    """The user to run the servers as."""
    if os.geteuid() != 0:
        return Identity()
    if not (_mapped("uid_map", PRIVATE_ID) and _mapped("gid_map", PRIVATE_ID)):
        raise EmbeddedError(
            "Postgres refuses to run as root, and this container has no other user id to switch to: "
            f"start as an ordinary user, or {OWN_SERVICES}."
        )
    if missing := _missing_capabilities():
        raise EmbeddedError(
            "Postgres refuses to run as root, and this root may not act for another user (the container lacks "
            f"{', '.join(missing)}): start as an ordinary user, or {OWN_SERVICES}."
        )
    return Identity(PRIVATE_ID, PRIVATE_ID, _named_uid())


def _missing_capabilities() -> list[str]:
    needed = {"CAP_CHOWN": 0, "CAP_DAC_OVERRIDE": 1, "CAP_FOWNER": 3, "CAP_KILL": 5, "CAP_SETGID": 6, "CAP_SETUID": 7}
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return []
    effective = int(status.partition("CapEff:")[2].split(maxsplit=1)[0], 16)
    return [name for name, bit in needed.items() if not effective >> bit & 1]


def _named_uid() -> int:
    import pwd

    users = sorted(pwd.getpwall(), key=lambda user: (user.pw_name != "nobody", -user.pw_uid))
    for user in users:
        if user.pw_uid > 0 and _mapped("uid_map", user.pw_uid):
            return user.pw_uid
    raise EmbeddedError(
        "Postgres refuses to run as root, and /etc/passwd names no other user (such as nobody) to create the "
        f"database as: start as an ordinary user, or {OWN_SERVICES}."
    )


def _mapped(which: str, wanted: int) -> bool:
    """Whether the id exists in this user namespace (rootless containers have few)."""
    try:
        rows = Path("/proc/self", which).read_text().split("\n")
    except OSError:
        return True
    for row in rows:
        numbers = [int(part) for part in row.split()]
        if len(numbers) == 3 and numbers[0] <= wanted < numbers[0] + numbers[2]:
            return True
    return False


def reachable(folder: Path, identity: Identity) -> bool:
    """Whether the servers' user can walk down to the folder. Nothing is loosened to make it so."""
    if not identity.dropped:
        return True
    for step in (folder, *folder.parents):
        try:
            info = step.stat()
        except FileNotFoundError:
            continue
        except OSError:
            return False
        in_group = info.st_gid == identity.gid and info.st_mode & stat.S_IXGRP
        if not (info.st_mode & stat.S_IXOTH or in_group):
            return False
    return True


def shared_folder(path: Path, identity: Identity) -> Path:
    """A folder we own; the servers may pass through it and read files meant for them, no one else may."""
    with in_words("prepare the folder", path):
        path.mkdir(mode=0o700, exist_ok=True)
        if identity.dropped:
            os.chown(path, 0, identity.gid)
        path.chmod(0o710 if identity.dropped else 0o700)
    if stat.S_IMODE(path.stat().st_mode) & 0o007:
        raise EmbeddedError(
            f"The file system of {path} does not keep permissions (a Windows or network drive?), so a database there "
            "would be open to others: choose a data folder on a local Linux or macOS disk."
        )
    return path


def server_folder(path: Path, identity: Identity, *, uid: int | None = None) -> Path:
    """A folder (0700) that belongs to the servers' user."""
    with in_words("prepare the folder", path):
        path.mkdir(mode=0o700, exist_ok=True)
        path.chmod(0o700)
        if identity.dropped:
            os.chown(path, identity.uid if uid is None else uid, identity.gid)
    return path


def shared_file(path: Path, text: str, identity: Identity) -> Path:
    """A file of ours that the servers may read and not change, replaced in one step."""
    fresh = path.with_name(path.name + ".new")
    with in_words("write the file", path):
        fresh.unlink(missing_ok=True)
        handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(handle, "w", encoding="utf-8") as file:
            file.write(text)
            if identity.dropped:
                os.fchown(handle, 0, identity.gid)
                os.fchmod(handle, 0o640)
        fresh.replace(path)
    return path


def give_tree(top: Path, identity: Identity) -> None:
    """Hand a folder that initdb made to the servers' user."""
    if not identity.dropped:
        return
    with in_words("hand over the database folder", top):
        os.chown(top, identity.uid, identity.gid)
        for folder, folders, files in os.walk(top):
            for name in (*folders, *files):
                os.chown(os.path.join(folder, name), identity.uid, identity.gid, follow_symlinks=False)
