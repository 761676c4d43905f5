"""Which upstream key a call goes with, how many tries it gets, and what their failures mean.

`compute` takes a call and nothing about who asked: an answer may be shared, so it can carry nothing about a caller.
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
from gateway.ports import Clock, Meter, Upstream, UpstreamLoss, UpstreamReply, UpstreamRequest

DEAD_FOR_S = 300.0
SHOW_EVERY_S = 5.0
LONGEST_REST_S = 120.0


@dataclass(slots=True)
class UpstreamKey:
    """One credential of the upstream and how it fares. `concern`: fit for declared sequences of concern only."""

    name: str
    secret: str = field(repr=False)
    concern: bool = False
    in_flight: int = 0
    rests_until: float = 0.0
    dead_until: float = 0.0

    def state(self, now: float) -> str:
        return "disabled" if now < self.dead_until else "cooling_down" if now < self.rests_until else "ready"


@dataclass(frozen=True, slots=True)
class UpstreamConfig:
    """What the settings say about trying."""

    retries: int = 2
    cooldown_s: float = 10.0
    max_answer_bytes: int = 64 * 2**20
    upstream: str = ""


@dataclass(frozen=True, slots=True)
class Computed:
    """An answer or a problem; `may_have_worked` is whether the upstream may have done the work, so that the charge stands."""

    answer: Answer | None
    problem: Problem | None
    may_have_worked: bool


class Dispatcher:
    """The way of one worker to the upstream."""

    def __init__(
        self,
        upstream: Upstream,
        keys: Sequence[UpstreamKey],
        breaker: Breaker,
        terms: UpstreamConfig,
        clock: Clock,
        meter: Meter,
        say: Callable[[str], None],
    ) -> None:
        self._upstream, self._keys, self._breaker, self._terms = upstream, tuple(keys), breaker, terms
        self._clock, self._meter, self._say = clock, meter, say
        self._under_way = 0
        self.show()

    async def compute(self, call: Call) -> Computed:
        """Ask the upstream, with the next fit key while a failure says that no work was done."""
        tried: list[UpstreamOutcome] = []
        problem = Problem(NO_UPSTREAM_KEY)
        for _ in range(1 + self._terms.retries):
            now = self._clock.monotonic()
            if not self._breaker.try_acquire(now):
                return Computed(None, self._resting(now), may_have_worked=False)
            key = self._pick(call.flagged, now)
            if key is None:
                self._breaker.release()
                return Computed(None, self._nobody(call.flagged, now), may_have_worked=False)
            outcome, result = await self._try(call, key)
            if isinstance(result, Answer):
                return Computed(result, None, may_have_worked=True)
            tried.append(outcome)
            problem = result
            if not outcome.retry:
                break
        return Computed(None, problem, may_have_worked=tried[-1].may_have_worked)

    async def _try(self, call: Call, key: UpstreamKey) -> tuple[UpstreamOutcome, Answer | Problem]:
        request = UpstreamRequest(call.target, call.body, key.secret, self._terms.max_answer_bytes)
        key.in_flight += 1
        self._under_way += 1
        self._meter.gauge(IN_FLIGHT, self._under_way, "upstream")
        started = self._clock.monotonic()
        try:
            reply = await self._upstream.send(request)
        finally:
            key.in_flight -= 1
            self._under_way -= 1
            self._meter.gauge(IN_FLIGHT, self._under_way, "upstream")
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
                return outcome, Problem(outcome.kind, "Too many calls wait for a place at the upstream.")
            return outcome, Problem(outcome.kind, f"Lost on the way: {reply.reason}.")
        outcome = retry.of_status(reply.status)
        if outcome is not retry.OK:
            return outcome, Problem(outcome.kind, f"The upstream answered with status {reply.status}.")
        if reply.status != 200 or reply.media_type != "application/json" or not _is_success(call, reply.body):
            return retry.BAD_ANSWER, Problem(UPSTREAM_ANSWER_BAD)
        return outcome, Answer(reply.body, self._clock.now(), call.determinism.cls, compute_s, self._terms.upstream)

    def _record_outcome(self, key: UpstreamKey, outcome: UpstreamOutcome, reply: UpstreamReply | UpstreamLoss) -> None:
        now = self._clock.monotonic()
        if outcome.name == "disabled":
            key.dead_until = now + DEAD_FOR_S
            self._say(f"the upstream refuses the upstream key {key.name}; it is set aside for {DEAD_FOR_S:g} s")
        elif outcome.name == "cooling_down":
            asked = reply.retry_after_s if isinstance(reply, UpstreamReply) else None
            cooldown_s = min(LONGEST_REST_S, self._terms.cooldown_s if asked is None else max(0.0, asked))
            key.rests_until = max(key.rests_until, now + cooldown_s)  # another call's reply may have asked for longer
        if outcome.counts_as_failure:
            self._breaker.failed(now)
        elif outcome is retry.OK:
            self._breaker.succeeded()
        else:
            self._breaker.release()
        self.show()

    def _pick(self, flagged: bool, now: float) -> UpstreamKey | None:
        """The ready key with the least under way; flagged calls only with keys marked for them, and no others."""
        fit = [key for key in self._keys if key.concern == flagged and key.state(now) == "ready"]
        return min(fit, key=lambda key: key.in_flight, default=None)

    def _resting(self, now: float) -> Problem:
        return Problem(UPSTREAM_UNAVAILABLE, headers=_after(self._breaker.seconds_left(now)))

    def _nobody(self, flagged: bool, now: float) -> Problem:
        resting = [key.rests_until for key in self._keys if key.concern == flagged and key.state(now) == "cooling_down"]
        if not resting:
            detail = "No upstream key is marked for declared sequences of concern." if flagged else ""
            return Problem(NO_UPSTREAM_KEY, detail, headers={"Retry-After": "60"})
        return Problem(UPSTREAM_BUSY, headers=_after(min(resting) - now))

    async def forever(self) -> None:
        """Keep the gauges true while nobody calls: a rest ends by itself."""
        while True:
            await self._clock.sleep(SHOW_EVERY_S)
            self.show()

    def show(self) -> None:
        """Put the keys' states and the breaker's on the gauges."""
        now = self._clock.monotonic()
        states = [key.state(now) for key in self._keys]
        for state in ("ready", "cooling_down", "disabled"):
            self._meter.gauge(UPSTREAM_KEYS, states.count(state), state)
        self._meter.gauge(BREAKER, {"closed": 0.0, "half-open": 0.5, "open": 1.0}[self._breaker.state()])


def _after(seconds: float) -> dict[str, str]:
    """Retry-After in whole seconds, rounded up: whoever comes a moment too early is refused again."""
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
