"""A unique word in every text that people or providers send; none of them in any log line, problem or metric."""

from __future__ import annotations

import copy
import json
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import structlog

from crm_api.scoring import service as scoring_service
from tests.api.surface import FIXTURES, Operation, Planted, leaves, operations, plant, replaced, send
from tests.support.world import World

WORD = "zqprivate"


class Words:
    """Makes them, each once."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> str:
        self.count += 1
        return f"{WORD}{self.count}"

    def fits(self, name: str, value: str) -> str:
        """A text of the same kind with such a word in it."""
        word = self()
        if name in {"address", "email", "reply_email"} or "@" in value:
            return f"{word}@example.org"
        if name == "webhook_secret":
            return f"whsec_{word}"
        if name == "website" or value.startswith("http"):
            return f"https://example.org/{word}"
        return word


_UUID = re.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_CLOSED = {
    "at", "due_on", "due_at", "remind_at", "priority", "direction",
    "mapping", "purpose", "roles", "kind", "role", "status", "method", "channel", "language", "currency", "country", "number", "timezone", "rate",
    "rate_date", "source_currency", "target_currency", "scopes", "outcome", "provider", "expires_at", "received_at",
    "through", "arrived_on", "account", "type", "resource", "sensitivity", "since", "until", "starts_on", "ends_on", "expires_on", "from", "fields", "sent_on", "expected_on", "now", "refunded_at", "legal_basis",
}  # fmt: skip
"""Members that take no free text."""


def _marked(body: Any, words: Words) -> Any:
    result = copy.deepcopy(body)
    for at, value in leaves(body):
        named = [step for step in at if isinstance(step, str)]
        free = isinstance(value, str) and not {*named} & _CLOSED and not _UUID.fullmatch(value)
        if free:
            result = replaced(result, at, words.fits(named[-1], value))
    return result


@contextmanager
def listening(caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> Iterator[list[str]]:
    """Every log line of the block, of ours and of libraries at their most talkative, and whatever was printed; there
    once the block has ended."""
    lines: list[str] = []
    for name in ("httpx", "httpcore"):  # the client's own
        caplog.set_level(logging.WARNING, name)
    with structlog.testing.capture_logs() as entries, caplog.at_level(logging.DEBUG):
        yield lines
    lines += [repr(entry) for entry in entries]
    lines += [record.getMessage() + repr(record.exc_info) for record in caplog.records]
    lines += "".join(capfd.readouterr()).splitlines()


def _nothing_personal(lines: list[str]) -> None:
    assert lines, "nothing was said at all"
    for line in lines:
        assert WORD not in line, line[:600]


async def _accepted(planted: Planted, operation: Operation, body: Any, known: Any, answer: Any) -> Any:
    """The answer once members that take no free text after all have their own values back."""
    for _ in range(3):
        if answer.status != 422:
            break
        for error in answer.json()["errors"]:
            at = tuple(int(step) if step.isdecimal() else step for step in error["pointer"].split("/")[1:])
            own = dict(leaves(known)).get(at)
            body = replaced(body, at, own) if own is not None else body
        answer = await send(planted.world, operation.method, planted.url(operation), body=json.dumps(body).encode())
    return answer


async def _send_everything(planted: Planted, words: Words) -> list[str]:
    """Every body of every route, with a word in each text: accepted, refused for one wrong member, and cut off."""
    said = []
    for operation in operations():
        if operation.body is None or operation.id in {"api_keys_rotate", "organization_set_test_clock"}:
            continue
        body = _marked(planted.body(operation), words)
        if operation.id == "donations_refund":
            body = {"reason": words()}
        whole = json.dumps(body).encode()
        wrong = {**body, "no_such_member": words()}
        requests = [whole, json.dumps(wrong).encode(), whole[: len(whole) // 2], whole.replace(b'"', b"'")]
        for at, value in leaves(body):
            if isinstance(value, str):
                requests.append(json.dumps(replaced(body, at, words() * 2000)).encode())
                requests.append(json.dumps(replaced(body, at, [words()])).encode())
        for number, raw in enumerate(requests):
            answer = await send(planted.world, operation.method, planted.url(operation), body=raw)
            if number == 0:
                if answer.status >= 400:
                    said.append(answer.text)
                answer = await _accepted(planted, operation, body, planted.body(operation), answer)
                assert answer.status < 300 or answer.status in {404, 409}, f"{operation}: {answer.text}"
            if answer.status >= 400:
                said.append(answer.text)
    return said


async def _ask_everything(planted: Planted, words: Words) -> list[str]:
    """A word as every path and query value, and in headers."""
    said = []
    for operation in operations():
        for name in operation.in_path:
            answer = await send(planted.world, operation.method, planted.url(operation, **{name: words()}))
            said.append(answer.text if answer.status >= 400 else "")
        for parameter in operation.parameters:
            if parameter["in"] == "query":
                url = f"{planted.url(operation)}?{parameter['name']}={words()}"
                answer = await send(planted.world, operation.method, url)
                said.append(answer.text if answer.status >= 400 else "")
    for header in (b"authorization", b"idempotency-key", b"if-match", b"x-organization-id", b"user-agent", b"cookie"):
        for value in (words(), f"Bearer {words()}", f"Bearer crm_test_{words()}_{words()}_{words()}"):
            headers = [(header, value.encode())]
            answer = await send(planted.world, "POST", "/v1/funds", body=b"{}", headers=headers,
                                authorized=header != b"authorization")  # fmt: skip
            said.append(answer.text)
    return said


async def _provider_sends(world: World, words: Words) -> None:
    """Provider events with words about the payer, one of them impossible to apply."""
    names = ("payment_intent_succeeded_usd", "charge_succeeded", "customer_subscription_created")
    for number, name in enumerate(names):
        fixture = json.loads((FIXTURES / f"{name}.json").read_text())
        event = json.loads(fixture["request"]["body_raw"])
        event["id"] = f"evt_private_{number}"
        text = json.dumps(event)
        for personal in ("jenny.rosen@example.org", "Jenny Rosen"):
            word = words()
            text = text.replace(personal, f"{word}@example.org" if "@" in personal else word)
        await world.stripe_sends(json.loads(text))
    connection = await world.stripe_connection()
    for body in (json.dumps({"email": words()}), words(), json.dumps({"id": words(), "type": words()})):
        await world.deliver(connection, body.encode(), {"Stripe-Signature": words()}, expect=400)
        await world.stripe_sends(body.encode())


async def test_no_personal_data_in_logs_and_problems(
    world: World, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    words = Words()
    planted = await plant(world)
    world.client._transport.app.access_log = True  # type: ignore[attr-defined]
    with listening(caplog, capfd) as logged:
        said = await _send_everything(planted, words)
        said += await _ask_everything(planted, words)
        await _provider_sends(world, words)
        await world.drain()
        said.append((await send(world, "GET", "/metrics")).text)
    assert words.count > 300
    _nothing_personal(said)
    _nothing_personal(logged)
    assert sum("'event': 'request'" in line for line in logged) > 300
    stored = json.dumps([await world.get("/v1/contacts"), await world.get("/v1/messages")])
    assert WORD in stored, "the words must have arrived"
    assert WORD in " ".join(str(letter) for letter in world.letters())


async def test_a_failing_job_says_where_and_not_what(
    world: World,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Neither the log nor the job's own `last_error` repeats an error's text, which may hold anything."""
    words = Words()
    contact = await world.contact(given_name=words())

    async def breaks(*_: Any, **__: Any) -> Any:
        raise RuntimeError(f"cannot thank {words()} <{words()}@example.org>")

    monkeypatch.setattr(scoring_service, "note_donor", breaks)
    with listening(caplog, capfd) as logged:
        await world.donation(contact["id"])
        await world.drain()
    _nothing_personal(logged)
    failed = [job for job in await world.jobs() if job["last_error"]]
    assert failed
    for job in failed:
        assert "RuntimeError" in job["last_error"]
        assert WORD not in json.dumps(job)
