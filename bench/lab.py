"""`python -m bench.lab`: a lab's calls through the gateway, and the same bytes through nginx beside it, in one run.

What should be computed is known beforehand: each distinct call once. The upstream's own log says what was. Every
answer is held against its question. Exit status 1 where the gateway computed another number or an answer was wrong.
"""

import asyncio
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click
import uvloop

from bench import figures, nginx
from bench.asking import Line, address_of, request
from bench.bodies import PATH
from bench.processes import BrokenError
from bench.report import machine
from bench.served import PATIENT, parsed_settings, sandbox, serving
from bench.truth import Judge
from bench.workload import Asked, Workload

SHAPE = 1
LATENCY_S = 0.02
# The people of each lab share a virtual key.
LABS = ("north", "south")
# Through nginx a key is whatever the upstream takes.
ANYBODY = ["anybody"]


@dataclass(frozen=True, slots=True)
class Side:
    """What one cache made of the workload."""

    name: str
    level: str
    computed: int
    seconds: float
    judge: Judge


async def sent(workload: Workload, url: str, keys: Sequence[str], level: str, connections: int) -> Judge:
    """All calls in their order, over this many kept connections."""
    judge, waiting = Judge(), iter(workload.calls)

    async def connection() -> None:
        line = await Line.open(address_of(url))
        for asked in waiting:
            reply = await line.ask(request(url, PATH, keys[asked.person % len(keys)], asked.text))
            assert reply is not None
            _judge(judge, workload, asked, level, reply.status, reply.body)
        line.close()

    async with asyncio.TaskGroup() as group:
        for _ in range(connections):
            group.create_task(connection())
    return judge


def _judge(judge: Judge, workload: Workload, asked: Asked, level: str, status: int, text: bytes) -> None:
    expected = workload.expected(asked, level)
    judge.judge(workload.body(asked), workload.cls(asked, level), expected, status, text)


async def through_gateway(workload: Workload, level: str, connections: int, settings: dict[str, Any]) -> Side:
    with tempfile.TemporaryDirectory(prefix="esmgw-lab-") as name:
        directory = Path(name)
        # Hits that are computed again on purpose are another matter.
        asked_for = {**PATIENT, "listen.workers": 2, "cache.level": level, "cache.spot_check_fraction": 0.0, **settings}
        async with (
            sandbox(directory, "--latency", str(LATENCY_S)) as upstream,
            serving(directory, upstream.url, LABS, asked_for) as gateway,
        ):
            began = time.monotonic()
            judge = await sent(workload, gateway.url, gateway.keys, level, connections)
            seconds = time.monotonic() - began
            return Side(f"gateway, {level}", level, (await upstream.calls())["total"], seconds, judge)


async def through_nginx(workload: Workload, connections: int) -> Side:
    with tempfile.TemporaryDirectory(prefix="esmgw-lab-") as name:
        async with (
            sandbox(Path(name), "--latency", str(LATENCY_S)) as upstream,
            nginx.caching(Path(name), urlsplit(upstream.url).netloc) as url,
        ):
            began = time.monotonic()
            judge = await sent(workload, url, ANYBODY, "wire", connections)
            seconds = time.monotonic() - began
            return Side("nginx proxy_cache", "wire", (await upstream.calls())["total"], seconds, judge)


def as_json(workload: Workload, sides: Sequence[Side]) -> dict[str, Any]:
    return {
        "shape": SHAPE,
        "machine": machine(),
        "calls": len(workload.calls),
        "sampled": workload.sampled(),
        "texts": workload.texts(),
        "distinct": {level: workload.distinct(level) for level in ("wire", "sampler")},
        "sides": [_side(workload, side) for side in sides],
    }


def _side(workload: Workload, side: Side) -> dict[str, Any]:
    needed = workload.distinct(side.level) + workload.sampled()
    judge, calls = side.judge, len(workload.calls)
    return {
        "name": side.name,
        "needed": needed,
        "computed": side.computed,
        "beyond": side.computed - needed,
        "not_computed": round(1 - side.computed / calls, 4),
        "possible": round(1 - needed / calls, 4),
        "answered": judge.answered,
        "refused": judge.refused,
        "wrong": judge.wrong,
        "differing": judge.differing,
        "draws_repeated": judge.draws_repeated,
        "seconds": round(side.seconds, 1),
    }


def as_text(result: dict[str, Any]) -> str:
    distinct = result["distinct"]
    lines = [
        f"{result['calls']:,} calls in {result['texts']:,} different texts; {distinct['wire']:,} distinct calls at "
        f"level wire,",
        f"{distinct['sampler']:,} at level sampler, and {result['sampled']:,} sampled ones, each to be computed",
        "",
        f"{'':19}{'upstream':>9}{'needed':>8}{'beyond':>8}{'saved':>8}{'wrong':>7}{'differ':>8}{'refused':>9}"
        f"{'old draws':>11}",
    ]
    for side in result["sides"]:
        lines.append(
            f"{side['name']:19}{side['computed']:>9,}{side['needed']:>8,}{side['beyond']:>8,}"
            f"{side['not_computed']:>8.1%}{sum(side['wrong'].values()):>7,}{side['differing']:>8,}"
            f"{sum(side['refused'].values()):>9,}{side['draws_repeated']:>11,}"
        )
    return "\n".join(lines)


def kept_its_word(result: dict[str, Any]) -> bool:
    """Of the gateway: each distinct call once, nothing wrong, nothing refused."""
    ours = [side for side in result["sides"] if side["name"].startswith("gateway")]
    return all(
        not side["beyond"] and not side["wrong"] and not side["refused"] and not side["differing"] for side in ours
    )


async def measured(
    calls: int, levels: Sequence[str], seed: int, connections: int, settings: dict[str, Any]
) -> dict[str, Any]:
    workload = await asyncio.to_thread(Workload, calls, seed)
    sides = [await through_gateway(workload, level, connections, settings) for level in levels]
    if nginx.found() is None:
        click.echo(nginx.HOW_TO_GET_IT, err=True)
    else:
        sides.append(await through_nginx(workload, connections))
    return as_json(workload, sides)


@click.command()
@click.option("--calls", default=10_000, show_default=True, type=click.IntRange(5))
@click.option("--level", "levels", multiple=True, type=click.Choice(["wire", "sampler"]), default=("wire",))
@click.option("--seed", default=1, show_default=True)
@click.option("--connections", default=32, show_default=True, type=click.IntRange(1))
@click.option("--set", "settings", multiple=True, metavar="NAME=VALUE", help="A setting of the gateway.")
@click.option("--latest", is_flag=True, help="Also as lab.json and in docs/performance.md: what is committed.")
def main(
    calls: int, levels: tuple[str, ...], seed: int, connections: int, settings: tuple[str, ...], latest: bool
) -> None:
    """A lab's workload: upstream calls against distinct calls, with nginx beside the gateway."""
    try:
        result = uvloop.run(measured(calls, levels, seed, connections, parsed_settings(settings)))
    except BrokenError as error:
        raise click.ClickException(str(error)) from None
    text = as_text(result)
    click.echo(text)
    click.echo(f"\nfigures in {figures.kept('lab', result, text, latest=latest)}")
    if not kept_its_word(result):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
