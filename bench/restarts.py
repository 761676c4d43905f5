"""`python -m bench.restarts`: a worker stands still, or dies and cannot be started again; who is still served?

Callers ask for hits and for misses, over a new connection for each call and over kept connections, with a deadline of
their own after which they connect again. First one worker is stopped (SIGSTOP): everybody must be served again within
seconds. Then one is killed while the supervisor may open no file: the other one must go on as if nothing had been.
"""

import asyncio
import os
import resource
import signal
import sys
import tempfile
import time
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import click
import uvloop

from bench import figures, findings
from bench.asking import Line, LostError, address_of, request
from bench.batches_upstream import tensor
from bench.findings import ANY, Finding
from bench.processes import BrokenError
from bench.report import machine
from bench.served import PATIENT, Served, parsed_settings, sandbox, serving

SHAPE = 1
SERVED_AGAIN_S, BACK_S = 5.0, 30.0
# A call that takes longer was not served as usual.
SLOW_S: Final = 1.0
FILES_LEFT: Final = 4
WAYS: Final = ("new", "kept")


@dataclass(frozen=True, slots=True)
class Plan:
    """`rate` calls a second of each way to connect; seconds of good service, and of what is watched afterwards."""

    rate: float = 20.0
    before_s: float = 2.0
    watched_s: float = 12.0
    timeout_s: float = 3.0
    kept: int = 8
    hot: int = 10
    workers: int = 2
    latency_s: float = 0.05


@dataclass(frozen=True, slots=True)
class Asked:
    """One call: how it was connected, whether a stored answer was asked for, when, and the status (0: none came)."""

    way: str
    hit: bool
    at: float
    ended: float
    status: int

    @property
    def was_served(self) -> bool:
        return self.status == 200 and self.ended - self.at <= SLOW_S


class Callers:
    """An open loop: they ask in time whether or not they are answered."""

    def __init__(self, gateway: Served, plan: Plan) -> None:
        self._gateway, self._plan = gateway, plan
        self._kept: deque[Line] = deque()
        self._number = plan.hot
        self._under_way: set[asyncio.Task[None]] = set()
        self.seen: list[Asked] = []

    async def warm(self) -> None:
        """The hot answers are computed, and connections kept."""
        for number in range(self._plan.hot):
            await self._ask("new", number, hit=True)
        await asyncio.gather(
            *(self._ask("kept", number % self._plan.hot, hit=True) for number in range(self._plan.kept))
        )
        if not all(each.status == 200 for each in self.seen):
            raise BrokenError("the gateway did not answer before anything was done to it")
        self.seen.clear()

    async def run(self) -> None:
        """Until it is cancelled; calls under way are finished first."""
        turn = 0
        try:
            while True:
                for way in WAYS:
                    self._begin(way, hit=turn % 2 == 0)
                turn += 1
                await asyncio.sleep(1 / self._plan.rate)
        finally:
            await asyncio.gather(*self._under_way)
            while self._kept:
                self._kept.pop().close()

    def _begin(self, way: str, *, hit: bool) -> None:
        self._number += 1
        number = self._number % self._plan.hot if hit else self._number
        task = asyncio.create_task(self._ask(way, number, hit=hit))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def _ask(self, way: str, number: int, *, hit: bool) -> None:
        began, status, line = time.monotonic(), 0, None
        made = tensor(number)
        try:
            async with asyncio.timeout(self._plan.timeout_s):
                line = await self._line(way)
                reply = await line.ask(request(self._gateway.url, made.target, self._gateway.keys[0], made.body))
                status = 0 if reply is None else reply.status
        except (TimeoutError, LostError, OSError):
            if line is not None:
                line.close()
        self.seen.append(Asked(way, hit, began, time.monotonic(), status))
        if line is not None and not line.closed:
            self._kept.append(line) if way == "kept" else line.close()

    async def _line(self, way: str) -> Line:
        """The kept one that was not used for longest, so that all are tried soon."""
        while way == "kept" and self._kept:
            line = self._kept.popleft()
            if not line.closed:
                return line
        return await Line.open(address_of(self._gateway.url))


@asynccontextmanager
async def opened(plan: Plan, settings: Mapping[str, Any]) -> AsyncIterator[Served]:
    with tempfile.TemporaryDirectory(prefix="esmgw-restarts-") as place:
        asked_for = {**PATIENT, "listen.workers": plan.workers, **settings}
        async with (
            sandbox(Path(place), "--latency", str(plan.latency_s)) as upstream,
            serving(Path(place), upstream.url, ("caller",), asked_for) as gateway,
        ):
            yield gateway


