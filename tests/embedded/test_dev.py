"""`crm-api dev` as a person or a script meets it: a process that gets everything ready, says where, and cleans up."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from tests.support.cluster import SOURCE

from crm_api.embedded.process import free_port, pause
from crm_api.kit.clock import monotonic
from crm_api.payments.providers import PROVIDERS, STRIPE

READY = {"base_url", "api_key", "organization_id", "docs_url", "mail_dir", "database_url", "redis_url"}


def clean() -> dict[str, str]:
    """The environment without anything that would steer the service."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("CRM_", "DATABASE_", "REDIS_"))}
    return {**kept, "PYTHONPATH": str(SOURCE)}


def cli(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    command = [sys.executable, "-m", "crm_api.cli", *words]
    return subprocess.run(
        command, env={**clean(), **environment}, capture_output=True, text=True, timeout=60, check=False
    )


class DevRun:
    """A running `crm-api dev`."""

    def __init__(self, folder: Path, port: int, *options: str) -> None:
        self.ready_file = folder / "ready.json"
        self.log = folder / "dev.log"
        self.ready_file.unlink(missing_ok=True)  # a killed run leaves it
        words = ["dev", "--no-demo", "--port", str(port), "--data-dir", str(folder / "data")]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "crm_api.cli", *words, "--ready-file", str(self.ready_file), *options],
                env=clean(),
                stderr=log,
            )
        began = monotonic()
        while not self.ready_file.exists():
            assert self.process.poll() is None, self.log.read_text()
            assert monotonic() - began < 60, self.log.read_text()
            pause(0.02)
        self.seconds = monotonic() - began
        self.facts: dict[str, str] = json.loads(self.ready_file.read_text())

    def family(self) -> list[psutil.Process]:
        """Every process it has started, servers included."""
        found: list[psutil.Process] = psutil.Process(self.process.pid).children(recursive=True)
        return found

    def child(self, command: str) -> psutil.Process:
        """Its API or its worker."""
        (found,) = [p for p in psutil.Process(self.process.pid).children() if p.cmdline()[-1:] == [command]]
        return found

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Stop it; the exit status. Nothing of it may stay behind."""
        family = self.family()
        self.process.send_signal(number)
        status = self.process.wait(30)
        _, alive = psutil.wait_procs(family, timeout=20)
        assert not alive, alive
        return status


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder any user may walk into."""
    path = Path(tempfile.mkdtemp(prefix="crm-dev-")).resolve()
    path.chmod(0o755)
    yield path
    for process in psutil.process_iter(["cmdline"]):  # only what a failed test has left
        if str(path / "data") in (process.info["cmdline"] or []) and "dev" in process.info["cmdline"]:
            with contextlib.suppress(psutil.Error):
                process.terminate()
                process.wait(20)
    shutil.rmtree(path, ignore_errors=True)


def get(facts: dict[str, str], path: str, *, key: str = "") -> httpx.Response:
    return httpx.get(
        facts["base_url"] + path, headers={"Authorization": f"Bearer {key or facts['api_key']}"}, trust_env=False
    )


def post(facts: dict[str, str], path: str, **options: Any) -> httpx.Response:
    headers = {"Authorization": f"Bearer {facts['api_key']}", **options.pop("headers", {})}
    return httpx.post(facts["base_url"] + path, headers=headers, trust_env=False, timeout=20, **options)


def letters_after_webhooks(facts: dict[str, str]) -> list[float]:
    """Seconds from a payment's webhook to its letter, of two payments."""
    body = {"provider": "stripe", "name": "Main", "credentials": {"webhook_secret": "whsec_dev"}}
    connection = post(facts, "/v1/payment-connections", json=body).json()
    assert connection["webhook_url"] == f"{facts['base_url']}/v1/payments/webhooks/stripe/{connection['id']}"
    waits = []
    for number in (1, 2):
        now = datetime.now(UTC)
        sample = PROVIDERS["stripe"].sample("payment_intent.succeeded", now=now, seed=f"dev-{number}")
        event = json.dumps(sample).encode()
        signed = STRIPE.sign(event, secret="whsec_dev", now=now)
        began = monotonic()
        assert httpx.post(connection["webhook_url"], content=event, headers=signed, trust_env=False).status_code == 202
        while len(list(Path(facts["mail_dir"]).glob("*.eml"))) < number:
            assert monotonic() - began < 20
            pause(0.01)
        waits.append(monotonic() - began)
    return waits


