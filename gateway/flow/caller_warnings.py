"""Once an hour, a warning in `warning_messages` for callers who asked for something that they do not get.

A warning about temperature 0 is for a key; one about a repeat in a namespace for a key, the namespace and the call. The
hour is shared by all workers: this process checks its own memory, then the cache store decides who warns. With that
store lost nobody is warned, and no answer waits longer than the store's deadline. An answer with a warning has no ETag
and no compressed form; its receipt is that of the stored answer, without the warning.
"""

from dataclasses import replace

from gateway.core.cache_plan import CachePlan
from gateway.core.lru import Lru
from gateway.core.metrics import STORE_ERRORS, WARNINGS
from gateway.core.types import Answer, Call, Principal
from gateway.core.warning_messages import Topic, warning_text, warning_topic, with_warning, with_warning_at_end
from gateway.flow.beside import beside
from gateway.flow.runtime import Runtime
from gateway.ports import StoreUnavailable, Throttle

WARN_EVERY_S = 3600.0
# Another worker warned, perhaps almost an hour ago; and a lost store is not asked at every request.
RECHECK_S = 300.0
INSERTED_UP_TO, APPENDED_UP_TO = 2**21, 2**24
"""To look for the right place in a larger answer would hold everybody up, so a text is appended to it, in a thread; to
copy one that is larger still would, too: it gets none. By default none so large is stored (`cache.max_entry_bytes`)."""
REMEMBERED_BYTES = 2 * 2**20
QUIET_BYTES = 160
"""What one of them takes."""


class CallerWarnings:
    """Which key has been warned of what, as one worker knows it."""

    def __init__(self, throttle: Throttle, runtime: Runtime) -> None:
        self._throttle, self._clock, self._meter = throttle, runtime.clock, runtime.meter
        self._quiet_until: Lru[float] = Lru(REMEMBERED_BYTES)

    @property
    def bytes(self) -> int:
        """What this takes."""
        return self._quiet_until.bytes

    async def add(self, answer: Answer, plan: CachePlan, call: Call, who: Principal, *, cached: bool) -> Answer:
        """The answer, with a warning in it where one is due; `cached` is whether the answer is one from before."""
        topic = warning_topic(plan, call, from_cache=cached)
        size = len(answer.body)
        if topic is None or size > APPENDED_UP_TO or not await self._due(topic, _about(topic, plan, who)):
            return answer
        insert = with_warning if size <= INSERTED_UP_TO else with_warning_at_end
        body = await beside(size if size > INSERTED_UP_TO else 0, insert, answer.body, warning_text(topic, plan, call))
        if body is None:
            return answer
        self._meter.count(WARNINGS, topic)
        return replace(answer, body=body, compressed=None, etag="")

    async def _due(self, topic: str, key: str) -> bool:
        now = self._clock.monotonic()
        until = self._quiet_until.get((topic, key))
        if until is not None and now < until:
            return False
        self._quiet(topic, key, now + RECHECK_S)  # before the store is asked: many requests may arrive at once
        try:
            first = await self._throttle.first(topic, key, WARN_EVERY_S)
        except StoreUnavailable:
            self._meter.count(STORE_ERRORS, "cache", "throttle")
            return False
        if first:
            self._quiet(topic, key, now + WARN_EVERY_S)
        return first

    def _quiet(self, topic: str, key: str, until: float) -> None:
        self._quiet_until.put((topic, key), until, QUIET_BYTES)


def _about(topic: Topic, plan: CachePlan, who: Principal) -> str:
    """Whom a warning is for, and about what. A cache key tells nothing of the call."""
    key = who.key.public_id
    return key if topic == "pinned" or plan.cache_key is None else f"{key}:{plan.cache_key[:32]}"
