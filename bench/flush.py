"""`python -m bench.flush`: the cache store is emptied under a steady load, and the upstream must not feel a stampede.

How many upstream calls were under way at once is read from the upstream's own log: the start and the end of every call.
Exit status 1 where there were more than `upstream.max_concurrent` x workers, where a caller got a 5xx or a wrong
answer, or where the flush was not felt at all.
"""

import asyncio
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click
import uvloop

from bench import figures
from bench.marked import Questions
from bench.processes import BrokenError
from bench.report import machine
from bench.served import Sandbox, parsed_settings, sandbox, serving
from bench.steady import Steady, Told
from bench.store import CacheServer, cache_server

SHAPE = 1
WINDOW_S = 0.5
POLL_S = 0.25


@dataclass(frozen=True, slots=True)
class Plan:
    """How much of what; `cap` is upstream.max_concurrent of one worker, `latency` the upstream's, in seconds."""

    rate: float
    before_s: float
    after_s: float
    hot: int
    users: int
    workers: int
    cap: int
    latency: float


class UpstreamLog:
    """Start and end of every upstream call, gathered from the sandbox's record, which keeps only the last ones."""

    def __init__(self, upstream: Sandbox) -> None:
        self.calls: dict[int, tuple[float, float | None]] = {}
        self.max_told = 0
        self._upstream = upstream

    async def poller(self) -> None:
        while True:
            await self.read()
            await asyncio.sleep(POLL_S)

    async def read(self) -> None:
        open_ones = [index for index, (_, ended) in self.calls.items() if ended is None]
        since = min(open_ones, default=max(self.calls, default=0) + 1) - 1
        record = await self._upstream.calls(since)
        self.max_told = record["max_concurrent"]
        for call in record["last"]:
            self.calls[call["index"]] = (call["began"], call["ended"])


def most_at_once(calls: Iterable[tuple[float, float | None]]) -> int:
    """The largest number of calls that were under way at one time."""
    steps = [(began, 1) for began, _ in calls] + [(ended, -1) for _, ended in calls if ended is not None]
    most = now = 0
    for _, step in sorted(steps):  # at equal times an end comes first
        now += step
        most = max(most, now)
    return most


async def measured(plan: Plan, settings: dict[str, Any]) -> dict[str, Any]:
    async with AsyncExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="esmgw-flush-")))
        upstream = await stack.enter_async_context(sandbox(directory, "--latency", str(plan.latency)))
        store = await stack.enter_async_context(cache_server(directory))
        asked_for = {
            "listen.workers": plan.workers,
            "stores.cache_url": store.url,
            "secrets.master_file": _master(directory),
            "upstream.max_concurrent": plan.cap,
            **settings,
        }
        users = [f"user-{number}" for number in range(plan.users)]
        gateway = await stack.enter_async_context(serving(directory, upstream.url, users, asked_for))
        questions = Questions(gateway.url, gateway.keys, plan.hot, 0.0, seed=1)
        await _warmed(Steady(gateway.url, questions, plan.rate), questions, plan)
        return await _flushed(plan, Steady(gateway.url, questions, plan.rate), upstream, store)


def _master(directory: Path) -> str:
    path = directory / "master"
    path.touch(mode=0o600)
    path.write_bytes(b"a secret of this run alone" * 2)
    return str(path)


async def _warmed(steady: Steady, questions: Questions, plan: Plan) -> None:
    """Every hot question asked, not more at once than the upstream may get."""
    waiting = iter(questions.hot)

    async def caller() -> None:
        for marked in waiting:
            await steady.ask(marked)

    async with asyncio.TaskGroup() as group:
        for _ in range(plan.cap):
            group.create_task(caller())
    if {told.status for told in steady.told} != {200}:
        raise BrokenError(f"warming up: {dict(Counter(told.status for told in steady.told))}")


async def _flushed(plan: Plan, steady: Steady, upstream: Sandbox, store: CacheServer) -> dict[str, Any]:
    await upstream.reset()
    log = UpstreamLog(upstream)
    tasks = [asyncio.create_task(log.poller()), asyncio.create_task(steady.run())]
    await asyncio.sleep(plan.before_s)
    await store.empty()
    flushed_at = time.monotonic()
    await asyncio.sleep(plan.after_s)
    steady.stop()
    await tasks[1]
    tasks[0].cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await log.read()
    return _as_json(plan, steady.told, flushed_at, log)


