"""Whole gateways, several workers on the same stores, in a time in which minutes pass at once and in order."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from gateway.core.types import Limits, Response
from gateway.flow.invalidation_poller import INTERVAL_S
from gateway.flow.runtime import BackgroundTasks
from gateway.ports import UpstreamReply, UpstreamRequest
from tests.flow.harness import Harness, Parts, answering


class Lab:
    """`workers` poll their stores as real ones do. The upstream takes `takes_s` for each call."""

    def __init__(self, workers: int, settings: Mapping[str, Any] | None, limits: Limits | None) -> None:
        self.parts = Parts()
        self.workers = [Harness(settings, limits, self.parts) for _ in range(workers)]
        self.takes_s = 1.0
        self.under_way = 0
        self.most_under_way = 0
        self.parts.upstream.answer = self.upstream

    async def upstream(self, request: UpstreamRequest) -> UpstreamReply:
        """A good answer after its time."""
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            await self.parts.clock.sleep(self.takes_s)
        finally:
            self.under_way -= 1
        return answering(request)

    @property
    def one(self) -> Harness:
        return self.workers[0]

    def ask(
        self, body: Mapping[str, Any] | None = None, worker: int = 0, who: Mapping[str, str] | None = None, **more: str
    ) -> "asyncio.Future[Response]":
        """A call of Ada's, or of `who` (a header of `Harness.person`)."""
        return asyncio.ensure_future(self.workers[worker].ask(body, **(who or {}), **more))

    async def sleep(self, seconds: float) -> None:
        await self.parts.clock.sleep(seconds)

    def now(self) -> float:
        return self.parts.clock.monotonic()

    def sent(self) -> int:
        return len(self.parts.upstream.requests)

    def kinds(self) -> list[str]:
        """The kinds of audit records, in order."""
        return [event.kind for event in self.parts.audit.events]

    def settled(self) -> list[int]:
        """What each reservation cost in the end."""
        return [int(units) for _, units in self.parts.details("ledger.settle")]

    async def _poll(self) -> None:
        while True:
            for worker in self.workers:
                await worker.flow.poller.poll()
            await self.sleep(INTERVAL_S)


def play(
    story: Callable[[Lab], Awaitable[None]],
    *,
    workers: int = 1,
    settings: Mapping[str, Any] | None = None,
    limits: Limits | None = None,
) -> Lab:
    """Run a story in a lab, and what goes on behind it; returns the lab as it is an hour later at most."""
    lab = Lab(workers, settings, limits)

    async def act(tasks: BackgroundTasks) -> None:
        for worker in lab.workers:
            await worker.flow.poller.poll()
        polling = asyncio.ensure_future(lab._poll())
        lab.parts.journal.clear()
        await story(lab)
        for worker in lab.workers:
            assert await worker.tasks.drain(3600.0) == 0
        polling.cancel()
        await asyncio.gather(polling, return_exceptions=True)

    lab.parts.play(act)
    return lab
