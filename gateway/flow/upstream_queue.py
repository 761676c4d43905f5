"""Places at the upstream, given to users in turn by what their calls cost.

A call waits here while every place is taken, while the upstream keys rest, or while a circuit is open. The first is
work going on, and may last until the call's deadline; the others are refusals put off, and use up the caller's patience
(`admission.max_wait_s`, of which the waits for rate and concurrency have taken their part before).

Who is let through, and what an outcome means for others, is decided in core: `fair_queue`, `upstream_key`, `breaker`.
Declared sequences of concern have keys of their own, and so a lane of their own.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gateway.core.breaker import Breaker
from gateway.core.metrics import (
    BREAKER,
    BREAKER_CALLERS,
    IN_FLIGHT,
    UPSTREAM_KEYS,
    UPSTREAM_WAITING,
    UPSTREAM_WINDOW,
)
from gateway.core.problems import NO_UPSTREAM_KEY, UPSTREAM_BUSY, UPSTREAM_UNAVAILABLE, Problem
from gateway.core.retry import OK, UpstreamOutcome
from gateway.core.retry_after import retry_after, try_again
from gateway.core.types import Call
from gateway.core.upstream_key import MAX_DISABLED_S, UpstreamKey
from gateway.flow.runtime import Runtime
from gateway.flow.upstream_lane import NEVER, Lane, Place, PlaceRequest, Waiter
from gateway.flow.waiting_limit import WaitingLimit

PASSES_S = 15.0
"""What has lasted for less is told as 429, which every client tries again; after that as 503, which stops most."""
LEAST_S, LEAST_SHARE = 1.0, 0.25
"""A call is not sent with less time left than a second, or this share of the whole time where that is less."""
ALARM_GRAIN_S = 0.02
SHOW_EVERY_S = 5.0
BREAKER_STATES = {"closed": 0.0, "half-open": 0.5, "open": 1.0}


@dataclass(frozen=True, slots=True)
class QueueConfig:
    """What the settings say: places of this worker, how long a call may wait for one, the longest rest without
    Retry-After, and shares by user."""

    max_concurrent: int = 64
    max_wait_s: float = 2.0
    total_s: float = 600.0
    cooldown_s: float = 10.0
    weight: Callable[[str], float] = lambda _: 1.0


class UpstreamQueue:
    """The places of one worker."""

    def __init__(
        self,
        keys: Sequence[UpstreamKey],
        breaker: Breaker,
        config: QueueConfig,
        limit: WaitingLimit,
        runtime: Runtime,
        log: Callable[[str], None],
    ) -> None:
        self._keys, self._breaker, self._config, self._limit = tuple(keys), breaker, config, limit
        self._clock, self._meter, self._log = runtime.clock, runtime.meter, log
        for key in self._keys:
            key.limit(config.max_concurrent)
        plain = [key for key in self._keys if not key.concern]
        marked = [key for key in self._keys if key.concern]
        self._lanes = [Lane(keys, breaker, config.weight) for keys in (plain, marked)]
        self._in_flight = 0
        self._alarm: asyncio.Task[None] | None = None
        self._alarm_at = NEVER
        self.show()

    def keys_for(self, concern: bool) -> int:
        """How many keys there are for such calls."""
        return len(self._lanes[concern].keys)

    def is_healthy(self) -> bool:
        """Whether the circuit of all is closed."""
        return self._breaker.state() == "closed"

    def works(self) -> bool:
        """Whether calls may be sent: the circuit of all is not open, and some key that is not for sequences of concern
        may be used. Without any key it never works."""
        now = self._clock.monotonic()
        return self._breaker.state() != "open" and any(key.state(now) == "ready" for key in self._lanes[False].keys)

    @property
    def least_s(self) -> float:
        """With fewer seconds left until its deadline a call is not sent."""
        return min(LEAST_S, LEAST_SHARE * self._config.total_s)

    def deadline(self) -> float:
        """That of a call which begins now (monotonic): for all its waits, tries and followers."""
        return self._clock.monotonic() + self._config.total_s

    def request_for(
        self, user: str, call: Call, waited_s: float, *, patient: bool = True, deadline: float | None = None
    ) -> PlaceRequest:
        """How long this call may wait, for whom `waited_s` have gone by for other limits."""
        patience_s = max(0.0, self._config.max_wait_s - waited_s) if patient else 0.0
        ends = self.deadline() if deadline is None else deadline
        return PlaceRequest(user, call.canonical_digest, call.units, call.flagged, patience_s, ends)

    async def place(self, request: PlaceRequest, turn: "asyncio.Future[Place]", *, again: bool = False) -> Place:
        """Wait for a place; it must be given back by `done`. `again`: the call had one before, and was not worked on.

        An exception of `turn` is raised here. Raises 429 upstream-busy, or 503 upstream-unavailable or no-upstream-key
        for what has lasted for a while.
        """
        lane = self._lanes[request.concern]
        if not lane.keys:
            detail = "No upstream key is marked for declared sequences of concern." if request.concern else ""
            raise Problem(NO_UPSTREAM_KEY, detail, headers={"Retry-After": "60"})
        waiter = lane.add(request, turn, self._clock.monotonic(), again=again)
        try:
            self._serve()
            if not waiter.turn.done():
                await self._wait(lane, waiter)
            return waiter.turn.result()
        except BaseException:
            self._withdraw(lane, waiter)
            raise
        finally:
            lane.forget(request.user)
            if self._alarm is not None:
                self._set_alarm(self._clock.monotonic())

    def done(self, place: Place, outcome: UpstreamOutcome | None, retry_after_s: float | None = None) -> None:
        """The call is no longer at the upstream. Its outcome (None: it was never sent) says something about its key,
        its caller, or the upstream."""
        now, key, request = self._clock.monotonic(), place.key, place.request
        key.returned()
        self._in_flight -= 1
        if outcome is not None and outcome.key_refusal is not None:
            most_s = MAX_DISABLED_S if outcome.key_refusal == "disabled" else self._config.cooldown_s
            if key.was_refused(now, place.sent_at, request.user, outcome.key_refusal, retry_after_s, most_s):
                self._log(f"the upstream refuses the upstream key {key.name} ({outcome.name}); it rests")
        if outcome is OK:
            key.succeeded(place.sent_at, request.user)
            self._breaker.succeeded(now, request.user)
        elif outcome is not None and outcome.counts_as_failure:
            self._breaker.failed(now, request.user, request.call)
        else:
            self._breaker.release(request.user)
        self._serve()
        self.show()

    async def _wait(self, lane: Lane, waiter: Waiter) -> None:
        """Until it is this call's turn; raises where that would take too long."""
        request, now = waiter.request, self._clock.monotonic()
        if lane.is_overdue(waiter, now):
            raise self._refusal(lane, request)
        if self._limit.is_full(request.user):
            raise Problem(UPSTREAM_BUSY, f"Too many calls wait for a place; {try_again(1)}.", headers=retry_after(1))
        self._limit.enter(request.user)
        try:
            async with asyncio.timeout(max(0.0, request.deadline - self.least_s - now)):
                await asyncio.wait((waiter.turn,))
        except TimeoutError:
            raise no_place_in_time() from None
        finally:
            self._limit.leave(request.user)

    def _withdraw(self, lane: Lane, waiter: Waiter) -> None:
        """A call that waits no longer; a place that it got at the same moment is the next one's."""
        lane.remove(waiter)
        if waiter.turn.done() and not waiter.turn.cancelled() and waiter.turn.exception() is None:
            self.done(waiter.turn.result(), None)
        waiter.turn.cancel()

    def _serve(self) -> None:
        """Give away what can be given away now."""
        now, idle = self._clock.monotonic(), 0
        while self._in_flight < self._config.max_concurrent and idle < len(self._lanes):
            lane = self._lanes[idle]
            taken = lane.take(now)
            if taken is None:
                idle += 1
                continue
            waiter, key = taken
            key.sent(now)
            self._in_flight += 1
            waiter.turn.set_result(Place(key, waiter.request, now, lane.rested_s(waiter, now)))
        self._meter.gauge(IN_FLIGHT, self._in_flight, "upstream")
        self._meter.gauge(UPSTREAM_WAITING, sum(map(len, self._lanes)))
        self._set_alarm(now)

    def _set_alarm(self, now: float) -> None:
        """Have somebody look again when a rest ends or a caller's patience does."""
        at = min(lane.next_event(now) for lane in self._lanes)
        if self._alarm is not None and (at == NEVER or at < self._alarm_at):
            self._alarm.cancel()
            self._alarm = None
        if self._alarm is None and at != NEVER:
            self._alarm_at = at
            self._alarm = asyncio.get_running_loop().create_task(self._ring(at - now))

    async def _ring(self, seconds: float) -> None:
        await self._clock.sleep(max(ALARM_GRAIN_S, seconds))
        self._alarm = None
        now = self._clock.monotonic()
        self._serve()
        for lane in self._lanes:
            for waiter in lane.overdue(now):
                lane.remove(waiter)
                waiter.turn.set_exception(self._refusal(lane, waiter.request))
        self._serve()

    def _refusal(self, lane: Lane, request: PlaceRequest) -> Problem:
        """What a caller is told whose patience is used up: for how long this has lasted decides on the status."""
        now = self._clock.monotonic()
        seconds, circuit_s = lane.seconds_left(request.user, now), self._breaker.seconds_left(now, request.user)
        headers, words = retry_after(seconds), try_again(seconds)
        since = self._breaker.open_since(request.user)
        if circuit_s > 0 and since is not None:
            if now - since >= PASSES_S:
                return Problem(UPSTREAM_UNAVAILABLE, f"It has failed for {now - since:.0f} s; {words}.", (), headers)
            return Problem(UPSTREAM_BUSY, f"The upstream has just failed repeatedly; {words}.", (), headers)
        disabled = all(key.state(now) == "disabled" for key in lane.keys)
        if disabled and now - min(key.unavailable_since for key in lane.keys) >= PASSES_S:
            return Problem(NO_UPSTREAM_KEY, f"The upstream rejects every upstream key; {words}.", (), headers)
        return Problem(UPSTREAM_BUSY, f"The upstream refuses calls for now; {words}.", (), headers)

    async def forever(self) -> None:
        """Keep the gauges current while no calls are made: a rest ends by itself."""
        while True:
            await self._clock.sleep(SHOW_EVERY_S)
            self.show()

    def show(self) -> None:
        """Set the gauges of the keys, their windows and the breaker."""
        now = self._clock.monotonic()
        states = [key.state(now) for key in self._keys]
        for state in ("ready", "cooling_down", "disabled"):
            self._meter.gauge(UPSTREAM_KEYS, states.count(state), state)
        self._meter.gauge(UPSTREAM_WINDOW, sum(int(key.window) for key in self._keys))
        self._meter.gauge(BREAKER, BREAKER_STATES[self._breaker.state()])
        self._meter.gauge(BREAKER_CALLERS, self._breaker.callers_open())


def no_place_in_time() -> Problem:
    """Of a call whose time is used up before it is sent."""
    return Problem(
        UPSTREAM_BUSY, f"No place at the upstream became free in time; {try_again(1)}.", headers=retry_after(1)
    )
