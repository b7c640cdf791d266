"""What scoring everybody costs, beside the one statement that computes RFM, and the models beside `lifetimes`.

    python -m benchmarks.scoring                                  # 100,000 contacts, 1,000,000 gifts
    python -m benchmarks.scoring --contacts 10000 --gifts 100000  # a first impression
    python -m benchmarks.scoring --contacts 1000000 --gifts 10000000 --lean --rounds 2    # half an hour
    python -m benchmarks.scoring --data-dir DIR                   # keeps the loaded database and uses it again
    python -m benchmarks.scoring --lifetimes /tmp/venv/bin/python # an interpreter that has `lifetimes`, for comparison

Writes benchmarks/results/scoring.md, or scoring-100k.md and the like for another number of gifts. Times are medians
of warm rounds as the service role under row-level security. "nothing changed": everything is reckoned and compared
with what is stored, as on a usual night; "every row written": the same when each row differs, as after other rules
were put in force.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import text

from benchmarks.plan import FULL
from benchmarks.result import machine
from benchmarks.stage import Stage, _bare
from crm_api.kit.db import SYSTEM, Database, Tenant, WriteSession, prepare
from crm_api.organizations.service import load_tenant
from crm_api.scoring import modelling, rebuilding, repository, service
from crm_api.scoring.predictions import bgnbd, gamma_gamma
from crm_api.scoring.predictions.giving import YEAR_WEEKS, fit_all, foresee

RESULTS = Path(__file__).parent / "results"
# What somebody would write by hand: RFM of every donor from the gifts, nothing stored.
BY_HAND = prepare(
    text(
        """
        WITH v AS (
            SELECT contact_id, CURRENT_DATE - max(gift_date) AS days, count(*) AS gifts, sum(base_counted) AS money
            FROM gifts WHERE organization_id = :organization_id AND contact_id IS NOT NULL AND counted > 0
            GROUP BY contact_id)
        SELECT count(*), sum(r), sum(f), sum(m) FROM (
            SELECT 5 - 5 * (RANK() OVER (ORDER BY days) - 1) / COUNT(*) OVER () AS r,
                5 * (RANK() OVER (ORDER BY gifts) - 1) / COUNT(*) OVER () + 1 AS f,
                5 * (RANK() OVER (ORDER BY money) - 1) / COUNT(*) OVER () + 1 AS m FROM v) s
        """
    )
)
PEER = """
import sys, time, warnings
warnings.filterwarnings("ignore")
import numpy as np
from lifetimes import BetaGeoFitter, GammaGammaFitter
d = np.load(sys.argv[1])
start = time.perf_counter()
def fit(make, *data):  # without a penalty it does not converge on every data set
    for penalty in (0.0, 0.001, 0.01):
        try:
            return make(penalizer_coef=penalty).fit(*data)
        except Exception as error:
            said = error
    raise said
