"""Letters as files: one ``<delivery id>.eml`` each, to be opened by any mail program. For development and demos."""

from __future__ import annotations

import asyncio
import errno
import os
from contextlib import suppress
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

from crm_api.communications.channels.channel import OutgoingEmail, SendResult
from crm_api.communications.channels.mime import build_mail
from crm_api.communications.channels.replies import refused_before_sending

_DISK_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EMFILE, errno.ENFILE})


class EmlChannel:
    """Writes every letter once. A file is complete from the moment it can be seen, and survives a power cut."""

    def __init__(self, mail_dir: str | os.PathLike[str]) -> None:
        self.mail_dir = Path(mail_dir)

    async def send(self, message: OutgoingEmail) -> SendResult:
        """Write the file; ``sent`` also if it is already there."""
        try:
            content = build_mail(message).content
        except ValueError as error:
            return refused_before_sending(error)
        try:
            return await asyncio.to_thread(self._write, f"{message.delivery_id}.eml", content)
        except OSError as error:
            if error.errno in _DISK_FULL:
                return SendResult("retry", "disk_full", "The file could not be written; the disk may be full.")
            return SendResult("misconfigured", "mail_dir", "The folder for letters cannot be written to.")

    def _write(self, name: str, content: bytes) -> SendResult:
        """One unfinished file per letter, under a lock that ends with its process: what a killed one left is written
        over, and two writers of the same letter come one after the other."""
        self.mail_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        final, temporary = self.mail_dir / name, self.mail_dir / f".{name}.tmp"
        if final.exists():
            return SendResult("sent", "already_written")
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT, 0o600), "wb") as file:
            if fcntl is not None:
                fcntl.flock(file, fcntl.LOCK_EX)
            try:
                if final.exists():
                    temporary.unlink(missing_ok=True)
                    return SendResult("sent", "already_written")
                file.truncate()
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
                temporary.replace(final)
            except BaseException:
                with suppress(OSError):
                    temporary.unlink(missing_ok=True)
                raise
        self._sync_folder()
        return SendResult("sent", "written")

    def _sync_folder(self) -> None:
        """Make the new name durable; a system that cannot open folders (Windows) does it in its own way."""
        with suppress(OSError):
            descriptor = os.open(self.mail_dir, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
