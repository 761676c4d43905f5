"""Which upstream key a call is sent with, how often it is retried, and what failures mean.

`compute` takes a call and nothing about the caller: an answer may be shared, so it can carry nothing about one.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from gateway.core import retry
from gateway.core.breaker import Breaker
from gateway.core.metrics import BREAKER, IN_FLIGHT, LATENCY, UPSTREAM_KEYS, UPSTREAM_REQUESTS
from gateway.core.problems import NO_UPSTREAM_KEY, UPSTREAM_ANSWER_BAD, UPSTREAM_BUSY, UPSTREAM_UNAVAILABLE, Problem
from gateway.core.retry import UpstreamOutcome
from gateway.core.types import Answer, Call
from gateway.flow.runtime import Runtime
from gateway.ports import Upstream, UpstreamLoss, UpstreamReply, UpstreamRequest

DISABLED_FOR_S = 300.0
SHOW_EVERY_S = 5.0
MAX_COOLDOWN_S = 120.0


@dataclass(slots=True)
class UpstreamKey:
    """One credential of the upstream and its state. `concern`: for declared sequences of concern, and only those."""

    name: str
    secret: str = field(repr=False)
    concern: bool = False
    in_flight: int = 0
    cooling_down_until: float = 0.0
    disabled_until: float = 0.0

    def state(self, now: float) -> str:
        return "disabled" if now < self.disabled_until else "cooling_down" if now < self.cooling_down_until else "ready"


@dataclass(frozen=True, slots=True)
class UpstreamConfig:
    """What the settings say about retries and answers."""

    retries: int = 2
    cooldown_s: float = 10.0
    max_answer_bytes: int = 64 * 2**20
    upstream: str = ""


@dataclass(frozen=True, slots=True)
class Computed:
    """An answer or a problem; `may_have_worked`: the upstream may have done the work, so the charge stands."""

    answer: Answer | None
    problem: Problem | None
    may_have_worked: bool


class Dispatcher:
    """Upstream calls of one worker."""

    def __init__(
        self,
        upstream: Upstream,
        keys: Sequence[UpstreamKey],
        breaker: Breaker,
        config: UpstreamConfig,
        runtime: Runtime,
        log: Callable[[str], None],
    ) -> None:
        self._upstream, self._keys, self._breaker, self._config = upstream, tuple(keys), breaker, config
        self._clock, self._meter, self._log = runtime.clock, runtime.meter, log
        self._in_flight = 0
        self.show()

    async def compute(self, call: Call) -> Computed:
        """Ask the upstream, with the next suitable key while a failure says that no work was done."""
        tried: list[UpstreamOutcome] = []
        problem = Problem(NO_UPSTREAM_KEY)
        for _ in range(1 + self._config.retries):
            now = self._clock.monotonic()
            if not self._breaker.try_acquire(now):
                return Computed(None, self._breaker_open(now), may_have_worked=False)
            key = self._pick(call.flagged, now)
            if key is None:
                self._breaker.release()
                return Computed(None, self._no_key(call.flagged, now), may_have_worked=False)
            outcome, result = await self._try(call, key)
            if isinstance(result, Answer):
                return Computed(result, None, may_have_worked=True)
            tried.append(outcome)
            problem = result
            if not outcome.retry:
                break
        return Computed(None, problem, may_have_worked=tried[-1].may_have_worked)

    async def _try(self, call: Call, key: UpstreamKey) -> tuple[UpstreamOutcome, Answer | Problem]:
        request = UpstreamRequest(call.target, call.body, key.secret, self._config.max_answer_bytes)
        key.in_flight += 1
        self._in_flight += 1
        self._meter.gauge(IN_FLIGHT, self._in_flight, "upstream")
        started = self._clock.monotonic()
        try:
            reply = await self._upstream.send(request)
        finally:
            key.in_flight -= 1
            self._in_flight -= 1
            self._meter.gauge(IN_FLIGHT, self._in_flight, "upstream")
        compute_s = self._clock.monotonic() - started
        self._meter.observe(LATENCY, compute_s, call.endpoint, "upstream")
        outcome, result = self._classify(call, reply, compute_s)
        self._meter.count(UPSTREAM_REQUESTS, call.endpoint, outcome.name)
        self._record_outcome(key, outcome, reply)
        return outcome, result

    def _classify(
        self, call: Call, reply: UpstreamReply | UpstreamLoss, compute_s: float
    ) -> tuple[UpstreamOutcome, Answer | Problem]:
        if isinstance(reply, UpstreamLoss):
            outcome = retry.of_loss(reply.sent, reply.timed_out, reply.reason)
            if reply.reason == "too_large":
                return retry.BAD_ANSWER, Problem(UPSTREAM_ANSWER_BAD, "The upstream's answer was too large.")
            if reply.reason == "pool_full":
                return outcome, Problem(outcome.problem_type, "Too many calls wait for a connection to the upstream.")
            return outcome, Problem(outcome.problem_type, f"The connection was lost: {reply.reason}.")
        outcome = retry.of_status(reply.status)
        if outcome is not retry.OK:
            return outcome, Problem(outcome.problem_type, f"The upstream answered with status {reply.status}.")
        if reply.status != 200 or reply.media_type != "application/json" or not _is_success(call, reply.body):
            return retry.BAD_ANSWER, Problem(UPSTREAM_ANSWER_BAD)
        return outcome, Answer(reply.body, self._clock.now(), call.determinism.cls, compute_s, self._config.upstream)

    def _record_outcome(self, key: UpstreamKey, outcome: UpstreamOutcome, reply: UpstreamReply | UpstreamLoss) -> None:
        now = self._clock.monotonic()
        if outcome.name == "disabled":
            key.disabled_until = now + DISABLED_FOR_S
            self._log(f"the upstream rejects the upstream key {key.name}; it is disabled for {DISABLED_FOR_S:g} s")
        elif outcome.name == "cooling_down":
            asked = reply.retry_after_s if isinstance(reply, UpstreamReply) else None
            pause_s = min(MAX_COOLDOWN_S, self._config.cooldown_s if asked is None else max(0.0, asked))
            key.cooling_down_until = max(
                key.cooling_down_until, now + pause_s
            )  # another call's reply may have asked for longer
        if outcome.counts_as_failure:
            self._breaker.failed(now)
        elif outcome is retry.OK:
            self._breaker.succeeded()
        else:
            self._breaker.release()
        self.show()

    def _pick(self, flagged: bool, now: float) -> UpstreamKey | None:
        """The ready key with the fewest calls in flight; keys marked for flagged calls are for those alone."""
        ready = [key for key in self._keys if key.concern == flagged and key.state(now) == "ready"]
        return min(ready, key=lambda key: key.in_flight, default=None)

    def _breaker_open(self, now: float) -> Problem:
        return Problem(UPSTREAM_UNAVAILABLE, headers=_retry_after(self._breaker.seconds_left(now)))

    def _no_key(self, flagged: bool, now: float) -> Problem:
        cooling_down = [
            key.cooling_down_until for key in self._keys if key.concern == flagged and key.state(now) == "cooling_down"
        ]
        if not cooling_down:
            detail = "No upstream key is marked for declared sequences of concern." if flagged else ""
            return Problem(NO_UPSTREAM_KEY, detail, headers={"Retry-After": "60"})
        return Problem(UPSTREAM_BUSY, headers=_retry_after(min(cooling_down) - now))

    async def forever(self) -> None:
        """Keep the gauges current while no calls are made: a cool-down ends by itself."""
        while True:
            await self._clock.sleep(SHOW_EVERY_S)
            self.show()

    def show(self) -> None:
        """Set the gauges of the keys' states and of the breaker."""
        now = self._clock.monotonic()
        states = [key.state(now) for key in self._keys]
        for state in ("ready", "cooling_down", "disabled"):
            self._meter.gauge(UPSTREAM_KEYS, states.count(state), state)
        self._meter.gauge(BREAKER, {"closed": 0.0, "half-open": 0.5, "open": 1.0}[self._breaker.state()])


def _retry_after(seconds: float) -> dict[str, str]:
    """Retry-After in whole seconds, rounded up: a caller who is a moment early would be refused again."""
    return {"Retry-After": str(max(1, round(seconds + 0.499)))}


def _is_success(call: Call, body: bytes) -> bool:
    """Whether these bytes are one whole JSON object, and for generate_tensor one that holds outputs."""
    try:
        tree: Any = orjson.loads(body)
    except orjson.JSONDecodeError:
        return False
    if not isinstance(tree, dict):
        return False
    if call.endpoint != "generate_tensor":
        return True
    # Older front ends wrap the answer in "data"; the SDK reads both.
    inner = tree.get("data") if "outputs" not in tree else tree
    return isinstance(inner, dict) and isinstance(inner.get("outputs"), dict)
