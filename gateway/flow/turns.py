"""One call's turns at the upstream, and how much patience and time are left for them."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

from gateway.core.problems import UPSTREAM_BUSY, Problem
from gateway.core.retry import UpstreamOutcome
from gateway.flow.upstream_lane import Place, PlaceRequest
from gateway.flow.upstream_queue import UpstreamQueue, no_place_in_time
from gateway.ports import Clock


class Turns:
    """Each turn waits for a place and ends with `done`. Rests and pauses use up the patience, places do not.

    `confirm` is asked once the call has its place, right before it is sent; what it raises ends the turns.
    """

    def __init__(
        self,
        queue: UpstreamQueue,
        request: PlaceRequest,
        clock: Clock,
        confirm: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._queue, self._request, self._clock, self._confirm = queue, request, clock, confirm
        self._had, self._refusals = 0, 0
        self._spent_s = 0.0
        self._turn: asyncio.Future[Place] | None = None
        self._abandoned = False
        self.waited_s = 0.0
        """Seconds that were spent waiting, for whatever."""

    async def next(self) -> Place:
        """A place; raises the problems of `UpstreamQueue.place`, and what `confirm` raises."""
        if self._abandoned:
            raise _nobody_waits()
        if not self.has_time():
            raise no_place_in_time()
        started = self._clock.monotonic()
        request = replace(self._request, patience_s=self.patience_left())
        self._turn = asyncio.get_running_loop().create_future()
        try:
            place = await self._queue.place(request, self._turn, again=self._had > 0)
        finally:
            self._turn = None
            self.waited_s += self._clock.monotonic() - started
        self._had += 1
        self._spent_s += place.rested_s
        await self._confirm_for(place)
        return place

    async def _confirm_for(self, place: Place) -> None:
        try:
            if self._confirm is not None:
                await self._confirm()
            if self._abandoned:
                raise _nobody_waits()
        except BaseException:
            self._queue.done(place, None)
            raise

    def done(self, place: Place, outcome: UpstreamOutcome | None, retry_after_s: float | None) -> None:
        """The turn is over; None: the call was not sent or cut off."""
        self._refusals += outcome is not None and outcome.key_refusal is not None
        self._queue.done(place, outcome, retry_after_s)

    async def pause(self, seconds: float) -> bool:
        """Wait before the next turn, as far as the patience goes; False where there is none left."""
        seconds = min(seconds, self.patience_left(), self.seconds_left())
        if seconds <= 0 or self._abandoned:
            return False
        await self._clock.sleep(seconds)
        self._spent_s += seconds
        self.waited_s += seconds
        return True

    def abandon(self) -> None:
        """Nobody wants the answer any more: a call that is not at the upstream yet will not be sent."""
        self._abandoned = True
        if self._turn is not None and not self._turn.done():
            self._turn.set_exception(_nobody_waits())

    def patience_left(self) -> float:
        return max(0.0, self._request.patience_s - self._spent_s)

    def seconds_left(self) -> float:
        """Seconds until the call's deadline."""
        return max(0.0, self._request.deadline - self._clock.monotonic())

    def has_time(self) -> bool:
        """Whether there is time for one more try: one with next to none would be charged and hardly answered."""
        return self.seconds_left() >= self._queue.least_s

    def has_fresh_key(self) -> bool:
        """Whether there is an upstream key that has not refused this call."""
        return self._refusals < self._queue.keys_for(self._request.concern)

    def repeats(self) -> int:
        """How often the call was refused by keys that had refused it before."""
        return max(0, self._refusals - self._queue.keys_for(self._request.concern))


def _nobody_waits() -> Problem:
    return Problem(UPSTREAM_BUSY, "Its caller has gone.")
