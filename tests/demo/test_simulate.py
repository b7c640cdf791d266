"""`crm-api simulate` against an API behind a real port: what it shows, what it keeps, what it says when it cannot."""

from __future__ import annotations

import io
import json
import re
import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from crm_api.cli import app
from crm_api.simulate import SimulationTrouble, follow
from crm_api.simulate.view import make_view
from tests.conftest import MakeWorld
from tests.demo.conftest import Served, serve

Capsys = pytest.CaptureFixture[str]


def steps(shown: str) -> dict[str, str]:
    """What each finished step said first, by its title."""
    found = re.findall(r"^(?:ok|--|!!) +(?:\d+ ms)? +(\w+)  +(.*)$", shown, re.MULTILINE)
    return dict(found)


async def test_the_whole_chain_of_a_payment(served: Served, capsys: Capsys) -> None:
    await served.simulate("payment_intent.succeeded")
    shown = capsys.readouterr().out
    assert "\x1b" not in shown
    said = steps(shown)
    assert list(said) == ["Webhook", "Inbox", "Contact", "Gift", "Donor", "Letter", "Background"]
    assert said["Webhook"].startswith("202 accepted")
    assert said["Contact"].startswith("new: ")
    assert ", succeeded" in said["Gift"]
    assert said["Donor"] == "prospect → new (rule: exactly one counted gift)"
    assert said["Letter"].startswith("welcome in ")
    assert re.fullmatch(r"\d+ jobs done", said["Background"])
    (letter,) = served.world.letters()
    assert str(letter["Subject"]) in said["Letter"]
    assert re.search(r"/[0-9a-f-]{36}\.eml$", shown, re.MULTILINE)
    assert re.search(r"succeeded: webhook to letter in \d+ ms\.$", shown, re.MULTILINE)
    assert "crm-api simulate stripe charge.refunded --seed s1" in shown


async def test_the_same_seed_goes_on_with_the_same_payment(served: Served, capsys: Capsys) -> None:
    await served.simulate("payment_intent.succeeded")
    capsys.readouterr()
    await served.simulate("charge.refunded")
    said = steps(capsys.readouterr().out)
    assert said["Contact"].startswith("known: ")
    assert "succeeded → refunded" in said["Gift"]
    assert said["Donor"].startswith("new → prospect")
    assert said["Letter"].startswith("refund confirmed in ")
    await served.simulate("charge.refunded")
    shown = capsys.readouterr().out
    assert "delivered before: nothing is done twice" in shown
    assert "known before" in shown
    assert served.world.letter_kinds() == ["welcome", "refund_confirmed"]


async def test_a_refund_without_its_payment_waits_and_says_for_what(served: Served, capsys: Capsys) -> None:
    await served.simulate("refund.updated", seed="w1")
    shown = capsys.readouterr().out
    assert steps(shown)["Inbox"].startswith("waiting: the payment it names is not known yet")
    assert "crm-api simulate stripe payment_intent.succeeded --seed w1" in shown
    await served.simulate("payment_intent.succeeded", seed="w1")
    (gift,) = (await served.world.get("/v1/donations"))["data"]
    assert gift["status"] == "refunded"


async def test_a_plan_and_its_first_invoice(served: Served, capsys: Capsys) -> None:
    await served.simulate("customer.subscription.created")
    said = steps(capsys.readouterr().out)
    assert said["Contact"] == "comes with the first payment"
    assert " every month, active, next on " in said["Plan"]
    await served.simulate("invoice.paid")
    said = steps(capsys.readouterr().out)
    assert said["Donor"].startswith("prospect → recurring (rule: a live recurring plan")
    assert said["Letter"].startswith("welcome")


async def test_an_event_that_changes_nothing_is_ignored_with_a_reason(served: Served, capsys: Capsys) -> None:
    await served.simulate("payment_intent.partially_funded")
    shown = capsys.readouterr().out
    assert steps(shown)["Inbox"] == "ignored: partially_funded"
    assert "changes nothing" in shown


async def test_its_connection_is_made_once_and_its_secret_kept_private(served: Served) -> None:
    await served.simulate("payment_intent.succeeded")
    await served.simulate("payment_intent.succeeded", seed="s2")
    (connection,) = (await served.world.get("/v1/payment-connections"))["data"]
    assert connection["name"] == "Simulator"
    file = served.data_dir / "simulate.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    (kept,) = json.loads(file.read_text()).values()
    assert kept["connection_id"] == connection["id"]
    assert kept["credentials"]["webhook_secret"].startswith("whsec_")


