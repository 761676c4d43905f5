"""The processes of a run of `bench.fairness`: a gateway with few places, its upstream, and when they are calm."""

import asyncio
import resource
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bench.asking import Line, address_of, request
from bench.fairness_callers import WaitingCallers
from bench.processes import BrokenError
from bench.served import PATIENT, Sandbox, Served, sandbox, serving
from gateway.settings import Settings

CALM, LOOK_S, CALM_WITHIN_S = 0.5, 0.5, 90.0
SPARE_FILES: Final = 500
QUIET_LOOKS: Final = 5


@dataclass(frozen=True, slots=True)
class Plan:
    """`places` at the upstream over all workers; `waiting` calls of the large user; `seconds` of each measurement."""

    waiting: int = 5000
    workers: int = 1
    places: int = 16
    latency_s: float = 0.2
    seconds: float = 20.0
    every_s: float = 1.0
    tolerance: float = 0.1
    leavers_wait_s: float = 5.0

    @property
    def where(self) -> str:
        return f"{self.workers} worker{'s' if self.workers > 1 else ''}"


@dataclass(frozen=True, slots=True)
class Run:
    """A gateway and its upstream, started."""

    plan: Plan
    users: Sequence[str]
    gateway: Served
    upstream: Sandbox

    def callers(self, user: str, steps: int = 1) -> WaitingCallers:
        return WaitingCallers(self.gateway.url, self.key(user), steps)

    def key(self, user: str) -> str:
        return self.gateway.keys[self.users.index(user)]

    async def all_wait(self, *callers: WaitingCallers) -> None:
        """Every call was sent, and the workers have read them all: they are calm again."""
        for each in callers:
            await each.all_asked()
        deadline = time.monotonic() + CALM_WITHIN_S
        while await _busy(self.gateway.workers) > CALM * len(self.gateway.workers):
            if time.monotonic() > deadline:
                raise BrokenError("the workers do not come to rest; fewer --waiting, or a longer --latency")

    async def idle(self) -> None:
        """Nothing goes to the upstream any more: nothing is there, again and again."""
        quiet = 0
        while quiet < QUIET_LOOKS:
            quiet = 0 if (await self.upstream.calls())["in_flight"] else quiet + 1
            await asyncio.sleep(0.05)

    async def rate(self, during: Callable[[], Awaitable[Any]]) -> float:
        """Calls a second that the upstream answered meanwhile."""
        before, began = await self._ended(), time.monotonic()
        await during()
        return (await self._ended() - before) / (time.monotonic() - began)

    async def _ended(self) -> int:
        calls = await self.upstream.calls()
        return int(calls["total"] - calls["in_flight"])


async def _busy(pids: Sequence[int]) -> float:
    """Cores that these processes use."""
    before, began = sum(map(_cpu_s, pids)), time.monotonic()
    await asyncio.sleep(LOOK_S)
    return (sum(map(_cpu_s, pids)) - before) / (time.monotonic() - began)


def _cpu_s(pid: int) -> float:
    # Fields 14 and 15 of proc_pid_stat(5), counted after the name, which may hold spaces.
    ticks = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return sum(map(int, ticks)) / 100


@asynccontextmanager
async def opened(plan: Plan, users: Sequence[str], settings: Mapping[str, Any]) -> AsyncIterator[Run]:
    """User `double` has weight 2, all others 1; `leaver` may have as many calls at once as are to wait, and no more."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if 0 <= hard < plan.waiting + SPARE_FILES:
        raise BrokenError(f"only {hard} files may be open; fewer --waiting")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with tempfile.TemporaryDirectory(prefix="esmgw-fairness-") as place:
        async with (
            sandbox(Path(place), "--latency", str(plan.latency_s)) as upstream,
            serving(Path(place), upstream.url, users, _settings(plan, settings)) as gateway,
        ):
            yield Run(plan, users, gateway, upstream)


def _settings(plan: Plan, settings: Mapping[str, Any]) -> dict[str, Any]:
    wanted = {
        "admission.max_waiting": 4 * plan.waiting,
        "admission.max_waiting_per_user": 2 * plan.waiting,
        "admission.weights.double": 2.0,
        "limits.users.leaver.concurrent": leavers(plan),
    }
    return {
        **PATIENT,
        "listen.workers": plan.workers,
        # What still waits at the end is not waited for.
        "listen.drain_s": 1,
        "upstream.max_concurrent": max(1, plan.places // plan.workers),
        **{name: value for name, value in wanted.items() if _is_known(name)},
        **settings,
    }


def leavers(plan: Plan) -> int:
    """So many that they wait for a while."""
    return round(plan.leavers_wait_s * plan.places / plan.latency_s)


def _is_known(name: str) -> bool:
    """Whether this build has the setting; one without weights is judged by the same bounds."""
    table, member, *_ = name.split(".")
    fields: Mapping[str, Any] = getattr(Settings.model_fields[table].annotation, "model_fields", {})
    return member in fields


def open_files(gateway: Served) -> int:
    return sum(len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in gateway.workers)


async def gauge(gateway: Served, name: str) -> float:
    """The sum of a gauge over its labels; 0 where there is none of that name."""
    url = str(gateway.child.ready["metrics_url"])
    line = await Line.open(address_of(url))
    reply = await line.ask(request(url, "/metrics", method="GET"))
    line.close()
    assert reply is not None
    rows = [row.rpartition(" ") for row in reply.body.decode().splitlines() if row.startswith(name)]
    return sum(float(value) for _, _, value in rows)
