"""The way upstream in virtual time: keys, queue, breaker and dispatcher around a scripted upstream."""

import asyncio
from collections.abc import Mapping
from typing import Any

from gateway.core.breaker import Breaker
from gateway.core.crash_memory import CrashMemory
from gateway.core.endpoint import ParseConfig
from gateway.core.upstream_key import UpstreamKey
from gateway.flow.answer_check import AnswerCheck
from gateway.flow.dispatch import Computed, Dispatcher, UpstreamConfig
from gateway.flow.large_answers import LargeAnswers
from gateway.flow.reader_queue import ReaderQueue
from gateway.flow.runtime import BackgroundTasks
from gateway.flow.turns import Turns
from gateway.flow.upstream_queue import QueueConfig, UpstreamQueue
from gateway.flow.waiting_limit import WaitingLimit
from gateway.ports import UpstreamReply
from tests.fakes.reader import FakeReader
from tests.flow.harness import FIT, Parts, a_call

GOOD = UpstreamReply(200, "application/json", None, FIT)


def status(code: int, retry_after_s: float | None = None, body: bytes = b"{}") -> UpstreamReply:
    return UpstreamReply(code, "application/json", retry_after_s, body)


class Desk:
    """Two plain keys and one that is marked, unless other plain ones are named; the breaker opens after `failures`."""

    def __init__(
        self,
        *plain: str,
        retries: int = 2,
        marked: bool = True,
        failures: int = 3,
        waiting: int = 10_000,
        weights: Mapping[str, float] | None = None,
        **config: Any,
    ) -> None:
        self.parts, self.said = Parts(), list[str]()
        self.keys = {name: UpstreamKey(name, f"secret-{name}") for name in plain or ("one", "two")}
        if marked:
            self.keys["marked"] = UpstreamKey("marked", "secret-marked", concern=True)
        p, self.breaker = self.parts, Breaker(failures, 20.0)
        self.limit = WaitingLimit(p.meter, waiting, waiting)
        shares = weights or {}
        settings = QueueConfig(**{"cooldown_s": 7.0, "weight": lambda user: shares.get(user, 1.0), **config})
        runtime = p.runtime()
        self.queue = UpstreamQueue(
            list(self.keys.values()), self.breaker, settings, self.limit, runtime, self.said.append
        )
        reader = ReaderQueue(FakeReader(ParseConfig({})), p.meter)
        answers, upstream = AnswerCheck(reader, p.meter), UpstreamConfig(retries)
        self.dispatcher = Dispatcher(p.upstream, CrashMemory(), answers, LargeAnswers(2), upstream, runtime)
        p.upstream.answer = lambda _: GOOD
        self.start = p.clock.monotonic()

    def seconds(self) -> float:
        return round(self.parts.clock.monotonic() - self.start, 3)

    def turns(self, user: str = "ada", *, patient: bool = True, waited_s: float = 0.0, **call: Any) -> Turns:
        request = self.queue.request_for(user, a_call(**call), waited_s, patient=patient)
        return Turns(self.queue, request, self.parts.clock)

    async def ask(self, user: str = "ada", *, patient: bool = True, **call: Any) -> Computed:
        return await self.dispatcher.compute(a_call(**call), self.turns(user, patient=patient, **call))

    def compute(self, *replies: Any, user: str = "ada", patient: bool = True, **call: Any) -> Computed:
        """One call, with these replies of the upstream and good ones afterwards."""
        self.parts.upstream.replies.extend(replies)
        computed: list[Computed] = []

        async def act(tasks: BackgroundTasks) -> None:
            computed.append(await self.ask(user, patient=patient, **call))

        self.parts.play(act)
        self.parts.upstream.replies.clear()
        return computed[0]

    def sent_with(self) -> list[str]:
        return [request.secret.removeprefix("secret-") for request in self.parts.upstream.requests]

    def gauge(self, *name: str) -> float:
        return self.parts.meter.gauges[name]

    def states(self) -> list[float]:
        return [self.gauge("esmgw_upstream_keys", state) for state in ("ready", "cooling_down", "disabled")]

    def is_idle(self) -> bool:
        """Nothing is under way or waits, and nobody will be woken."""
        in_flight = [key.in_flight for key in self.keys.values()]
        return (not any(in_flight), self.queue._in_flight, len(self.limit), self.queue._alarm) == (True, 0, 0, None)


def said(computed: Computed) -> tuple[str, int, bool]:
    assert computed.answer is None
    assert computed.problem is not None
    return computed.problem.type.slug, computed.problem.type.status, computed.may_have_worked


def detail(computed: Computed) -> str:
    assert computed.problem is not None
    return computed.problem.detail


def retry_after(computed: Computed) -> str | None:
    assert computed.problem is not None
    return computed.problem.headers.get("Retry-After")


async def together(*work: Any) -> list[Any]:
    return list(await asyncio.gather(*work))
