"""Every port in this process's memory, writing what it does into one shared journal, in order: for tests.

`FakeWorld()` is a whole world: a clock that moves when told to, stores that can be lost (`lost`, `reply_lost`), an
upstream that answers what it was given. Counting (`meter`, `access`) is not in the journal: it has no effect on
anybody. The gateway never runs on these.
"""

import asyncio
import heapq
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable, Mapping
from hashlib import sha256
from typing import Any

from gateway.core.metric_series import fits
from gateway.core.metrics import METRICS, Metric
from gateway.ports import UpstreamLoss, UpstreamReply, UpstreamRequest
from tests.fakes.cache import FakeCache
from tests.fakes.namespaces import FakeNamespaces, FakePurges
from tests.fakes.run_counters import FakeRunCounters
from tests.fakes.stores import (
    FakeAudit,
    FakeDecisions,
    FakeDirectory,
    FakeLedger,
    Journal,
)
from tests.fakes.throttle import FakeThrottle

Outcome = UpstreamReply | UpstreamLoss
Answering = Callable[[UpstreamRequest], Outcome | Awaitable[Outcome]]


class FakeClock:
    """Time that stands still until `advance`; with `automatic` a sleep itself moves it to its end at once."""

    def __init__(self, journal: Journal, start: float = 1_800_000_000.0, automatic: bool = True) -> None:
        self.journal = journal
        self.time = start
        self.automatic = automatic
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._count = 0

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.journal.append(("clock.sleep", f"{seconds:g}"))
        if self.automatic:
            self.advance(seconds)
            await asyncio.sleep(0)
            return
        self._count += 1
        woken = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self.time + seconds, self._count, woken))
        await woken

    def advance(self, seconds: float) -> None:
        """Move time on and wake, in order, whoever slept until then."""
        self.time += max(0.0, seconds)
        while self._sleepers and self._sleepers[0][0] <= self.time:
            woken = heapq.heappop(self._sleepers)[2]
            if not woken.done():
                woken.set_result(None)

    def token(self, n_bytes: int) -> bytes:
        """Different every time, the same in every run."""
        self._count += 1
        blocks = -(-n_bytes // 32)
        return b"".join(sha256(b"%d.%d" % (self._count, i)).digest() for i in range(blocks))[:n_bytes]


class FakeUpstream:
    """Answers from `replies` (one each, in order), then by `answer`; keeps what it was sent in `requests`."""

    def __init__(self, journal: Journal, answer: Answering | None = None) -> None:
        self.journal = journal
        self.answer: Answering = answer or (lambda _: UpstreamReply(200, "application/json", None, b"{}"))
        self.replies: deque[Outcome] = deque()
        self.requests: list[UpstreamRequest] = []

    async def send(self, request: UpstreamRequest) -> UpstreamReply | UpstreamLoss:
        self.journal.append(("upstream.send", request.target))
        self.requests.append(request)
        if self.replies:
            return self.replies.popleft()
        outcome = self.answer(request)
        return outcome if isinstance(outcome, UpstreamReply | UpstreamLoss) else await outcome


class FakeMeter:
    """Sums by (metric name, labels...). Refuses what the real one refuses (tests/contracts/test_meter_contract.py)."""

    def __init__(self) -> None:
        self.counts: defaultdict[tuple[str, ...], float] = defaultdict(float)
        self.seconds: dict[tuple[str, ...], list[float]] = {}
        self.gauges: dict[tuple[str, ...], float] = {}

    def count(self, metric: Metric, *labels: str, by: float = 1.0) -> None:
        if by < 0.0:
            raise ValueError(f"{metric.name} can only grow")
        self.counts[self._series(metric, labels, "counter")] += by

    def observe(self, metric: Metric, seconds: float, *labels: str) -> None:
        self.seconds.setdefault(self._series(metric, labels, "histogram"), []).append(seconds)

    def gauge(self, metric: Metric, value: float, *labels: str) -> None:
        self.gauges[self._series(metric, labels, "gauge")] = value

    def _series(self, metric: Metric, labels: tuple[str, ...], kind: str) -> tuple[str, ...]:
        if metric not in METRICS:
            raise KeyError(metric.name)
        if metric.kind != kind or len(labels) != len(metric.labels):
            raise ValueError(f"{metric.name} is a {metric.kind} with the labels {metric.labels}")
        assert kind != "counter" or not labels or fits(metric, labels), (
            f"{labels}: no row of gateway/core/metric_series.py"
        )
        return metric.name, *labels


class FakeAccessLog:
    def __init__(self) -> None:
        self.lines: list[dict[str, Any]] = []

    def write(self, fields: Mapping[str, Any]) -> None:
        self.lines.append(dict(fields))


class FakeWorld:
    """All of them around one journal."""

    def __init__(self) -> None:
        self.journal: Journal = []
        self.clock = FakeClock(self.journal)
        self.directory = FakeDirectory(self.journal)
        self.decisions = FakeDecisions(self.journal)
        self.ledger = FakeLedger(self.journal, self.clock.now)
        self.cache = FakeCache(self.journal, self.clock.now)
        self.throttle = FakeThrottle(self.journal, self.clock.now)
        self.run_counters = FakeRunCounters(self.journal, self.clock.now)
        self.purge_store = FakePurges(self.journal, self.clock.now)
        self.namespace_store = FakeNamespaces(self.journal, now=self.clock.now)
        self.upstream = FakeUpstream(self.journal)
        self.audit = FakeAudit(self.journal)
        self.meter = FakeMeter()
        self.access = FakeAccessLog()

    def effects(self) -> list[str]:
        """The names of what happened, in order."""
        return [entry[0] for entry in self.journal]
