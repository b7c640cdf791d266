"""pgbench running the same SQL: what Postgres alone could do, with no Python in sight.

The statements are the service's own, recorded from it, under the service's role with row-level security, prepared.
pgbench draws the numbers; Postgres writes them into the ids and documents (some microseconds that the service spends
in Python).
"""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import tempfile
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from urllib.parse import unquote, urlsplit
from uuid import UUID

from benchmarks import cpu
from benchmarks.plan import CASES, CITIES, Plan
from benchmarks.recording import CITY, CONTACT, Noted, Recorder
from benchmarks.stage import Stage
from crm_api.embedded import binary

_RATE = re.compile(r"^tps = ([0-9.]+)", re.MULTILINE)
_MEAN = re.compile(r"^latency average = ([0-9.]+) ms", re.MULTILINE)
_FAILED = re.compile(r"^number of failed transactions: ([1-9]\d*)", re.MULTILINE)
_DRAWN = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|evt_\w+|" + CITY)
_KINDS: tuple[tuple[type, str], ...] = ((UUID, "uuid"), (datetime, "timestamptz"), (date, "date"), (str, "text"))
_COLON = re.compile(r":(?=[A-Za-z_])")  # as in {"label":null}: to pgbench it is the variable null
_NOW_HEX = "lpad(to_hex((extract(epoch FROM now()) * 1000)::bigint), 12, '0')"


@dataclass(frozen=True, slots=True)
class Bare:
    """One measurement of pgbench."""

    transactions_per_second: float
    mean_ms: float
    postgres_ms: float


def _quoted(text: str) -> str:
    return "'" + _COLON.sub(":' || '", text) + "'"


class _Script:
    """Turns noted statements into a pgbench script that draws a contact and makes fresh ids in every run."""

    def __init__(self, known: set[str]) -> None:
        self._known = known
        self._fresh: dict[str, int] = {}

    def _expression(self, found: str) -> str:
        if found == CONTACT:
            return f"'{CONTACT[:-12]}' || lpad((:n)::text, 12, '0')"
        if found == CITY:
            return f"'{CITY[:-3]}' || lpad((:n % {CITIES})::text, 3, '0')"
        if found.startswith("evt_"):
            return "'evt_' || to_hex((:a)::bigint)"
        if found in self._known:
            return f"'{found}'"
        number = self._fresh.setdefault(found, len(self._fresh))
        return f"{_NOW_HEX} || '7{number:03d}' || lpad(to_hex((:a)::bigint), 16, '0')"

    def _value(self, value: object) -> str:
        if value is None:
            return "NULL"
        if isinstance(value, bool | int):
            return str(value)
        if isinstance(value, bytes):
            return f"'\\x{value.hex()}'::bytea"
        kind = next(name for kind, name in _KINDS if isinstance(value, kind))
        text, pieces, last = str(value).replace("'", "''"), [], 0
        for match in _DRAWN.finditer(text):
            pieces += [_quoted(text[last : match.start()]), self._expression(match[0])]
            last = match.end()
        pieces.append(_quoted(text[last:]))
        return f"({' || '.join(pieces)})::{kind}"

    def statement(self, noted: Noted) -> str:
        """One statement with its parameters in place."""
        sql, arguments = noted
        values = [self._value(value) for value in arguments]
        filled = re.sub(r"\$(\d+)", lambda match: f"({values[int(match[1]) - 1]})", sql)
        return " ".join(filled.split()) + ";\n"


async def write_scripts(stage: Stage, plan: Plan, folder: Path) -> dict[str, Path]:
    """A script for each case."""
    recorder = Recorder(stage)
    known = {stage.facts.organization_id, stage.facts.connection_id, recorder.actor.id, recorder.actor.request_id}
    scripts: dict[str, Path] = {}
    for case in CASES:
        noted: list[Noted] = await getattr(recorder, case)()
        script = _Script(known)
        text = f"\\set n random(1, {plan.contacts})\n\\set a random(1, 9223372036854775807)\n"
        text += "".join(script.statement(one) for one in noted)
        scripts[case] = folder / f"{case}.sql"
        scripts[case].write_text(text)
    return scripts


class PgBench:
    """Runs the scripts, each for as long as the other measurements of a round."""

    def __init__(self, stage: Stage, plan: Plan) -> None:
        self.stage, self.plan = stage, plan
        self._folder = tempfile.TemporaryDirectory(prefix="crm-pgbench-")
        self._scripts = asyncio.run(write_scripts(stage, plan, Path(self._folder.name)))
        self._program = str(binary("pgbench"))
        parts = urlsplit(stage.service_url)
        self._environment = {
            **os.environ,
            "PGHOST": parts.hostname or "",
            "PGPORT": str(parts.port),
            "PGUSER": unquote(parts.username or ""),
            "PGPASSWORD": unquote(parts.password or ""),
            "PGDATABASE": parts.path.strip("/"),
            "PGOPTIONS": "-c jit=off",
        }

    def measure(self, case: str, clients: int, seconds: float) -> Bare:
        """Run one script; whole seconds, as pgbench counts them."""
        postgres = self.stage.embedded.postgres_pid
        assert postgres is not None
        before = cpu.seconds(postgres)
        command = [
            self._program, "--no-vacuum", "--protocol=prepared", f"--client={clients}", "--jobs=1",
            f"--time={max(round(seconds), 1)}", f"--random-seed={self.plan.seed}", f"--file={self._scripts[case]}",
        ]  # fmt: skip
        done = subprocess.run(command, env=self._environment, capture_output=True, text=True, check=False)
        rate, mean = _RATE.search(done.stdout), _MEAN.search(done.stdout)
        if done.returncode or rate is None or mean is None or _FAILED.search(done.stdout):
            raise SystemExit(f"pgbench failed on {case}:\n{done.stdout}\n{done.stderr}")
        count = max(float(rate[1]) * max(round(seconds), 1), 1.0)
        used = cpu.seconds(postgres) - before
        return Bare(float(rate[1]), float(mean[1]), used * 1000 / count)

    def close(self) -> None:
        """Remove the scripts."""
        self._folder.cleanup()
