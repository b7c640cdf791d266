"""The embedded Valkey.

Nothing is kept on disk: here it is a doorbell and a cache. The queue of record is Postgres, and a worker's sweep finds
whatever a lost bell would have announced, so persistence would only add disk writes and bells for work long done.
"""

from __future__ import annotations

import socket
from pathlib import Path

from crm_api.embedded.folder import DataFolder
from crm_api.embedded.identity import shared_file
from crm_api.embedded.places import Place
from crm_api.embedded.process import free_port
from crm_api.embedded.servers import VALKEY_STOP, Server


class Valkey(Server):
    """The Valkey server: its settings, its start."""

    name = "Valkey"
    stop_steps = VALKEY_STOP

    def __init__(self, folder: DataFolder, place: Place, program: Path) -> None:
        super().__init__(place.identity, folder.logs / "valkey.log")
        self.data, self.place, self.program = folder, place, program

    def folder(self) -> Path:
        """Where its files are."""
        return self.place.path

    @property
    def socket_path(self) -> Path | None:
        """Its unix socket, where there is a folder for one."""
        return self.sockets / "valkey.sock" if self.sockets else None

    def new_port(self) -> None:
        self.data.state.valkey_port = free_port()

    def prepare(self) -> None:
        settings = {
            "bind": "127.0.0.1",
            "port": str(self.data.state.valkey_port),
            "protected-mode": "yes",
            "requirepass": self.data.state.valkey_password,
            "dir": str(self.place.valkey),
            "pidfile": str(self.place.valkey / "valkey.pid"),
            "daemonize": "no",
            "set-proc-title": "no",  # keeps the settings' path in the command line: how an orphan is known as ours
            "always-show-logo": "no",
            "appendonly": "no",
            "maxmemory": "64mb",
            "maxmemory-policy": "noeviction",  # full means an error to the caller, never a silently lost bell
            "maxclients": "1000",
        }
        if self.socket_path:
            settings |= {"unixsocket": str(self.socket_path), "unixsocketperm": "700"}
        lines = [f"{name} {_quoted(value)}\n" for name, value in settings.items()]
        shared_file(self.place.conf / "valkey.conf", "".join(lines) + 'save ""\n', self.identity)

    def command(self) -> list[str]:
        """The command line that starts it."""
        return [str(self.program), str(self.place.conf / "valkey.conf")]

    def answers(self, pid: int) -> bool:
        """Our password is accepted, so it is our server and not another that took the port."""
        state = self.data.state
        try:
            with socket.create_connection(("127.0.0.1", state.valkey_port), timeout=0.5) as link:
                link.sendall(f"AUTH {state.valkey_password}\r\nPING\r\nQUIT\r\n".encode())
                answer = b""
                while chunk := link.recv(256):
                    answer += chunk
        except OSError:
            return False
        return answer.startswith(b"+OK\r\n+PONG\r\n")


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