b = fit(BetaGeoFitter, d["x"], d["tx"], d["span"])
k = (d["rated"] > 0) & (d["mean"] > 0)
g = fit(GammaGammaFitter, d["rated"][k], d["mean"][k])
b.conditional_expected_number_of_purchases_up_to_time(365 / 7, d["x"], d["tx"], d["span"])
g.conditional_expected_average_profit(d["rated"], d["mean"])
print(time.perf_counter() - start)
"""


async def _median(rounds: int, work: Callable[[], Awaitable[Any]]) -> float:
    await work()
    spent = []
    for _ in range(rounds):
        start = time.perf_counter()
        await work()
        spent.append(time.perf_counter() - start)
    return statistics.median(spent)


async def measure(database: Database, tenant: Tenant, rounds: int, *, lean: bool) -> dict[str, float]:
    """Seconds of each thing; what is written is rolled back or written again. `lean`: without the models, and without
    writing each row."""

    async def within(work: Callable[[WriteSession], Awaitable[Any]]) -> None:
        async with database.write(tenant, SYSTEM) as session:
            await rebuilding.patience(session)
            await work(session)

    async def rfm(session: WriteSession) -> None:
        await service.rebuild(session, figures=False)

    async def anew(session: WriteSession) -> None:
        await session.execute(_AGE)
        await service.rebuild(session)

    async def gift(session: WriteSession) -> None:
        row = await session.fetch_row(_ANYBODY)
        assert row is not None
        await service.refresh_donor(session, row["contact_id"])

    asked: dict[str, Callable[[WriteSession], Awaitable[Any]]] = {
        "one statement by hand": lambda session: session.fetch(BY_HAND),
        "RFM: borders and scores, stored": rfm,
        "everything, nothing changed": service.rebuild,
        "everything, every row written": anew,
        "one donor after a gift": gift,
    }
    if lean:
        del asked["everything, every row written"]
    found = {}
    for name, work in asked.items():
        found[name] = await _median(rounds, partial(within, work))
        print(f"{name}: {found[name]:.3f} s", file=sys.stderr, flush=True)
    if lean:
        return found
    async with database.write(tenant, SYSTEM) as session:
        await rebuilding.patience(session)
        today = service.today(session)
        by = await repository.standing(session, today)
        start = time.perf_counter()
        known = await modelling.statistics(session, today, by.fiscal_start)
        found["statistics of every donor"] = time.perf_counter() - start
        start = time.perf_counter()
        fits = fit_all(known, 2)
        found["fit of the three models"] = time.perf_counter() - start
        start = time.perf_counter()
        foresee(known, fits, 2)
        found["every donor's prediction"] = time.perf_counter() - start
    return found


TWO = "BG/NBD and Gamma-Gamma: fits and expectations"


def givers(donors: int) -> tuple[dict[str, Any], int]:
    """Donors who give as the models say, about ten gifts each, and how many gifts they made: the gifts of the stage are
    spread by numbers, which no such model describes."""
    dice = np.random.default_rng(20261122)
    span = dice.uniform(52, 260, donors)
    often, stops = dice.gamma(0.8, 1 / 6.0, donors), dice.beta(0.6, 8.0, donors)
    spends = 6.25 / dice.gamma(3.74, 1 / 15.44, donors)  # each donor's rate of Gamma-Gamma, as a scale
    x, tx, now = np.zeros(donors), np.zeros(donors), np.zeros(donors)
    money, alive = np.zeros(donors), np.ones(donors, dtype=bool)
    while alive.any():
        alive &= dice.uniform(size=donors) >= stops
        now = now + dice.exponential(1.0, donors) / often
        alive &= now <= span
        x, tx = x + alive, np.where(alive, now, tx)
        money += np.where(alive, dice.gamma(6.25, 1.0, donors) * spends, 0)
    mean = np.divide(money, x, out=np.zeros(donors), where=x > 0)
    return {"x": x, "tx": tx, "span": span, "rated": x, "mean": mean}, donors + int(x.sum())


def of_two(known: dict[str, Any]) -> None:
    """What `lifetimes` is asked for, by ours: two fits and the expectations of everybody."""
    x, tx, span, rated, mean = (known[name] for name in _ASKED)
    weeks, money = bgnbd.fit(x, tx, span), gamma_gamma.fit(rated, mean)
    assert weeks.parameters is not None, weeks.reason
    assert money.parameters is not None, money.reason
    bgnbd.expected(x, tx, span, YEAR_WEEKS, weeks.parameters)
    gamma_gamma.expected_mean(rated, mean, money.parameters)


_ASKED = ("x", "tx", "span", "rated", "mean")
_ANYBODY = prepare(
    text("SELECT contact_id FROM donor_summaries WHERE organization_id = :organization_id AND gift_count > 0 LIMIT 1")
)
_AGE = prepare(
    text("UPDATE donor_summaries SET rules_version = 0 WHERE organization_id = :organization_id")
)  # its own cost is in the figure too


def peer(python: str, known: dict[str, Any]) -> float | None:
    """Seconds that `lifetimes` needs for BG/NBD and Gamma-Gamma and each donor's expectations, on the same donors."""
    with tempfile.NamedTemporaryFile(suffix=".npz") as file:
        np.savez(file.name, **known)
        done = subprocess.run([python, "-c", PEER, file.name], capture_output=True, text=True, timeout=900)
        if done.returncode:
            print(done.stderr[-400:], file=sys.stderr)
            return None
        return float(done.stdout.strip().splitlines()[-1])


def written(contacts: int, gifts: int, found: dict[str, float], two: tuple[int, float, float | None] | None) -> str:
    """The result as Markdown; `two`: gifts of the donors that the two models are compared on, our time, the other's."""
    base = found["one statement by hand"]
    here = machine()
    lines = [
        "# Scoring everybody",
        "",
        f"{contacts:,} contacts, {gifts:,} gifts; {here['cores']} cores, load average {here['load_average'][0]}. "
        "`python -m benchmarks.scoring` makes this file.",
        "",
        "| what | seconds | ratio to the one statement |",
        "|---|---|---|",
        *(f"| {name} | {seconds:.3f} | {seconds / base:.2f} |" for name, seconds in found.items()),
    ]
    if two is None:
        return "\n".join(lines) + "\n"
    made, ours, other = two
    lines += ["", f"Two models, fits and everybody's expectations, {contacts:,} donors, {made:,} gifts: {ours:.2f} s."]
    if other is not None:
        lines[-1] += f" `lifetimes` in the same run: {other:.2f} s; ratio {ours / other:.2f} (aim: under 0.5)."
    return "\n".join(lines) + "\n"


def main() -> None:
    """Load, measure, write."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scoring", description=__doc__.partition("\n")[0])
    parser.add_argument("--contacts", type=int, default=FULL.contacts)
    parser.add_argument("--gifts", type=int, default=FULL.gifts)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--lean", action="store_true", help="load and measure less: for ten million gifts")
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--lifetimes", help="an interpreter that has lifetimes")
    options = parser.parse_args()
    plan = replace(FULL, contacts=options.contacts, gifts=options.gifts)
    with Stage(
        plan, options.data_dir, lambda said: print(said, file=sys.stderr), plain=False, lean=options.lean
    ) as stage:

        async def run() -> dict[str, float]:
            database = await Database.open(stage.service_url, size=2)
            try:
                tenant = await load_tenant(database.read(_bare(stage.organization_id)))
                assert tenant is not None
                return await measure(database, tenant, options.rounds, lean=options.lean)
            finally:
                await database.close()

        found = asyncio.run(run())
    two = None
    if not options.lean:
        known, made = givers(options.contacts)
        start = time.perf_counter()
        of_two(known)
        ours = time.perf_counter() - start
        two = (made, ours, peer(options.lifetimes, known) if options.lifetimes else None)
    said = written(options.contacts, options.gifts, found, two)
    name = "scoring" if options.gifts == FULL.gifts else f"scoring-{options.gifts // 1000}k"
    (RESULTS / f"{name}.md").write_text(said)
    print(said)


if __name__ == "__main__":
    main()
