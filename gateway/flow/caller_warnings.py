"""Once an hour for each key, a sentence in `warning_messages` for who asked for something that they do not get.

The hour is the fleet's: the process remembers first, then the cache store decides who tells. With that store lost
nobody is told, and no answer waits for more than its deadline. An answer with a sentence in it has no ETag and no
packed form; its receipt is that of the answer as it is kept, without the sentence.
"""

from dataclasses import replace

from gateway.core.cache_plan import CachePlan
from gateway.core.lru import Lru
from gateway.core.metrics import STORE_ERRORS, WARNINGS
from gateway.core.types import Answer, Call, Principal
from gateway.core.warning_messages import warning_text, warning_topic, with_warning
from gateway.ports import Clock, Meter, StoreUnavailable, Throttle

EVERY_S = 3600.0
# Another worker told them, perhaps almost an hour ago; and a store that is lost is not asked at every request.
ASK_AGAIN_S = 300.0
REMEMBERED_BYTES = 2 * 2**20


class CallerWarnings:
    """Who has been told what, as one worker knows it."""

    def __init__(self, throttle: Throttle, clock: Clock, meter: Meter) -> None:
        self._throttle, self._clock, self._meter = throttle, clock, meter
        self._quiet_until: Lru[float] = Lru(REMEMBERED_BYTES)

    async def advised(self, answer: Answer, plan: CachePlan, call: Call, who: Principal, *, kept: bool) -> Answer:
        """The answer, with a sentence in it where one is due; `kept` is whether it is one from before."""
        about = warning_topic(plan, call, from_cache=kept)
        if about is None or not await self._due(about, who.key.public_id):
            return answer
        body = with_warning(answer.body, warning_text(about, plan, call))
        if body is None:
            return answer
        self._meter.count(WARNINGS, about)
        return replace(answer, body=body, compressed=None, etag="")

    async def _due(self, about: str, key: str) -> bool:
        now = self._clock.monotonic()
        until = self._quiet_until.get((about, key))
        if until is not None and now < until:
            return False
        self._quiet(about, key, now + ASK_AGAIN_S)  # before the store is asked: many may come at once
        try:
            first = await self._throttle.first(about, key, EVERY_S)
        except StoreUnavailable:
            self._meter.count(STORE_ERRORS, "cache", "notices")
            return False
        if first:
            self._quiet(about, key, now + EVERY_S)
        return first

    def _quiet(self, about: str, key: str, until: float) -> None:
        self._quiet_until.put((about, key), until, 64)