async def test_any_connection_of_any_api(served: Served, tmp_path: Path, capsys: Capsys) -> None:
    connection = await served.world.stripe_connection("whsec_known")
    served.data_dir = tmp_path / "elsewhere"
    await served.simulate(
        "charge.succeeded",
        base_url=f"{served.base_url}/",
        api_key=served.world.api_key,
        connection=connection,
        secret="whsec_known",
    )
    assert "connection Main" in capsys.readouterr().out
    assert not served.data_dir.exists()


async def test_the_clock_of_the_organization_counts(served: Served, capsys: Capsys) -> None:
    await served.world.set_clock(datetime(2024, 5, 1, 12, tzinfo=UTC))
    await served.simulate("charge.succeeded")
    assert "its clock stands at 2024-05-01T12:00:00Z" in capsys.readouterr().out
    (gift,) = (await served.world.get("/v1/donations"))["data"]
    assert gift["received_at"] == "2024-05-01T12:00:00Z"


async def test_a_live_organization_only_through_a_connection_that_is_named(
    make_world: MakeWorld, tmp_path: Path, capsys: Capsys
) -> None:
    async for live in serve(await make_world(mode="live"), tmp_path):
        with pytest.raises(SimulationTrouble, match="live organization"):
            await live.simulate("charge.succeeded")
        connection = await live.world.stripe_connection("whsec_live")
        await live.simulate("charge.succeeded", connection=connection, secret="whsec_live")
    assert steps(capsys.readouterr().out)["Inbox"] == "charge.succeeded handled"


async def test_a_worker_that_is_missing_is_noticed(
    idle: Served, monkeypatch: pytest.MonkeyPatch, capsys: Capsys
) -> None:
    monkeypatch.setattr(follow, "PATIENCE", 0.3)
    with pytest.raises(SimulationTrouble, match="no worker has taken it"):
        await idle.simulate("charge.succeeded")
    assert steps(capsys.readouterr().out)["Inbox"] == "stored, and nobody has looked at it"


async def test_refusals_are_told_in_words(idle: Served, tmp_path: Path) -> None:
    async def refused(event: str = "charge.failed", **options: str) -> str:
        with pytest.raises(SimulationTrouble) as trouble:
            await idle.simulate(event, **options)
        return str(trouble.value)

    assert "Did you mean charge.failed?" in await refused("charge.faild")
    assert "does not accept the key" in await refused(api_key="crm_test_nothing")
    assert "make run" in await refused(base_url="http://127.0.0.1:9", api_key="x")
    assert "no address" in await refused(base_url="nonsense", api_key="x")
    assert "--api-key" in await refused(base_url="http://127.0.0.1:9")
    assert "give --connection" in await refused(secret="whsec_x")
    assert "must be the id" in await refused(connection="7")
    assert "no payment connection" in await refused(connection="01938d6e-5a00-7000-8000-000000000001")
    connection = await idle.world.stripe_connection("whsec_known")
    assert "--secret" in await refused(connection=connection)
    assert "The signature does not fit" in await refused(connection=connection, secret="whsec_other")
    key = await idle.world.post("/v1/api-keys", {"name": "Few rights", "scopes": ["organization:read"]})
    assert "payments:write" in await refused(api_key=key["key"])
    idle.data_dir = tmp_path / "nothing"
    assert "make run" in await refused()


def test_the_command_ends_with_one_line_and_status_1(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["simulate", "stripe", "charge.failed", "--data-dir", str(tmp_path)])
    assert result.exit_code == 1
    assert result.output.startswith(f"crm-api: There is no {tmp_path}/dev.json")


class _Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_sees_the_chain_grow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "80")
    screen = _Screen()
    with make_view(screen) as view:
        view.say("stripe charge.succeeded", strong=True)
        step = view.begin("Contact")
        view.finish(step, "ნინო ბერიძე", milliseconds=12.4)
        view.finish(view.begin("Letter"), "none", "no address", state="note")
        view.say("Done.")
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", screen.getvalue())
    *_, contact, letter, more, done = [line.split() for line in plain.splitlines() if line.strip()]
    assert contact == ["✓", "Contact", "ნინო", "ბერიძე", "12", "ms"]
    assert letter == ["•", "Letter", "none"]
    assert more == ["no", "address"]
    assert done == ["Done."]
