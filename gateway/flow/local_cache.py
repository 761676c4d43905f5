"""The in-process cache: recent bodies with the calls they are, plans, and hot answers, so that a repeat costs little.

Bodies are found by a fast fingerprint and then compared byte by byte, so no collision, made or met, can give anybody
another call's answer. Every layer is bounded in bytes.
"""

from collections.abc import Hashable, Mapping

import xxhash

from gateway.core.cache_plan import CachePlan
from gateway.core.lru import Lru
from gateway.core.metrics import LOCAL_CACHE_BYTES
from gateway.core.types import Answer, Call
from gateway.ports import Meter

PLANS_BYTES = 4 * 2**20
# What an entry takes beside its bytes: the objects around them, measured (tests/flow/test_real_sizes.py).
CALL_OVERHEAD, ANSWER_OVERHEAD, PLAN_OVERHEAD = 600, 1000, 480


class LocalCache:
    """Parsed calls, cache plans, and answers that came from, or went to, the stores."""

    def __init__(self, meter: Meter, calls_bytes: int, answers_bytes: int) -> None:
        self._meter = meter
        self._calls: Lru[tuple[bytes, Call]] = Lru(calls_bytes)
        self._plans: Lru[CachePlan] = Lru(PLANS_BYTES)
        self._answers: Lru[tuple[Answer, float]] = Lru(answers_bytes)
        self.generation = 0
        """How often it was cleared: what was looked up in an earlier generation must not be put."""

    def sizes(self) -> Mapping[str, int]:
        """What each layer takes."""
        return {"calls": self._calls.bytes, "plans": self._plans.bytes, "answers": self._answers.bytes}

    def call(self, endpoint: str, query: str, raw: bytes) -> Call | None:
        """The call that exactly these bytes were, if they arrived recently."""
        found = self._calls.get((endpoint, query, xxhash.xxh3_64_intdigest(raw)))
        return found[1] if found is not None and found[0] == raw else None

    def put_call(self, endpoint: str, query: str, raw: bytes, call: Call) -> None:
        key = (endpoint, query, xxhash.xxh3_64_intdigest(raw))
        size = len(raw) + len(call.body) + len(call.target) + len(query) + CALL_OVERHEAD
        self._calls.put(key, (raw, call), size)
        self._meter.gauge(LOCAL_CACHE_BYTES, self._calls.bytes, "calls")

    def plan(self, call: Call, scope: Hashable) -> CachePlan | None:
        """The plan of this call for callers of this sharing scope who sent no cache directives."""
        return self._plans.get((call.canonical_digest, call.endpoint, call.model, call.flagged, scope))

    def put_plan(self, call: Call, scope: Hashable, plan: CachePlan) -> None:
        self._plans.put((call.canonical_digest, call.endpoint, call.model, call.flagged, scope), plan, PLAN_OVERHEAD)

    def answer(self, cache_key: str, call: Call) -> tuple[Answer, float] | None:
        """An answer as this call's caller gets it, and until when it is fresh (seconds since the epoch)."""
        return self._answers.get((cache_key, call.spelling_digest))

    def put_answer(self, cache_key: str, call: Call, answer: Answer, fresh_until: float) -> None:
        size = len(answer.body) + len(answer.compressed or b"") + ANSWER_OVERHEAD
        self._answers.put((cache_key, call.spelling_digest), (answer, fresh_until), size)
        self._meter.gauge(LOCAL_CACHE_BYTES, self._answers.bytes, "answers")

    def drop_answer(self, cache_key: str, call: Call) -> None:
        self._answers.drop((cache_key, call.spelling_digest))

    def clear(self) -> None:
        """Forget everything: something was purged."""
        self.generation += 1
        self._calls.clear()
        self._plans.clear()
        self._answers.clear()
        for layer in ("calls", "answers"):
            self._meter.gauge(LOCAL_CACHE_BYTES, 0, layer)
