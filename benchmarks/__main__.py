"""`python -m benchmarks`: load, measure in interleaved rounds, report. It asserts nothing about time."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import time
from dataclasses import replace
from pathlib import Path

import asyncpg
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from benchmarks import cpu, followups, report, servers
from benchmarks.load import Generator
from benchmarks.pgbench import PgBench
from benchmarks.plan import APPS, CASES, FULL, QUICK, TITLES, Plan
from benchmarks.result import Result
from benchmarks.rounds import Meter
from benchmarks.servers import Process
from benchmarks.stage import Stage

RESULTS = Path(__file__).parent / "results"


class Run:
    """One run, with its progress bar."""

    def __init__(self, plan: Plan, progress: Progress, data_dir: Path | None) -> None:
        self.plan, self._progress, self._data_dir = plan, progress, data_dir
        steps = plan.measurements + 2 * plan.probes + plan.backlog + plan.payments + plan.cold_starts
        self._bar = progress.add_task("Loading", total=steps)

    def _say(self, what: str) -> None:
        self._progress.update(self._bar, description=what)

    def _step(self) -> None:
        self._progress.advance(self._bar)

    def carry_out(self) -> Result:
        """Everything, from an empty folder to a result."""
        began = time.monotonic()
        with Stage(self.plan, self._data_dir, lambda what: self._say(f"Loading: {what}")) as stage:
            with contextlib.ExitStack() as running:
                crm = running.enter_context(servers.crm(stage))
                meter, memory = self._requests(stage, crm)
                self._say("Follow-ups")
                worker = servers.worker(stage)
                running.callback(worker.stop)
                follow_ups = asyncio.run(followups.measure(stage, self.plan, crm, worker, self._step))
                memory["worker"] = cpu.memory(worker.pid)
            cold_starts = self._cold_starts(stage)
            return Result(
                plan=self.plan,
                figures=meter.figures(),
                bare=meter.bare_figures(),
                follow_ups=follow_ups,
                memory=memory,
                cold_starts=cold_starts,
                postgres=asyncio.run(_postgres_version(stage)),
                seconds=time.monotonic() - began,
            )

    def _cold_starts(self, stage: Stage) -> list[float]:
        """Both processes of `crm-api serve`, from nothing to the first authenticated answer."""
        self._say("Cold starts")
        with servers.crm(stage):  # compiles what has never been imported here
            pass
        found = []
        for _ in range(self.plan.cold_starts):
            with servers.crm(stage) as server:
                found.append(server.start_seconds)
            self._step()
        return found

    def _requests(self, stage: Stage, crm: Process) -> tuple[Meter, dict[str, list[cpu.Memory]]]:
        with contextlib.ExitStack() as running:
            processes = {"crm": crm}
            for name in APPS[1:]:
                processes[name] = running.enter_context(servers.reference(stage, name))
            pgbench = PgBench(stage, self.plan)
            running.callback(pgbench.close)
            generator = running.enter_context(Generator())
            meter = Meter(stage, self.plan, generator, processes, pgbench)
            self._say("Warming up")
            meter.warm_up(CASES)
            for number in range(self.plan.rounds):
                for case in CASES:
                    self._say(f"Round {number + 1} of {self.plan.rounds}: {TITLES[case]}")
                    meter.round(case, number, self._step)
            return meter, {name: cpu.memory(process.pid) for name, process in processes.items()}


async def _postgres_version(stage: Stage) -> str:
    connection = await asyncpg.connect(stage.owner_url)
    try:
        return str(await connection.fetchval("SHOW server_version"))
    finally:
        await connection.close()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Benchmark crm-api; see the README.")
    parser.add_argument("--quick", action="store_true", help="small data, short rounds: about a minute, no files")
    parser.add_argument("--data-dir", type=Path, help="keep the loaded database here and use it again")
    parser.add_argument("--rounds", type=int, help="how many interleaved rounds")
    parser.add_argument("--seconds", type=float, help="how long each measurement takes")
    parser.add_argument("--output", type=Path, help=f"where the result is written; {RESULTS} for a full run")
    return parser.parse_args()


def main() -> None:
    """Run it."""
    given = _arguments()
    plan = QUICK if given.quick else FULL
    plan = replace(plan, rounds=given.rounds or plan.rounds, seconds=given.seconds or plan.seconds)
    console = Console()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        result = Run(plan, progress, given.data_dir).carry_out()
    report.show(console, result)
    output = given.output or (None if given.quick else RESULTS)
    if output is not None:
        report.write(result, output)
        console.print(f"Written: {output}/latest.json, latest.md, latest.svg")


if __name__ == "__main__":
    main()
