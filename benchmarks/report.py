"""The result for people: a table in the terminal, a page of Markdown, a chart."""

from __future__ import annotations

import json
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.chart import chart
from benchmarks.plan import AIMS, CASES, TITLES
from benchmarks.result import Result

_NAMES = {
    "pick_up_p50_ms": ("pick-up of a follow-up, idle worker, p50", "≤ {:.0f} ms", "{:.1f} ms"),
    "api_process_mb": ("memory of an API process (RSS)", "≤ {:.0f} MB", "{:.0f} MB"),
    "cold_start_s": ("cold start to the first answer", "≤ {:.0f} s", "{:.2f} s"),
}


def _rate(value: float) -> str:
    return f"{value:,.0f}"


_HEAD = ["case", "crm-api /s", "raw /s", "÷ raw", "aim", ""]
_MORE = [
    "case", "÷ raw, 1 conn.", "÷ raw, CPU", "orm /s", "pgbench /s", "p50 / p99 ms", "CPU ms: server + Postgres",
    "raw's CPU ms",
]  # fmt: skip


def _rows(result: Result) -> list[list[str]]:
    rows = []
    for case in CASES:
        aim, ratio = AIMS.get(case), result.ratio(case, result.busy)
        rows.append(
            [
                TITLES[case],
                *(_rate(result.figures[case, app, result.busy].requests_per_second) for app in ("crm", "raw")),
                f"{ratio:.2f}",
                "" if aim is None else f"≥ {aim}",
                "" if aim is None else "met" if ratio >= aim else "missed",
            ]
        )
    return rows


def _more(result: Result) -> list[list[str]]:
    rows = []
    for case in CASES:
        crm, raw = result.figures[case, "crm", result.busy], result.figures[case, "raw", result.busy]
        rows.append(
            [
                TITLES[case],
                f"{result.ratio(case, 1):.2f}",
                f"{result.cpu_ratio(case):.2f}",
                _rate(result.figures[case, "orm", result.busy].requests_per_second),
                _rate(result.bare[case, result.busy].transactions_per_second),
                f"{crm.p50_ms:.1f} / {crm.p99_ms:.1f}",
                f"{crm.server_ms:.2f} + {crm.postgres_ms:.2f}",
                f"{raw.server_ms:.2f} + {raw.postgres_ms:.2f}",
            ]
        )
    return rows


def _others(result: Result) -> list[list[str]]:
    rows = []
    for name, aim, outcome, met in result.aims():
        if name in _NAMES:
            title, wanted, got = _NAMES[name]
            rows.append([title, got.format(outcome), wanted.format(aim), "met" if met else "missed"])
    letter, follow = result.follow_ups.letter, result.follow_ups
    rows.append(
        [
            "webhook → letter written, p50 / p90 / p99",
            f"{letter.p50:.0f} / {letter.p90:.0f} / {letter.p99:.0f} ms",
            "",
            "",
        ]
    )
    whole = follow.payments
    rows.append(
        [
            f"whole payments per second, one worker, {whole.payments:,} stored webhooks of new donors",
            f"{whole.per_second:.0f}",
            "",
            f"Postgres alone, the same {whole.rows:,} rows: {whole.bare_per_second:.0f}; ratio {whole.ratio:.2f}",
        ]
    )
    rows.append(
        [
            f"jobs per second, one worker, backlog of {follow.jobs:,}",
            f"{follow.jobs_per_second:.0f}",
            "",
            f"CPU ms per job: worker {follow.worker_ms_per_job:.2f}, Postgres {follow.postgres_ms_per_job:.2f}",
        ]
    )
    return rows


def _table(title: str, head: list[str], rows: list[list[str]]) -> Table:
    table = Table(title=title)
    for number, name in enumerate(head):
        table.add_column(name, justify="left" if number == 0 else "right", overflow="fold")
    colours = {"met": "[green]met[/green]", "missed": "[red]missed[/red]"}
    for row in rows:
        table.add_row(*(colours.get(cell, cell) for cell in row))
    return table


def show(console: Console, result: Result) -> None:
    """Print the tables."""
    console.print(
        _table(f"Requests at {result.busy} connections, medians of {result.plan.rounds} rounds", _HEAD, _rows(result)),
        _table("In detail", _MORE, _more(result)),
        _table("Behind the answers", ["what", "outcome", "aim", ""], _others(result)),
    )


def _markdown_table(head: list[str], rows: list[list[str]]) -> list[str]:
    lines = ["| " + " | ".join(head) + " |", "|---|" + "---:|" * (len(head) - 1)]
    return [*lines, *("| " + " | ".join(row) + " |" for row in rows), ""]


def markdown(result: Result) -> str:
    """A page of Markdown."""
    about = result.document()["about"]
    plan = result.plan
    lines = [
        "# Benchmark results",
        "",
        f"{about['at']}, {about['cores']} cores, {about['memory_gb']} GB, {about['system']}, Python {about['python']}, "
        f"Postgres {about['postgres']}; load average at the end {', '.join(map(str, about['load_average']))}.",
        f"{plan.contacts:,} contacts, {plan.gifts:,} donations; {plan.rounds} rounds of {plan.seconds:g} s; "
        f"the whole run took {about['run_seconds']} s. Written by `make bench`; see [README](../README.md).",
        "",
        "![Requests per second beside raw](latest.svg)",
        "",
        f"## Requests at {result.busy} connections",
        "",
        *_markdown_table(_HEAD, _rows(result)),
        "÷ raw, CPU: raw's processor time per request (server and Postgres) as a part of ours; less noisy than rates.",
        "",
        *_markdown_table(_MORE, _more(result)),
        "## Behind the answers",
        "",
        *_markdown_table(["what", "outcome", "aim", ""], _others(result)),
        "## Memory, MB",
        "",
        *_markdown_table(["process", "RSS", "PSS", "USS"], _memory(result)),
        "## Every measurement",
        "",
        *_markdown_table(
            ["case", "application", "connections", "per second", "p50 ms", "p99 ms", "CPU ms", "Postgres ms", "spread"],
            _every(result),
        ),
    ]
    return "\n".join(lines)


def _memory(result: Result) -> list[list[str]]:
    return [
        [f"{name} {one.role}", f"{one.rss:.0f}", f"{one.pss:.0f}", f"{one.uss:.0f}"]
        for name, found in result.memory.items()
        for one in found
    ]


def _every(result: Result) -> list[list[str]]:
    rows = []
    for (case, app, connections), one in sorted(result.figures.items(), key=lambda item: CASES.index(item[0][0])):
        rows.append(
            [
                TITLES[case], app, str(connections), _rate(one.requests_per_second), f"{one.p50_ms:.2f}",
                f"{one.p99_ms:.2f}", f"{one.server_ms:.3f}", f"{one.postgres_ms:.3f}", f"{one.spread:.0%}",
            ]
        )  # fmt: skip
    for (case, connections), bare in result.bare.items():
        rate = _rate(bare.transactions_per_second)
        rows.append(
            [
                TITLES[case],
                "pgbench",
                str(connections),
                rate,
                f"{bare.mean_ms:.2f} (mean)",
                "",
                "",
                f"{bare.postgres_ms:.3f}",
                "",
            ]
        )
    return rows


def write(result: Result, folder: Path) -> None:
    """Write `latest.json`, `latest.md` and `latest.svg`."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "latest.json").write_text(json.dumps(result.document(), indent=1, ensure_ascii=False) + "\n")
    (folder / "latest.md").write_text(markdown(result))
    (folder / "latest.svg").write_text(chart(result))
