"""`python -m bench.batches`: does a batch survive what passes at the upstream?

A client that tries ten times without a pause (`bench.batches_client`) sends batches to a fresh gateway whose upstream
refuses, fails, drops connections or rejects its only key for a while. No task may fail. Then an outage that does not
pass: it must be told as one, spare the upstream, and be over soon after it is over (`bench.batches_outage`). Exit
status 1 where either does not hold.
"""

import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click
import uvloop

from bench import batches_outage, figures
from bench.batches_client import RELEASES, BatchClient, BatchStats
from bench.batches_upstream import CASES, KINDS, batch, happening
from bench.processes import BrokenError
from bench.report import machine
from bench.served import PATIENT, parsed_settings, sandbox, serving

SHAPE = 1
USERS = ("batch",)


@dataclass(frozen=True, slots=True)
class Plan:
    """What is run: every case with every size on every number of workers. `lasting` stretches the cases' durations."""

    cases: Sequence[str] = tuple(CASES)
    tasks: Sequence[int] = (32, 200, 1000)
    workers: Sequence[int] = (1, 2)
    kinds: Sequence[str] = KINDS
    release: str = "3.2"
    latency_s: float = 0.1
    lasting: float = 1.0


async def survived(plan: Plan, name: str, tasks: int, workers: int, settings: Mapping[str, Any]) -> dict[str, Any]:
    """One batch through a gateway of its own, since what one case leaves behind is not the next one's matter."""
    case = CASES[name]
    with tempfile.TemporaryDirectory(prefix="esmgw-batches-") as place:
        directory = Path(place)
        asked_for = {**PATIENT, "listen.workers": workers, **settings}
        async with (
            sandbox(directory, "--latency", str(plan.latency_s)) as upstream,
            serving(directory, upstream.url, USERS, asked_for) as gateway,
        ):
            client = BatchClient(gateway.url, gateway.keys[0], RELEASES[plan.release])
            rules = case.rules(tasks, plan.latency_s)
            async with happening(upstream.url, rules, case.lasts_s * plan.lasting):
                stats = await client.run(batch(tasks, plan.kinds))
            return _row(name, workers, stats, await upstream.calls())


def _row(name: str, workers: int, stats: BatchStats, calls: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "case": name,
        "workers": workers,
        "tasks": stats.tasks,
        "failed": stats.failed.total(),
        "failed_with": dict(stats.failed),
        "statuses": dict(stats.statuses),
        "problems": dict(stats.problems),
        "most_tries": max(stats.tries, default=0),
        "at_once": stats.at_once,
        "seconds": round(stats.seconds, 2),
        "upstream_calls": calls["total"],
        "upstream_at_once": calls["max_concurrent"],
    }


async def measured(plan: Plan, outage: batches_outage.Plan | None, settings: Mapping[str, Any]) -> dict[str, Any]:
    rows = []
    for name, tasks, workers in _runs(plan):
        rows.append(await survived(plan, name, tasks, workers, settings))
        if sys.stderr.isatty():
            click.echo(_line(rows[-1]), err=True)
    outages = [] if outage is None else await batches_outage.measured(outage, settings)
    return {"shape": SHAPE, "machine": machine(), "plan": asdict(plan), "rows": rows, "outages": outages}


def _runs(plan: Plan) -> Iterator[tuple[str, int, int]]:
    for workers in plan.workers:
        for tasks in plan.tasks:
            for name in plan.cases:
                yield name, tasks, workers


def as_text(result: Mapping[str, Any]) -> str:
    head = f"{'the upstream':17}{'workers':>8}{'tasks':>7}{'FAILED':>8}{'tries':>7}{'s':>7}{'calls':>7}"
    lines = [f"{head}  answers; failed with", *map(_line, result["rows"])]
    if result["outages"]:
        lines += ["", batches_outage.as_text(result["outages"])]
    return "\n".join(lines)


def _line(row: Mapping[str, Any]) -> str:
    def counts(name: str) -> str:
        return ", ".join(f"{key} {count:,}" for key, count in sorted(row[name].items()))

    failed = f"; {counts('failed_with')}" if row["failed"] else ""
    return (
        f"{row['case']:17}{row['workers']:>8}{row['tasks']:>7,}{row['failed']:>8,}{row['most_tries']:>7}"
        f"{row['seconds']:>7.1f}{row['upstream_calls']:>7,}  {counts('statuses')}{failed}"
    )


def kept_its_word(result: Mapping[str, Any]) -> bool:
    return not any(row["failed"] for row in result["rows"]) and all(map(batches_outage.holds, result["outages"]))


@click.command()
@click.option("--case", "cases", multiple=True, type=click.Choice(list(CASES)), default=tuple(CASES))
@click.option("--tasks", multiple=True, type=click.IntRange(1), default=(32, 200, 1000), show_default=True)
@click.option("--workers", multiple=True, type=click.IntRange(1), default=(1, 2), show_default=True)
@click.option("--kind", "kinds", multiple=True, type=click.Choice(KINDS), default=KINDS)
@click.option("--release", type=click.Choice(list(RELEASES)), default="3.2", show_default=True, help="Of the SDK.")
@click.option("--latency", "latency_s", default=0.1, show_default=True, help="Of the upstream, in seconds.")
@click.option("--outage", "outage_s", default=60.0, show_default=True, help="Its length in seconds; 0: none.")
@click.option("--set", "settings", multiple=True, metavar="NAME=VALUE", help="A setting of the gateway.")
@click.option("--latest", is_flag=True, help="Also as batches.json and in docs/performance.md: what is committed.")
def main(outage_s: float, settings: tuple[str, ...], latest: bool, **plan: Any) -> None:
    """Batches without a pause while the upstream refuses and fails, and an outage."""
    outage = batches_outage.Plan(outage_s=outage_s) if outage_s else None
    try:
        result = uvloop.run(measured(Plan(**plan), outage, parsed_settings(settings)))
    except BrokenError as error:
        raise click.ClickException(str(error)) from None
    text = as_text(result)
    click.echo(text)
    click.echo(f"\nfigures in {figures.kept('batches', result, text, latest=latest)}")
    if not kept_its_word(result):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
