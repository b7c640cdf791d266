"""Every route that takes a form with a file, by introspection: who may, what is refused, and that nothing leaks."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from crm_api.kit.ids import new_id
from tests.api.surface import Operation, Planted, component, operations, plant, problem_of, send
from tests.api.test_privacy import WORD, Words, listening
from tests.support.world import World

FILE = ("people.csv", b"given_name,family_name\nNino,Beridze\n", "text/csv")
RATES = ("rates.csv", b"date,source_currency,target_currency,rate\n2026-11-22,EUR,USD,1.15\n", "text/csv")
PAYOUT = ("payout.csv", b"ref,gross,fee\npi_1,50.00,1.75\n", "text/csv")
FILES = {"exchange_rates_file": RATES, "payouts_upload": PAYOUT}
"""What a route takes, where it is no list of people."""


def forms() -> list[Operation]:
    """The operations."""
    return [operation for operation in operations() if operation.form]


def parts(planted: Planted, operation: Operation) -> dict[str, str]:
    """Text parts that the operation accepts: its schema's own example."""
    assert operation.form is not None
    example = planted.fitted(copy.deepcopy(component(operation.form)["examples"][0]))
    example.pop("file")
    return {name: value if isinstance(value, str) else json.dumps(value) for name, value in example.items()}


async def ask(planted: Planted, operation: Operation, data: dict[str, str], *, file: Any = None, **more: Any) -> Any:
    """The answer to a form."""
    url, files = planted.url(operation), {"file": file or FILES.get(operation.id, FILE)}
    return await planted.world.client.request(operation.method, url, data=data, files=files, **more)


def test_there_are_some() -> None:
    assert "documents_create" in {operation.id for operation in forms()}


async def test_the_examples_are_accepted_and_repeated_by_key(planted: Planted) -> None:
    for operation in forms():
        headers = {"Idempotency-Key": f"form-{operation.id}"}
        first = await ask(planted, operation, parts(planted, operation), headers=headers)
        assert first.status_code < 300, f"{operation}: {first.text}"
        again = await ask(planted, operation, parts(planted, operation), headers=headers)
        assert (again.status_code, again.json()) == (first.status_code, first.json()), operation
        assert again.headers["idempotency-replayed"] == "true"
        other = ("people.csv", FILE[1] + b"Giorgi,Beridze\n", "text/csv")
        changed = await ask(planted, operation, parts(planted, operation), headers=headers, file=other)
        assert (changed.status_code, changed.json()["code"]) == (422, "idempotency_key_reused")


async def test_who_asks_comes_before_what_is_sent(planted: Planted) -> None:
    for operation in forms():
        answer = await ask(planted, operation, {}, headers={"Authorization": ""})
        assert answer.status_code == 401, operation
        key = (await planted.world.post("/v1/api-keys", {"name": "k", "scopes": ["jobs:read"]}))["key"]
        answer = await ask(planted, operation, {}, headers={"Authorization": f"Bearer {key}"})
        assert (answer.status_code, answer.json()["scope"]) == (403, operation.scope)


async def test_malformed_and_other_bodies(planted: Planted) -> None:
    for operation in forms():
        for kind, body, status in (
            ("application/json", b"{}", 415),
            ("multipart/form-data", b"x", 400),
            ("multipart/form-data; boundary=x", b"", 400),
            ("multipart/form-data; boundary=x", b"--x\r\nnonsense", 400),
            ("multipart/form-data; boundary=x", b"--x--\r\n", 422),
        ):
            answer = await send(planted.world, operation.method, planted.url(operation), body=[body], media_type=None,
                                headers=[(b"content-type", kind.encode())])  # fmt: skip
            assert problem_of(answer)["status"] in {status, 400}, f"{operation} {kind} {body!r}: {answer.text}"
        unknown = await ask(planted, operation, {**parts(planted, operation), "no_such_part": "x"})
        assert (unknown.status_code, unknown.json()["errors"][0]["pointer"]) == (422, "/no_such_part"), operation


async def test_the_others_ids(planted: Planted, other: Planted) -> None:
    """404 as for an id that does not exist, and nothing is written."""
    tried = set()
    for operation in forms():
        for name in [name for name in parts(other, operation) if name.endswith("_id") and name in planted.ids]:
            answers = []
            for value in (planted.ids[name], str(new_id())):
                answer = await ask(other, operation, {**parts(other, operation), name: value})
                assert answer.status_code == 404, f"{operation} {name}: {answer.text}"
                answers.append({**answer.json(), "request_id": ""})
            assert answers[0] == answers[1]
            assert answers[0]["errors"][0]["pointer"] == f"/{name}"
            tried.add((operation.id, name))
    assert ("documents_create", "contact_id") in tried


async def test_no_personal_data_in_logs_and_problems(
    world: World, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """A unique word in every text part, in the file's name and in its content."""
    words = Words()
    planted = await plant(world)
    said = []
    with listening(caplog, capfd) as logged:
        for operation in forms():
            good = parts(planted, operation)
            file = (f"{words()}.csv", f"{words()},{words()}\n1,2\n".encode(), "text/csv")
            await ask(planted, operation, good, file=file)
            for name in [*good, "no_such_part"]:
                answer = await ask(planted, operation, {**good, name: words()}, file=file)
                said.append(answer.text if answer.status_code >= 400 else "")
            for wrong in (
                (f"{words()}.exe", b"MZ" + words().encode(), "application/x-msdownload"),
                (f"{words()}.csv", b"\xff\xd8\xff" + words().encode(), words()),
                (f"{words()}.png", b"\x89PNG\r\n\x1a\n" + words().encode(), "image/png"),
            ):
                said.append((await ask(planted, operation, good, file=wrong)).text)
        await world.drain()
    assert words.count > 8
    assert any(text for text in said)
    for line in [*logged, *(text for text in said if '"code"' in text)]:
        assert WORD not in line, line[:500]
