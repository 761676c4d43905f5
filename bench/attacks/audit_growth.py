"""`python -m bench.attacks.audit_growth`: how fast the audit record grows while one key floods it with refused calls.

Declared calls without approval, as fast as they are refused. Beside it an approved user makes declared calls, each of
which is on record before it is sent. That user's records and those of the flood are told apart by their facts. Exit
status 1 where a bar was missed.
"""

import asyncio
import sys
import time
from asyncio.subprocess import PIPE
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import click
import orjson
import uvloop

from bench import figures
from bench.attacks.__main__ import like_a_shell
from bench.attacks.attack import MALLORY
from bench.attacks.catalogue import ATTACKS
from bench.attacks.course import APPROVED, Stage, staged
from bench.attacks.verdict import Bar
from bench.processes import ROOT, BrokenError
from bench.report import machine
from bench.served import parsed_settings

SHAPE: Final = 1
HOUR_KB: Final = 100.0
ANSWERED: Final = 0.99
RATIO, LEAST_MS = 2.0, 50.0
FLOOD: Final = "refusals/declared-distinct"
# What is written at the beginning of a flood is not written again each minute.
BEGINNING_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class GrowthPlan:
    """Seconds of the approved user alone, minutes of the flood, workers, declared calls a second of either kind."""

    baseline_s: float
    minutes: float
    workers: int
    rate: float


async def measured(plan: GrowthPlan, settings: Mapping[str, Any]) -> dict[str, Any]:
    async with AsyncExitStack() as stack:
        stage = await stack.enter_async_context(staged(plan.workers, settings))
        await _approve(stage)
        watcher = await stack.enter_async_context(stage.watcher(APPROVED, declared=True))
        attacker = await stack.enter_async_context(stage.attacker(ATTACKS[FLOOD], plan.workers))
        await attacker.hear()
        watcher.tell([plan.baseline_s, plan.rate])
        alone = await watcher.hear(plan.baseline_s + 90)
        seconds = 60 * plan.minutes
        began = time.time()
        attacker.tell(seconds)
        watcher.tell([seconds, plan.rate])
        beside = await watcher.hear(seconds + 90)
        told = (await attacker.hear(seconds + 90))["told"]
        await stage.gateway.child.stop()  # what was counted and is not yet written is written now
        written = await asyncio.to_thread(_written, stage.audit_file, began)
        return {
            "shape": SHAPE,
            "machine": machine(),
            "plan": asdict(plan),
            "alone": alone,
            "beside": beside,
            "told": told,
            "records": dict(Counter(kind for _, kind, _ in written)),
            "bytes": sum(size for _, _, size in written),
            "bytes_an_hour": round(an_hour([(at, size) for at, _, size in written], seconds)),
        }


async def _approve(stage: Stage) -> None:
    words = ("approve", APPROVED, "--by", "ada", "--by", "bea", "--reason", "measured", "--until", "1d")
    config = ("--config", str(stage.directory / "gateway.toml"))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gateway", *words, *config, stdout=PIPE, stderr=PIPE, cwd=ROOT
    )
    _, err = await process.communicate()
    if process.returncode:
        raise BrokenError(f"no approval could be given: {err.decode()[-2000:]}")


def _written(path: Path, began: float) -> list[tuple[float, str, int]]:
    """What the flood has written: seconds since it began, kind and size of each record about its user."""
    made = []
    for text in path.read_bytes().splitlines(keepends=True):
        record = orjson.loads(text)
        if MALLORY.encode() in text and record["at"] >= began:
            made.append((record["at"] - began, record["kind"], len(text)))
    return made


def an_hour(written: Sequence[tuple[float, int]], seconds: float) -> float:
    """Bytes in an hour of it: the first minute as it was, the other ones as the rest of the run was on average."""
    first = min(BEGINNING_S, seconds)
    beginning = sum(size for at, size in written if at <= first)
    if seconds <= first:
        return beginning * 3600 / seconds
    return beginning + sum(size for at, size in written if at > first) * (3600 - first) / (seconds - first)


def bars(result: Mapping[str, Any]) -> list[Bar]:
    kb = result["bytes_an_hour"] / 1000
    alone, beside = (result[name]["cold"] for name in ("alone", "beside"))
    at_most = max(RATIO * (alone["p99_ms"] or 0.0), LEAST_MS)
    p99 = float("inf") if beside["p99_ms"] is None else beside["p99_ms"]
    return [
        Bar("kB an hour about the flood", round(kb, 1), HOUR_KB, kb <= HOUR_KB),
        Bar(
            "declared calls of an approved user answered", beside["answered"], ANSWERED, beside["answered"] >= ANSWERED
        ),
        Bar("p99 of declared calls of an approved user, ms", p99, round(at_most, 1), p99 <= at_most),
    ]


def as_text(result: Mapping[str, Any]) -> str:
    alone, beside, told = result["alone"]["cold"], result["beside"]["cold"], result["told"]
    flood_s = 60 * result["plan"]["minutes"]
    records = ", ".join(f"{kind} {count:,}" for kind, count in sorted(result["records"].items())) or "none"
    lines = [
        f"refused calls      {told.get('403', 0):,} of {told.get('sent', 0):,} in {flood_s:.0f} s",
        f"records of them    {records}",
        f"audit file         {result['bytes'] / 1000:,.1f} kB, {result['bytes_an_hour'] / 1000:,.1f} kB in an hour",
        f"an approved user   p50 {alone['p50_ms']}, p99 {alone['p99_ms']} ms; beside it {beside['p50_ms']}, "
        f"{beside['p99_ms']} ms; {beside['answered']:.1%} answered",
        *(
            f"{'met     ' if bar.met else 'NOT MET '}{bar.name}: {bar.measured:g} of {bar.limit:g}"
            for bar in bars(result)
        ),
    ]
    return "\n".join(lines)


@click.command()
@click.option("--baseline-s", default=8.0, show_default=True, help="Seconds of the approved user alone.")
@click.option("--minutes", default=4.0, show_default=True, help="Of the flood.")
@click.option("--workers", default=2, show_default=True)
@click.option("--rate", default=5.0, show_default=True, help="Declared calls of an approved user a second.")
@click.option("--set", "settings", multiple=True, metavar="NAME=VALUE", help="A setting of the gateway.")
@click.option("--latest", is_flag=True, help="Also as audit_growth.json and in docs/performance.md: what is committed.")
@click.option("--results", default=figures.RESULTS, type=click.Path(path_type=Path), help="Where figures go.")
def main(settings: tuple[str, ...], results: Path, *, latest: bool, **numbers: Any) -> None:
    """How fast refused calls fill the audit record."""
    like_a_shell()
    try:
        result = uvloop.run(measured(GrowthPlan(**numbers), parsed_settings(settings)))
    except BrokenError as error:
        raise click.ClickException(str(error)) from None
    judged, text = bars(result), as_text(result)
    click.echo(text)
    result["bars"] = [asdict(bar) for bar in judged]
    click.echo(f"\nfigures in {figures.kept('audit_growth', result, text, latest=latest, results=results)}")
    if not all(bar.met for bar in judged):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
