"""Monobank, LiqPay, WayForPay and Fondy for the tests: their APIs on a port of this machine, speaking the documented
protocols, and their deliveries."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

import httpx

from crm_api.kit.clock import from_unix
from crm_api.payments.provider import Account, Delivery
from crm_api.payments.providers import PROVIDERS
from crm_api.payments.providers.fondy import signature as fondy_signature
from crm_api.payments.providers.liqpay import signature as liqpay_signature
from crm_api.payments.providers.monobank import simulated_account
from crm_api.payments.providers.wayforpay import sign as wayforpay_signature
from tests.support.world import World

ACCOUNTS: dict[str, dict[str, str]] = {
    "monobank": simulated_account("tests"),
    "monobank_personal": {"secret": "a-secret-of-the-tests", "token": "uPersonal", "account": "jar_1"},
    "liqpay": {"public_key": "sandbox_i1", "private_key": "sandbox_key_of_the_tests"},
    "wayforpay": {
        "merchant_account": "tests_org",
        "secret_key": "wfp-key-of-the-tests",
        "merchant_domain": "tests.example.org",
        "merchant_password": "wfp-password-of-the-tests",
    },
    "fondy": {"merchant_id": "1700001", "secret_key": "fondy-key-of-the-tests"},
}
FAKED = ("monobank", "liqpay", "wayforpay", "wayforpay_pay", "fondy")


async def connect(world: World, provider: str, account: Account | None = None) -> str:
    """A connection of that provider; its id."""
    body = {"provider": provider, "name": provider, "credentials": dict(account or ACCOUNTS[provider])}
    return str((await world.post("/v1/payment-connections", body))["id"])


async def deliver(world: World, provider: str, connection: str, sent: Delivery, *, expect: int = 200) -> httpx.Response:
    """Deliver as the provider does, without a key of ours."""
    path = f"/v1/payments/webhooks/{provider}/{connection}" + (f"/{sent.tail}" if sent.tail else "")
    answer = await world.client.post(path, content=sent.body, headers={**sent.headers, "Authorization": ""})
    assert answer.status_code == expect, answer.text
    return answer


async def send(
    world: World, provider: str, connection: str, event: str, *, at: datetime, seed: str = "s", **changes: Any
) -> None:
    """Deliver a sample event with members changed, signed by the account of the tests."""
    sample = PROVIDERS[provider].sample(event, now=at, seed=seed) | changes
    await deliver(world, provider, connection, PROVIDERS[provider].signed(sample, ACCOUNTS[provider], now=at))


@dataclass
class FakeGateway:
    """All four APIs. What they know is put in by the test; what they were asked is kept."""

    public_key: str = field(default_factory=lambda: ACCOUNTS["monobank"]["public_key"])
    invoices: dict[str, dict[str, Any]] = field(default_factory=dict)
    statement: list[dict[str, Any]] = field(default_factory=list)
    personal: list[dict[str, Any]] = field(default_factory=list)
    payments: dict[str, dict[str, Any]] = field(default_factory=dict)
    """LiqPay's, WayForPay's and Fondy's, by our own id of the order."""
    plans: dict[str, dict[str, Any]] = field(default_factory=dict)
    trouble: list[int] = field(default_factory=list)
    """Status codes to answer the next requests with; 0 takes the request and hangs up."""
    asked: list[tuple[str, str, Any]] = field(default_factory=list)
    """Method, path with query, body as it was understood."""
    charge_as: dict[str, Any] = field(default_factory=lambda: {"status": "success"})
    port: int = 0

    @property
    def urls(self) -> dict[str, str]:
        """For the settings."""
        return dict.fromkeys(FAKED, f"http://127.0.0.1:{self.port}")

    def paths(self) -> list[str]:
        """What was asked, without queries."""
        return [urlsplit(target).path for _, target, _ in self.asked]

    def answer(self, method: str, target: str, headers: dict[str, str], body: bytes) -> tuple[int, Any]:
        """Status and JSON for one request."""
        path, query = urlsplit(target).path, parse_qs(urlsplit(target).query)
        if headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
            said: Any = dict(parse_qsl(body.decode()))
        else:
            said = json.loads(body) if body else None
        self.asked.append((method, target, said))
        if path.startswith("/api/merchant/"):
            return self._monobank(path, query, headers, said)
        if path.startswith("/personal/statement/"):
            account, begin, end = path.removeprefix("/personal/statement/").split("/")
            assert (account, headers["x-token"]) == ("jar_1", "uPersonal")
            rows = [row for row in self.personal if int(begin) <= row["time"] <= int(end)]
            return 200, sorted(rows, key=lambda row: -row["time"])[:500]
        match path:
            case "/api/request":
                return 200, self._liqpay(said)
            case "/api" | "/regularApi" | "/pay":
                return 200, self._wayforpay(path, query, said)
            case "/api/status/order_id" | "/api/checkout/url/":
                return 200, {"response": self._fondy(path, said["request"])}
        return 404, {}

    def _monobank(self, path: str, query: dict[str, list[str]], headers: dict[str, str], said: Any) -> tuple[int, Any]:
        if headers.get("x-token") not in (ACCOUNTS["monobank"]["token"], "uRealToken"):
            return 403, {"errCode": "FORBIDDEN", "errText": "invalid 'X-Token'"}
        match path.removeprefix("/api/merchant/"):
            case "pubkey":
                return 200, {"key": self.public_key}
            case "invoice/status":
                found = self.invoices.get(query["invoiceId"][0])
                return (200, found) if found else (404, {"errCode": "NOT_FOUND"})
            case "invoice/create":
                if said["amount"] < 100:
                    return 400, {"errCode": "BAD_REQUEST", "errText": "invalid 'amount'"}
                subject = self._made(said, "created")
                return 200, {"invoiceId": subject, "pageUrl": f"https://pay.mbnk.biz/{subject}"}
            case "wallet/payment":
                return 200, self.invoices[self._made(said, **self.charge_as)]
            case "statement":
                span = int(query["from"][0]), int(query["to"][0])
                assert span[1] - span[0] <= 31 * 86_400
                return 200, {"list": [row for row in self.statement if span[0] <= _unix(row["date"]) < span[1]]}
        return 404, {}

    def _made(self, said: dict[str, Any], status: str, **more: Any) -> str:
        """A new invoice; its id."""
        subject, now = f"p2_fake{len(self.invoices)}", "2026-05-04T10:00:00Z"
        invoice = {"invoiceId": subject, "status": status, "amount": said["amount"], "ccy": said["ccy"]}
        times = {"createdDate": now, "modifiedDate": now, "reference": said["merchantPaymInfo"]["reference"]}
        self.invoices[subject] = {**invoice, **times, **more}
        return subject

    def _liqpay(self, said: dict[str, str]) -> Any:
        assert said["signature"] == liqpay_signature(said["data"], ACCOUNTS["liqpay"])
        question = json.loads(base64.b64decode(said["data"]))
        assert question["public_key"] == ACCOUNTS["liqpay"]["public_key"]
        if question["action"] == "reports":
            span = range(question["date_from"], question["date_to"])
            return {"result": "success", "data": [one for one in self.payments.values() if one["create_date"] in span]}
        found = self.payments.get(question.get("order_id", ""))
        missing = {"result": "error", "status": "error", "err_code": "payment_not_found"}
        return {"result": "ok", **found} if found else missing

    def _wayforpay(self, path: str, query: dict[str, list[str]], said: dict[str, Any]) -> Any:
        account = ACCOUNTS["wayforpay"]
        if path == "/regularApi":
            assert said["merchantPassword"] == account["merchant_password"]
            return self.plans.get(said["orderReference"], {"reasonCode": 4102, "reason": "Rule Not Found"})
        if path == "/pay":
            names = ("merchantAccount", "merchantDomainName", "orderReference", "orderDate", "amount", "currency")
            signed = [said[name] for name in (*names, "productName[]", "productCount[]", "productPrice[]")]
            assert query == {"behavior": ["offline"]}
        elif said["transactionType"] == "CHECK_STATUS":
            signed = [said["merchantAccount"], said["orderReference"]]
        else:
            signed = [said["merchantAccount"], str(said["dateBegin"]), str(said["dateEnd"])]
        if said["merchantSignature"] != wayforpay_signature(account["secret_key"], signed):
            return {"reasonCode": 1113, "reason": "Invalid signature"}
        if path == "/pay":
            known = said["orderReference"] in self.payments
            page = {"url": f"https://secure.wayforpay.com/page?vkh={said['orderReference']}"}
            return {"reasonCode": 1112, "reason": "Duplicate Order ID"} if known else page
        if said["transactionType"] == "TRANSACTION_LIST":
            return {"reasonCode": 1100, "transactionList": list(self.payments.values())}
        return self.payments.get(said["orderReference"], {"reasonCode": 1127, "reason": "Order Not Found"})

    def _fondy(self, path: str, said: dict[str, Any]) -> Any:
        assert said["signature"] == fondy_signature(said, ACCOUNTS["fondy"]["secret_key"])
        if path == "/api/checkout/url/":
            if said["order_id"] in self.payments:
                return {"response_status": "failure", "error_code": 1013, "error_message": "Duplicate order_id"}
            page = f"https://pay.fondy.eu/merchants/x/default/index.html?token={said['order_id']}"
            return {"response_status": "success", "checkout_url": page, "payment_id": "805000001"}
        missing = {"response_status": "failure", "error_code": 1018, "error_message": "Order not found"}
        return self.payments.get(said["order_id"], missing)

    async def converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request per connection."""
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            first, *lines = head.strip().split("\r\n")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
            body = await reader.readexactly(int(headers.get("content-length", 0)))
            method, target, _ = first.split(" ")
            status, found = self.answer(method, target, headers, body)
            if self.trouble and (status := self.trouble.pop(0)) == 0:
                return
            content = json.dumps(found).encode()
            writer.write(
                f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {len(content)}\r\n"
                "Connection: close\r\n\r\n".encode()
                + content
            )
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    def client(self) -> httpx.AsyncClient:
        """A client of these APIs, for one conversation."""
        return httpx.AsyncClient(base_url=f"http://127.0.0.1:{self.port}", trust_env=False)


def _unix(printed: str) -> int:
    return int(datetime.fromisoformat(printed).timestamp())


def at(unix: int) -> datetime:
    """An instant."""
    return from_unix(unix)


@asynccontextmanager
async def fake_gateway() -> AsyncIterator[FakeGateway]:
    """The server, listening on a free port of this machine."""
    gateway = FakeGateway()
    server = await asyncio.start_server(gateway.converse, "127.0.0.1", 0)
    gateway.port = server.sockets[0].getsockname()[1]
    try:
        yield gateway
    finally:
        server.close()
        await server.wait_closed()