def _as_json(plan: Plan, told: Sequence[Told], flushed_at: float, log: UpstreamLog) -> dict[str, Any]:
    before = [one for one in told if one.asked_at < flushed_at]
    after = [one for one in told if one.asked_at >= flushed_at]
    return {
        "shape": SHAPE,
        "machine": machine(),
        "plan": asdict(plan),
        "cap": plan.cap * plan.workers,
        "most_at_once": max(most_at_once(log.calls.values()), log.max_told),
        "upstream_calls": len(log.calls),
        "requests": len(told),
        "statuses": {
            "before": {str(status): n for status, n in Counter(one.status for one in before).items()},
            "after": {str(status): n for status, n in Counter(one.status for one in after).items()},
        },
        "hits": {"before": _share(before), "after": _share(after)},
        "wrong": sum(one.fault is not None for one in told),
        "recovered_s": recovered_after(after, flushed_at, plan.latency),
        "slowest_s": {"before": _slowest(before), "after": _slowest(after)},
    }


def _share(told: Sequence[Told]) -> float:
    return round(sum(one.hit for one in told) / len(told), 4) if told else 0.0


def _slowest(told: Sequence[Told]) -> dict[str, float]:
    took = sorted(one.took_s for one in told) or [0.0]
    return {"p50": round(took[len(took) // 2], 4), "p99": round(took[len(took) * 99 // 100], 4), "max": took[-1]}


def recovered_after(after: Sequence[Told], flushed_at: float, latency_s: float) -> float | None:
    """Seconds from the flush to the end of the last half second in which somebody waited for longer than two
    computations take: from then on there is no line. None: the load ended in such a one."""
    windows: dict[int, float] = {}
    for one in after:
        window = int((one.asked_at - flushed_at) / WINDOW_S)
        windows[window] = max(windows.get(window, 0.0), one.took_s)
    poor = [window for window, slowest in windows.items() if slowest > 2 * latency_s]
    if poor and max(poor) >= max(windows) - 1:
        return None
    return (max(poor) + 1) * WINDOW_S if poor else 0.0


def as_text(result: dict[str, Any]) -> str:
    plan, slow = result["plan"], result["slowest_s"]
    recovered = result["recovered_s"]
    lines = [
        ("load", f"{plan['rate']:g} requests/s of {plan['hot']} questions by {plan['users']} users"),
        ("gateway", f"{plan['workers']} workers, each with at most {plan['cap']} calls at the upstream"),
        ("most at once", f"{result['most_at_once']} of at most {result['cap']} upstream calls"),
        ("upstream calls", f"{result['upstream_calls']:,} of {plan['latency']:g} s each"),
        ("statuses", f"before {_counts(result, 'before')}; after the flush {_counts(result, 'after')}"),
        ("hits", f"before {result['hits']['before']:.1%}, after the flush {result['hits']['after']:.1%}"),
        (
            "recovered",
            "not within the run" if recovered is None else f"{recovered:g} s after the flush nobody waits in line",
        ),
        ("p50, p99, slowest", "; ".join(f"{when} {_times(slow[when])}" for when in ("before", "after"))),
        ("wrong answers", f"{result['wrong']}"),
    ]
    return "\n".join(f"{name:18} {text}" for name, text in lines)


def _counts(result: dict[str, Any], when: str) -> str:
    return ", ".join(f"{status} {count:,}" for status, count in sorted(result["statuses"][when].items()))


def _times(took: dict[str, float]) -> str:
    return ", ".join(f"{took[name] * 1000:.0f}" for name in ("p50", "p99", "max")) + " ms"


def kept_its_word(result: dict[str, Any]) -> bool:
    statuses = Counter(result["statuses"]["before"]) + Counter(result["statuses"]["after"])
    failed = [status for status in statuses if status == "0" or status >= "500"]
    felt = result["upstream_calls"] > 0
    return felt and not failed and not result["wrong"] and result["most_at_once"] <= result["cap"]


@click.command()
@click.option("--rate", default=200.0, show_default=True, help="Requests a second.")
@click.option("--before-s", default=4.0, show_default=True)
@click.option("--after-s", default=12.0, show_default=True)
@click.option("--hot", default=400, show_default=True, help="Questions.")
@click.option("--users", default=12, show_default=True)
@click.option("--workers", default=2, show_default=True)
@click.option("--cap", default=4, show_default=True, help="upstream.max_concurrent of each worker.")
@click.option("--latency", default=0.1, show_default=True, help="Seconds that the upstream computes.")
@click.option("--set", "settings", multiple=True, metavar="NAME=VALUE", help="A setting of the gateway.")
@click.option("--latest", is_flag=True, help="Also as flush.json and in docs/performance.md: what is committed.")
def main(settings: tuple[str, ...], latest: bool, **numbers: Any) -> None:
    """A flush of the cache store at 200 requests a second, seen from the upstream."""
    try:
        result = uvloop.run(measured(Plan(**numbers), parsed_settings(settings)))
    except BrokenError as error:
        raise click.ClickException(str(error)) from None
    text = as_text(result)
    click.echo(text)
    click.echo(f"\nfigures in {figures.kept('flush', result, text, latest=latest)}")
    if not kept_its_word(result):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