def test_one_life_of_dev(folder: Path) -> None:
    """From nothing to a letter, a clean end, a second start with the same data, a kill, and a fresh beginning."""
    port = free_port()
    first = DevRun(folder, port)
    facts = first.facts
    assert facts.keys() == READY
    assert facts["base_url"] == f"http://127.0.0.1:{port}"
    assert stat.S_IMODE(first.ready_file.stat().st_mode) == 0o600
    assert httpx.get(facts["docs_url"], trust_env=False).status_code == 200
    organization = get(facts, "/v1/organization").json()
    assert (organization["id"], organization["mode"]) == (facts["organization_id"], "test")
    waits = letters_after_webhooks(facts)
    assert min(waits) < 2
    _commands_work(facts)
    _refuses_a_second(folder, port)
    _heals(first)
    assert first.end() == 0
    assert not first.ready_file.exists()

    second = DevRun(folder, port)
    assert second.facts == facts
    assert get(facts, "/v1/donations").json()["data"][0]["status"] == "succeeded"
    assert second.end(signal.SIGKILL) == -signal.SIGKILL  # and its children end by themselves
    print(f"ready after {first.seconds:.1f} s the first time, {second.seconds:.1f} s the second; letters after {waits}")

    third = DevRun(folder, port, "--fresh")
    assert third.facts["organization_id"] != facts["organization_id"]
    assert get(third.facts, "/v1/donations").json()["data"] == []
    assert get(third.facts, "/v1/donations", key=facts["api_key"]).status_code == 401
    assert not list(Path(third.facts["mail_dir"]).glob("*.eml"))
    assert third.end(signal.SIGINT) == 0


def _commands_work(facts: dict[str, str]) -> None:
    """`doctor`, `organizations create` and `keys create` against its database."""
    state = json.loads(Path(facts["mail_dir"]).with_name("dev.json").read_text())
    environment = {
        "DATABASE_URL": facts["database_url"],
        "REDIS_URL": facts["redis_url"],
        "CRM_SECRET_KEYS": state["secret_key"],
        "CRM_MAIL_URL": f"file://{facts['mail_dir']}",
        "CRM_FILES_URL": f"file://{Path(facts['mail_dir']).with_name('files')}",
    }
    healthy = cli("doctor", **environment)
    assert healthy.returncode == 0, healthy.stdout
    assert "FAIL" not in healthy.stdout
    ill = cli("doctor", **{**environment, "REDIS_URL": "redis://127.0.0.1:1/0", "CRM_MAIL_URL": ""})
    assert ill.returncode == 1
    failed = [line for line in ill.stdout.splitlines() if line.startswith("FAIL")]
    assert [line.split()[1] for line in failed] == ["REDIS_URL:", "CRM_MAIL_URL:"]

    made = cli(
        "organizations", "create", "--name", "Other", "--mode", "live", "--currency", "UAH", "--json", **environment
    )
    assert made.returncode == 0, made.stderr
    other = json.loads(made.stdout)
    assert other["api_key"].startswith("crm_live_")
    read = get(facts, "/v1/organization", key=other["api_key"]).json()
    assert (read["id"], read["currency"]) == (other["organization_id"], "UAH")

    options = ["--organization", facts["organization_id"], "--name", "Reader", "--scope", "contacts:read", "--json"]
    key = json.loads(cli("keys", "create", *options, **environment).stdout)["api_key"]
    assert get(facts, "/v1/contacts", key=key).status_code == 200
    assert get(facts, "/v1/donations", key=key).status_code == 403


def _refuses_a_second(folder: Path, port: int) -> None:
    """A taken port and a data folder in use are said in words, without a traceback."""
    taken = cli("dev", "--no-demo", "--port", str(port), "--data-dir", str(folder / "other"))
    assert taken.returncode == 1
    assert taken.stderr.strip() == (
        f"crm-api: Port {port} is in use. Stop what listens there, or choose another: crm-api dev --port {port + 1}"
    )
    used = cli("dev", "--no-demo", "--port", str(free_port()), "--data-dir", str(folder / "data"))
    assert used.returncode == 1
    assert "in use by process" in used.stderr
    assert "Traceback" not in used.stderr


def _heals(run: DevRun) -> None:
    """A killed worker is started again."""
    old = run.child("worker")
    old.kill()
    deadline = monotonic() + 20
    while True:
        with contextlib.suppress(ValueError, psutil.Error):
            if run.child("worker").pid != old.pid:
                break
        assert monotonic() < deadline
        pause(0.05)
    assert "The worker process ended (status -9); starting it again." in run.log.read_text()