@asynccontextmanager
async def asking(gateway: Served, plan: Plan) -> AsyncIterator[Callers]:
    """Callers who ask while the block runs, after a while of good service."""
    callers = Callers(gateway, plan)
    await callers.warm()
    task = asyncio.create_task(callers.run())
    try:
        await asyncio.sleep(plan.before_s)
        yield callers
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def standing_still(plan: Plan, settings: Mapping[str, Any]) -> list[Finding]:
    """One worker is stopped, and does not go on by itself."""
    async with opened(plan, settings) as gateway:
        stopped, *others = gateway.workers
        try:
            async with asking(gateway, plan) as callers:
                os.kill(stopped, signal.SIGSTOP)
                at = time.monotonic()
                await asyncio.sleep(plan.watched_s)
                left = set(gateway.workers)
        finally:
            with suppress(ProcessLookupError):
                os.kill(stopped, signal.SIGCONT)
    found = [_again(callers.seen, at, way, hit) for way in WAYS for hit in (True, False)]
    return [*found, Finding("stopped", "other workers that ended", len(set(others) - left), 0, 0)]


def _again(seen: Sequence[Asked], at: float, way: str, hit: bool) -> Finding:
    """When the last call ended that was not served as usual."""
    since = [each for each in seen if each.way == way and each.hit == hit and each.ended >= at]
    bad = [each for each in since if not each.was_served]
    seconds = max((each.ended for each in bad), default=at) - at
    what = f"{'hits' if hit else 'misses'} over {way} connections: s until all are served"
    return Finding("stopped", what, seconds, 0, SERVED_AGAIN_S, f"{len(bad)} of {len(since)} failed or were slow")


async def no_descriptors(plan: Plan, settings: Mapping[str, Any]) -> list[Finding]:
    """One worker is killed while the supervisor can open nothing; later it can again."""
    async with opened(plan, settings) as gateway:
        supervisor, (killed, *others) = gateway.child.pid, gateway.workers
        async with asking(gateway, plan) as callers:
            limits = resource.prlimit(supervisor, resource.RLIMIT_NOFILE)
            resource.prlimit(supervisor, resource.RLIMIT_NOFILE, (FILES_LEFT, limits[1]))
            os.kill(killed, signal.SIGKILL)
            at = time.monotonic()
            await asyncio.sleep(plan.watched_s)
            ended = len(set(others) - _living(gateway))
            with suppress(ProcessLookupError):
                resource.prlimit(supervisor, resource.RLIMIT_NOFILE, limits)
            back = await _back(gateway, plan.workers)
    during = [each for each in callers.seen if at + SERVED_AGAIN_S <= each.at <= at + plan.watched_s]
    bad = sum(not each.was_served for each in during)
    return [
        Finding("no files", "other workers that ended", ended, 0, 0),
        Finding("no files", f"calls not served, from {SERVED_AGAIN_S:g} s on", bad, 0, 0, f"of {len(during)}"),
        Finding("no files", "s until there are as many workers, once there are files", back, 0, BACK_S),
    ]


def _living(gateway: Served) -> set[int]:
    return set() if gateway.child.process.returncode is not None else set(gateway.workers)


async def _back(gateway: Served, workers: int) -> float:
    began = time.monotonic()
    while time.monotonic() - began < BACK_S:
        if len(_living(gateway)) == workers:
            return time.monotonic() - began
        await asyncio.sleep(0.1)
    return ANY


PARTS: Final = {"stopped": standing_still, "no-files": no_descriptors}


async def measured(plan: Plan, parts: Sequence[str], settings: Mapping[str, Any]) -> dict[str, Any]:
    found = [each for part in parts for each in await PARTS[part](plan, settings)]
    return {"shape": SHAPE, "machine": machine(), "plan": asdict(plan), "findings": findings.as_rows(found)}


def as_text(result: Mapping[str, Any]) -> str:
    return findings.as_text(result["findings"])


def kept_its_word(result: Mapping[str, Any]) -> bool:
    return findings.all_hold(result["findings"])


@click.command()
@click.option("--part", "parts", multiple=True, type=click.Choice(list(PARTS)), default=tuple(PARTS))
@click.option("--rate", default=20.0, show_default=True, help="Calls a second, of each way to connect.")
@click.option("--watched", "watched_s", default=12.0, show_default=True, help="Seconds after the stop or the kill.")
@click.option("--set", "settings", multiple=True, metavar="NAME=VALUE", help="A setting of the gateway.")
@click.option("--latest", is_flag=True, help="Also as restarts.json and in docs/performance.md: what is committed.")
def main(parts: tuple[str, ...], settings: tuple[str, ...], latest: bool, **numbers: Any) -> None:
    """A worker that stands still, and one that cannot be started again."""
    try:
        result = uvloop.run(measured(Plan(**numbers), parts, parsed_settings(settings)))
    except BrokenError as error:
        raise click.ClickException(str(error)) from None
    text = as_text(result)
    click.echo(text)
    click.echo(f"\nfigures in {figures.kept('restarts', result, text, latest=latest)}")
    if not kept_its_word(result):
        sys.exit(1)


if __name__ == "__main__":
    main()
