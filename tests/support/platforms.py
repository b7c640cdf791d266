"""PayPal and Donorbox for the tests: their APIs on a port of this machine, speaking the documented protocols, and a
certificate authority of our own in the place of PayPal's."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID

from crm_api.payments.provider import Delivery
from crm_api.payments.providers.paypal.signature import read

CERT_PATH = "/v1/notifications/certs/CERT-of-the-tests"
CERT_URL = f"https://api.sandbox.paypal.com{CERT_PATH}"
NAME = "messageverificationcerts.sandbox.paypal.com"
PAYPAL = {"client_id": "client-of-the-tests", "client_secret": "client-secret", "webhook_id": "1TESTS0000000000A"}
DONORBOX = {"secret": "donorbox-secret", "login": "fund@example.org", "api_key": "donorbox-key"}
NOW = datetime(2026, 5, 4, 10, 0, tzinfo=UTC)
_KEYS: dict[str, rsa.RSAPrivateKey] = {}


def key(name: str) -> rsa.RSAPrivateKey:
    """A key of this run, by name."""
    if name not in _KEYS:
        _KEYS[name] = rsa.generate_private_key(65537, 2048)
    return _KEYS[name]


def certificate(
    subject: str,
    issuer: str = "",
    *,
    names: tuple[str, ...] = (),
    authority: bool = False,
    start: datetime = NOW - timedelta(days=30),
    end: datetime = NOW + timedelta(days=365),
) -> x509.Certificate:
    """A certificate signed by `issuer` (by itself, where none is named)."""

    def named(one: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, one)])

    builder = (
        x509.CertificateBuilder()
        .subject_name(named(subject))
        .issuer_name(named(issuer or subject))
        .public_key(key(subject).public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(end)
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(one) for one in names]), False)
    return builder.sign(key(issuer or subject), hashes.SHA256())


def pem(*certificates: x509.Certificate) -> bytes:
    """A file of certificates."""
    return b"".join(one.public_bytes(serialization.Encoding.PEM) for one in certificates)


def paypal_delivery(
    event: Any,
    *,
    at: datetime = NOW,
    webhook_id: str = PAYPAL["webhook_id"],
    signer: str = NAME,
    url: str = CERT_URL,
    headers: Mapping[str, str] | None = None,
) -> Delivery:
    """A delivery as PayPal makes it, signed with a key of the tests."""
    body = event if isinstance(event, bytes) else json.dumps(event).encode()
    sent = {
        "paypal-transmission-id": "f1c70001-a4c1-11f0-9f2a-0242ac120002",
        "paypal-transmission-time": at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "paypal-transmission-sig": "AAAA",
        "paypal-cert-url": CERT_URL,
        "paypal-auth-algo": "SHA256withRSA",
    }
    message = read(sent, at).signed_by(webhook_id, body)
    signature = key(signer).sign(message, padding.PKCS1v15(), hashes.SHA256())
    sent |= {"paypal-transmission-sig": base64.b64encode(signature).decode(), "paypal-cert-url": url, **(headers or {})}
    return Delivery(body, {"content-type": "application/json", **sent})


@dataclass
class FakePlatform:
    """The APIs and the certificates. What they know is put in by the test; what they were asked is kept."""

    certificates: dict[str, bytes] = field(default_factory=dict)
    objects: dict[str, dict[str, Any]] = field(default_factory=dict)
    """By the path they are read at."""
    verdicts: Callable[[dict[str, Any]], bool] = lambda question: True
    transactions: list[dict[str, Any]] = field(default_factory=list)
    donations: list[dict[str, Any]] = field(default_factory=list)
    trouble: list[int] = field(default_factory=list)
    """Status codes to answer the next requests with."""
    asked: list[tuple[str, str, dict[str, str], bytes]] = field(default_factory=list)
    tokens: int = 0
    expired: bool = False
    """The token that was given out last is no good any more."""
    port: int = 0

    @property
    def urls(self) -> dict[str, str]:
        """For the settings."""
        return dict.fromkeys(("paypal", "paypal_certs", "donorbox"), f"http://127.0.0.1:{self.port}")

    def paths(self) -> list[str]:
        """What was asked, without queries."""
        return [urlsplit(target).path for _, target, _, _ in self.asked]

    def answer(self, method: str, target: str, headers: dict[str, str], body: bytes) -> tuple[int, Any]:
        """Status and content for one request."""
        path, query = urlsplit(target).path, parse_qs(urlsplit(target).query)
        self.asked.append((method, target, headers, body))
        if self.trouble:
            return self.trouble.pop(0), {}
        if path in self.certificates:
            return 200, self.certificates[path]
        basic = headers.get("authorization", "").removeprefix("Basic ")
        who = base64.b64decode(basic).decode() if basic != headers.get("authorization") else ""
        if path == "/v1/oauth2/token":
            return self._token(who, body)
        if path == "/api/v1/donations":
            if who != f"{DONORBOX['login']}:{DONORBOX['api_key']}":
                return 401, {"error": "unauthorized"}
            size, page = int(query["per_page"][0]), int(query["page"][0])
            return 200, self.donations[(page - 1) * size : page * size]
        if headers.get("authorization") != f"Bearer token-{self.tokens}" or self.expired:
            return 401, {"error": "invalid_token"}
        return self._paypal(method, path, query, headers, body)

    def _token(self, who: str, body: bytes) -> tuple[int, Any]:
        if who != f"{PAYPAL['client_id']}:{PAYPAL['client_secret']}" or body != b"grant_type=client_credentials":
            return 401, {"error": "invalid_client"}
        self.tokens, self.expired = self.tokens + 1, False
        return 200, {"access_token": f"token-{self.tokens}", "expires_in": 32_400, "token_type": "Bearer"}

    def _paypal(
        self, method: str, path: str, query: dict[str, list[str]], headers: dict[str, str], body: bytes
    ) -> tuple[int, Any]:
        if path == "/v1/notifications/verify-webhook-signature":
            fits = self.verdicts({"raw": body, **json.loads(body)})
            return 200, {"verification_status": "SUCCESS" if fits else "FAILURE"}
        if path == "/v1/reporting/transactions":
            span = [datetime.fromisoformat(query[name][0]) for name in ("start_date", "end_date")]
            assert span[1] - span[0] <= timedelta(days=31)
            size, page = int(query["page_size"][0]), int(query["page"][0])
            rows = [row for row in self.transactions if span[0] <= _made(row) <= span[1]]
            pages = max(-(-len(rows) // size), 1)
            return 200, {"transaction_details": rows[(page - 1) * size : page * size], "total_pages": pages}
        if method == "POST" and path == "/v2/checkout/orders":
            return self._order(json.loads(body), headers["paypal-request-id"])
        if method == "POST" and path in {"/v1/catalogs/products", "/v1/billing/plans", "/v1/billing/subscriptions"}:
            return self._subscription(path, json.loads(body), headers["paypal-request-id"])
        if method == "POST" and path.endswith("/capture"):
            return self._captured(path.removesuffix("/capture"))
        found = self.objects.get(path)
        return (200, found) if found else (404, {"name": "RESOURCE_NOT_FOUND"})

    def _subscription(self, path: str, said: dict[str, Any], request_id: str) -> tuple[int, Any]:
        """What a subscription is made of; the same for the same request."""
        if path == "/v1/catalogs/products":
            if f"{path}/{said['id']}" in self.objects:
                issue = {"issue": "DUPLICATE_RESOURCE_IDENTIFIER"}
                return 422, {"name": "UNPROCESSABLE_ENTITY", "details": [issue]}
            name = said["id"]
        elif path == "/v1/billing/plans":
            if f"/v1/catalogs/products/{said['product_id']}" not in self.objects:
                return 404, {"name": "RESOURCE_NOT_FOUND"}
            name = f"P-{request_id.replace('-', '')[-14:].upper()}"
        elif f"/v1/billing/plans/{said['plan_id']}" not in self.objects:
            return 404, {"name": "RESOURCE_NOT_FOUND"}
        else:
            name = f"I-{request_id.replace('-', '')[-14:].upper()}"
        links = [{"rel": "approve", "href": f"https://www.sandbox.paypal.com/webapps/billing/subscriptions?ba={name}"}]
        made = {"status": "APPROVAL_PENDING", **said, "id": name, "links": links}
        return 201, self.objects.setdefault(f"{path}/{name}", made)

    def _order(self, said: dict[str, Any], request_id: str) -> tuple[int, Any]:
        (unit,) = said["purchase_units"]
        if unit["amount"]["value"] == "0.00":
            return 422, {"name": "UNPROCESSABLE_ENTITY", "details": [{"issue": "CANNOT_BE_ZERO_OR_NEGATIVE"}]}
        order_id = f"5O{request_id.replace('-', '')[-14:].upper()}"
        links = [{"rel": "payer-action", "href": f"https://www.sandbox.paypal.com/checkoutnow?token={order_id}"}]
        order = {**said, "id": order_id, "status": "PAYER_ACTION_REQUIRED", "links": links}
        self.objects.setdefault(f"/v2/checkout/orders/{order_id}", order)
        return 200, order

    def _captured(self, path: str) -> tuple[int, Any]:
        order = self.objects[path]
        if order["status"] == "COMPLETED":
            return 422, {"details": [{"issue": "ORDER_ALREADY_CAPTURED"}]}
        (unit,) = order["purchase_units"]
        capture = {
            "id": f"3C{order['id'][2:]}",
            "status": "COMPLETED",
            "amount": unit["amount"],
            "custom_id": unit.get("custom_id"),
            "create_time": "2026-05-04T10:00:00Z",
            "update_time": "2026-05-04T10:00:00Z",
        }
        payer = {
            "email_address": "payer@example.org",
            "name": {"given_name": "Ada", "surname": "Byron"},
            "payer_id": "PP1",
        }
        done = {**order, "status": "COMPLETED", "payer": payer}
        done["purchase_units"] = [{**unit, "payments": {"captures": [capture]}}]
        self.objects[path] = done
        return 201, done

    async def converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request per connection."""
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            first, *lines = head.strip().split("\r\n")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
            sent = await reader.readexactly(int(headers.get("content-length", 0)))
            method, target, _ = first.split(" ")
            status, found = self.answer(method, target, headers, sent)
            body = found if isinstance(found, bytes) else json.dumps(found).encode()
            place = "Location: http://127.0.0.1:1/\r\n" if 300 <= status < 400 else ""
            writer.write(
                f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\n{place}"
                "Date: Mon, 04 May 2026 10:00:00 GMT\r\nConnection: close\r\n\r\n".encode()
                + body
            )
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


def _made(row: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(row["transaction_info"]["transaction_initiation_date"])


@asynccontextmanager
async def fake_platform() -> AsyncIterator[FakePlatform]:
    """The server, listening on a free port of this machine, with PayPal's certificate as the tests have it."""
    platform = FakePlatform()
    platform.certificates[CERT_PATH] = pem(certificate(NAME, "Authority of the tests", names=(NAME,)))
    server = await asyncio.start_server(platform.converse, "127.0.0.1", 0)
    platform.port = server.sockets[0].getsockname()[1]
    try:
        yield platform
    finally:
        server.close()
        await server.wait_closed()


def authority_file(folder: Path) -> str:
    """The file that names our authority as the one to trust."""
    file = folder / "authority.pem"
    file.write_bytes(pem(certificate("Authority of the tests", authority=True)))
    return str(file)
