"""What a process remembers so that a repeat costs little: recent bodies with the calls they are, and hot answers.

Bodies are found by a fast fingerprint and then compared byte by byte, so no collision, made or met, can give anybody
another call's answer. Both memories are bounded in bytes.
"""

from collections.abc import Hashable

import xxhash

from gateway.core.cache_plan import CachePlan
from gateway.core.lru import Lru
from gateway.core.metrics import LOCAL_CACHE_BYTES
from gateway.core.types import Answer, Call
from gateway.ports import Meter

PLANS_BYTES = 4 * 2**20


class LocalCache:
    """Process memory of parsed calls and of answers that came from, or went to, the cache."""

    def __init__(self, meter: Meter, calls_bytes: int, answers_bytes: int) -> None:
        self._meter = meter
        self._calls: Lru[tuple[bytes, Call]] = Lru(calls_bytes)
        self._plans: Lru[CachePlan] = Lru(PLANS_BYTES)
        self._answers: Lru[tuple[Answer, float]] = Lru(answers_bytes)
        self.forgotten = 0
        """How often everything was forgotten: what was looked up before the last time is not to be remembered."""

    def call(self, endpoint: str, query: str, raw: bytes) -> Call | None:
        """The call that exactly these bytes were, if they came lately."""
        found = self._calls.get((endpoint, query, xxhash.xxh3_64_intdigest(raw)))
        return found[1] if found is not None and found[0] == raw else None

    def put_call(self, endpoint: str, query: str, raw: bytes, call: Call) -> None:
        key = (endpoint, query, xxhash.xxh3_64_intdigest(raw))
        self._calls.put(key, (raw, call), len(raw) + len(call.body) + len(query))
        self._meter.gauge(LOCAL_CACHE_BYTES, self._calls.bytes, "calls")

    def plan(self, call: Call, holder: Hashable) -> CachePlan | None:
        """The plan of this call for those who share, where nothing special was asked for."""
        return self._plans.get((call.canonical_digest, call.endpoint, call.model, call.flagged, holder))

    def put_plan(self, call: Call, holder: Hashable, plan: CachePlan) -> None:
        self._plans.put((call.canonical_digest, call.endpoint, call.model, call.flagged, holder), plan, 768)

    def answer(self, cache_key: str, call: Call) -> tuple[Answer, float] | None:
        """An answer as this call's caller gets it, and until when it is fresh (seconds since the epoch)."""
        return self._answers.get((cache_key, call.canonical_digest))

    def put_answer(self, cache_key: str, call: Call, answer: Answer, fresh_until: float) -> None:
        size = len(answer.body) + len(answer.compressed or b"")
        self._answers.put((cache_key, call.canonical_digest), (answer, fresh_until), size)
        self._meter.gauge(LOCAL_CACHE_BYTES, self._answers.bytes, "answers")

    def drop_answer(self, cache_key: str, call: Call) -> None:
        self._answers.drop((cache_key, call.canonical_digest))

    def forget(self) -> None:
        """Everything: something was purged."""
        self.forgotten += 1
        self._calls.clear()
        self._plans.clear()
        self._answers.clear()
        for layer in ("calls", "answers"):
            self._meter.gauge(LOCAL_CACHE_BYTES, 0, layer)
