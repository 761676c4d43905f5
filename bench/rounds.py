"""What is measured, in which order: both sides of each comparison in turn, round after round, in the same minutes.

The machine is shared and its speed wanders; what stands side by side in a round was measured within two seconds.
"""

import random
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.bodies import PATH, SERIALS
from bench.load import Figures, Order
from bench.processes import Child, Load
from bench.under_test import Gateway, start_gateway

# The gateway's side of each comparison, and what it is compared with.
BESIDE = {"hit": "bare", "miss": "sandbox"}


@dataclass(frozen=True, slots=True)
class Scope:
    """How much is measured."""

    rounds: int
    seconds: float
    connections: Sequence[int]
    bodies: Sequence[str]


@dataclass(frozen=True, slots=True)
class CacheStats:
    """One measurement: `what` is hit, miss, bare or sandbox."""

    round: int
    what: str
    body: str
    connections: int
    figures: Figures


class Bench:
    """Everything that runs during a run."""

    def __init__(self, load: Load, gateway: Gateway, sandbox: Child, bare: Child, scope: Scope) -> None:
        self._load, self._gateway, self._sandbox, self._bare, self._scope = load, gateway, sandbox, bare, scope
        self._serial = random.randrange(1, SERIALS // 2)
        self._watch = {**gateway.pids, "sandbox": sandbox.pid, "bare": bare.pid}

    async def rounds(self) -> AsyncIterator[CacheStats]:
        """Every measurement of every round; a side that goes first in one round goes second in the next."""
        for number in range(self._scope.rounds):
            for body in self._scope.bodies:
                for connections in self._scope.connections:
                    for mine, other in BESIDE.items():
                        pair = (mine, other) if number % 2 else (other, mine)
                        for what in pair:
                            figures = await self._measure(what, body, connections)
                            yield CacheStats(number, what, body, connections, figures)

    async def _measure(self, what: str, body: str, connections: int) -> Figures:
        distinct = what in ("miss", "sandbox")
        figures = await self._load.measure(
            Order(
                url=self._url(what, body),
                body=body,
                connections=connections,
                seconds=self._scope.seconds,
                mark={"hit": "esm-gateway; hit", "miss": "esm-gateway; fwd=miss; stored"}.get(what, ""),
                first_serial=self._serial if distinct else None,
                headers=self._gateway.headers,
                poller=self._watch,
            )
        )
        self._serial = figures.next_serial if distinct else self._serial
        return figures

    def _url(self, what: str, body: str) -> str:
        if what == "bare":
            return f"{self._bare.url}/{body}"
        return (self._sandbox.url if what == "sandbox" else self._gateway.url) + PATH


@asynccontextmanager
async def opened(scope: Scope) -> AsyncIterator[Bench]:
    """All processes of a run, which end with it; what they write is gone, too."""
    async with AsyncExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="esmgw-bench-")))
        sandbox = await Child.start("-m", "gateway.sandbox", "--port", "0", log=directory / "sandbox.log")
        stack.push_async_callback(sandbox.stop)
        gateway = await start_gateway(directory, sandbox.url)
        stack.push_async_callback(gateway.child.stop)
        load = await Load.start()
        stack.push_async_callback(load.stop)
        sizes = [f"{body}={await _answer_bytes(load, gateway, body)}" for body in scope.bodies]
        words = [word for size in sizes for word in ("--answer", size)]
        bare = await Child.start("-m", "bench.bare", *words, log=directory / "bare.log")
        stack.push_async_callback(bare.stop)
        yield Bench(load, gateway, sandbox, bare, scope)


async def _answer_bytes(load: Load, gateway: Gateway, body: str) -> int:
    order = Order(gateway.url + PATH, body, 1, 0.01, warm_s=0.01, headers=gateway.headers)
    return (await load.measure(order)).answer_bytes
