"""Letters as files: one ``<delivery id>.eml`` each, to be opened by any mail program. For development and demos."""

from __future__ import annotations

import asyncio
import errno
import os
from contextlib import suppress
from pathlib import Path

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
        self.mail_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        final = self.mail_dir / name
        if final.exists():
            return SendResult("sent", "already_written")
        temporary = self.mail_dir / f".{name}.{os.urandom(6).hex()}.tmp"
        try:
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
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
