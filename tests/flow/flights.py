"""One worker's flights on a cache that may be shared, and a computation that ends when told to."""

import asyncio
from collections.abc import Iterable
from typing import Any

from gateway.core import sealing
from gateway.core.problems import Problem
from gateway.core.types import Answer
from gateway.flow.flight_result import FailureMessages, FlightResult
from gateway.flow.runtime import BackgroundTasks
from gateway.flow.single_flight import SingleFlight
from gateway.ports import StoreUnavailable
from tests.flow.harness import Parts, an_answer

AT = "address"
KEY = b"k" * 32
LEASE_S, PATIENCE_S = 6.0, 30.0


def sealed(body: bytes, cache_key: str = AT) -> bytes:
    return sealing.seal(KEY, cache_key, body, b"n" * 12)


class Process:
    """`outcomes`: what becomes of a computation, by who leads it; a Problem that is `his` is raised, others land."""

    def __init__(self, parts: Parts, tasks: BackgroundTasks, body: bytes = b"1", *, names_owner: bool = True) -> None:
        self.parts, self.body = parts, body
        failures = FailureMessages(KEY, parts.runtime(tasks))
        self.flights = SingleFlight(parts.cache, parts.runtime(tasks), self.check, failures, LEASE_S)
        self.led: list[str] = []
        self.takes_s = 1.0
        self.his: dict[str, Problem] = {}
        self.outcomes: dict[str, FlightResult] = {}
        self.names_owner = names_owner

    async def check(self, cache_key: str, blob: bytes) -> Answer | None:
        body = sealing.unseal(KEY, cache_key, blob)
        if body is None:
            await self.parts.cache.delete(cache_key)
            return None
        return an_answer(body)

    async def lead(self, who: str, owner: str | None) -> FlightResult:
        self.led.append(who)
        await self.parts.clock.sleep(self.takes_s)
        if who in self.his:
            raise self.his[who]
        return self.outcomes[who] if who in self.outcomes else await self.keep(owner)

    async def keep(self, owner: str | None) -> FlightResult:
        try:
            standing = await self.parts.cache.put(AT, sealed(self.body), 1e6, False, owner)
        except StoreUnavailable:
            return FlightResult(an_answer(self.body))
        answer = None if standing is None else await self.check(AT, standing)
        return FlightResult(answer or an_answer(self.body), stored=True)

    def ask(self, who: str, distributed: bool = True, **more: Any) -> "asyncio.Future[tuple[Answer, str, bool]]":
        owner = f"{id(self)} {who}" if self.names_owner else None
        more.setdefault("deadline", self.parts.clock.monotonic() + PATIENCE_S)
        run = self.flights.run(AT, lambda: self.lead(who, owner), distributed=distributed, owner=owner, **more)
        return asyncio.ensure_future(run)

    def is_empty(self) -> bool:
        return not self.flights._flights


def source(outcomes: Iterable[Any]) -> list[str]:
    return [outcome.type.slug if isinstance(outcome, Problem) else outcome[1] for outcome in outcomes]
