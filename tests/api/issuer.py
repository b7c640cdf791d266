"""A small OpenID Connect issuer on this machine: discovery, a key set that can be rotated, tokens of any kind."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, OKPKey, RSAKey

AUDIENCE = "crm-api"


class Issuer:
    """Signs tokens and publishes the keys to check them with."""

    def __init__(self) -> None:
        self.url = ""
        self.keys: list[Any] = [RSAKey.generate_key(2048, {"kid": "rsa-1"})]
        self.asked: list[str] = []
        self.broken = False

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        path = head.split(" ")[1]
        self.asked.append(path)
        documents: dict[str, Any] = {
            "/.well-known/openid-configuration": {"issuer": self.url, "jwks_uri": f"{self.url}/keys"},
            "/keys": KeySet(self.keys).as_dict(private=False),
        }
        status = "500 Broken" if self.broken or path not in documents else "200 OK"
        body = json.dumps(documents.get(path, {})).encode()
        writer.write(f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
                     "Connection: close\r\n\r\n".encode() + body)  # fmt: skip
        await writer.drain()
        writer.close()

    def claims(self, **changes: Any) -> dict[str, Any]:
        """Those of a valid token; a change to `...` leaves the claim out."""
        now = int(time.time())
        claims = {
            "iss": self.url, "aud": AUDIENCE, "sub": "subject-1", "iat": now, "exp": now + 600,
            "email": "olena@fund.example", "email_verified": True,
        }  # fmt: skip
        return {name: value for name, value in {**claims, **changes}.items() if value is not ...}

    def token(self, key: Any = None, *, header: dict[str, Any] | None = None, **changes: Any) -> str:
        """A signed token."""
        key = key or self.keys[-1]
        kind = {"RSA": "RS256", "EC": "ES256", "OKP": "Ed25519"}[key.key_type]
        made: str = jwt.encode({"alg": kind, "kid": key.kid, **(header or {})}, self.claims(**changes), key,
                               algorithms=["RS256", "ES256", "Ed25519", "RS512"])  # fmt: skip
        return made

    def rotate(self, kind: str = "RSA") -> None:
        """Another key, and only that one."""
        name = f"{kind.lower()}-{len(self.asked)}"
        makers: dict[str, Any] = {
            "RSA": lambda: RSAKey.generate_key(2048, {"kid": name}),
            "EC": lambda: ECKey.generate_key("P-256", {"kid": name}),
            "OKP": lambda: OKPKey.generate_key("Ed25519", {"kid": name}),
        }
        self.keys = [makers[kind]()]


@asynccontextmanager
async def run_issuer() -> AsyncIterator[Issuer]:
    """An issuer on a free port."""
    issuer = Issuer()
    server = await asyncio.start_server(issuer._serve, "127.0.0.1", 0)
    issuer.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server:
        yield issuer
