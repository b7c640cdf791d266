"""A mail server that says what it is told to, and breaks off where it is told to."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field


@dataclass
class FakeSmtp:
    """Replies by the first word of a command; ``content`` is the reply to the finished letter.

    ``cut_at`` names the command (or ``BODY``: in the middle of the letter, ``DOT``: after its end) at which the
    connection is dropped without a word.
    """

    replies: dict[str, str] = field(default_factory=dict)
    extensions: list[str] = field(default_factory=lambda: ["SIZE 1000000", "8BITMIME"])
    cut_at: str | None = None
    silent_at: str | None = None
    port: int = 0
    commands: list[str] = field(default_factory=list)
    content: bytes | None = None
    connections: int = 0

    def reply(self, word: str) -> str:
        """What is said to one command."""
        usual = {
            "GREETING": "220 fake ESMTP",
            "EHLO": "250-fake\r\n" + "".join(f"250-{name}\r\n" for name in self.extensions) + "250 HELP",
            "DATA": "354 go on",
            "DOT": "250 2.0.0 OK",
            "QUIT": "221 bye",
            "AUTH": "235 2.7.0 welcome",
        }
        return self.replies.get(word, usual.get(word, "250 2.1.0 OK"))

    async def converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        self.connections += 1
        try:
            word = "GREETING"
            while True:
                if word == self.cut_at:
                    _reset(writer)
                    return
                if word == self.silent_at:
                    await asyncio.sleep(60)
                writer.write(self.reply(word).encode() + b"\r\n")
                await writer.drain()
                if word == "QUIT":
                    return
                if word == "DATA" and self.reply(word).startswith("354"):
                    if self.cut_at == "BODY":
                        await reader.read(1000)
                        _reset(writer)
                        return
                    self.content = (await reader.readuntil(b"\r\n.\r\n"))[:-3]
                    word = "DOT"
                    continue
                line = (await reader.readline()).decode()
                if not line:
                    return
                self.commands.append(line.strip())
                word = line.split(" ")[0].split(":")[0].strip().upper()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


def _reset(writer: asyncio.StreamWriter) -> None:
    """Drop the connection the rude way (RST), so nothing more is taken in."""
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


@asynccontextmanager
async def fake_smtp(server: FakeSmtp) -> AsyncIterator[FakeSmtp]:
    """The server, listening on a free port of this machine."""
    tasks: set[asyncio.Task[None]] = set()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(server.converse(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    listening = await asyncio.start_server(connected, "127.0.0.1", 0)
    server.port = listening.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listening.close()
        for task in tuple(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await listening.wait_closed()
