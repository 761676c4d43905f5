"""The in-process cache: recent bodies with the calls they are, plans, and hot answers, so that a repeat costs little.

Bodies are found by a fast fingerprint and then compared byte by byte, so no collision, made or met, can give anybody
another call's answer. Every layer is bounded in bytes.

What changes elsewhere is forgotten here, by its cache key (`invalidation_poller.py`). An answer that was on its way
from a store meanwhile is not remembered: whoever fetches one notes the moment before, and says it with the answer.
"""

from collections import OrderedDict
from collections.abc import Hashable, Mapping

import xxhash

from gateway.core.cache_plan import CachePlan
from gateway.core.lru import Lru
from gateway.core.metrics import LOCAL_CACHE_BYTES
from gateway.core.types import Answer, Call
from gateway.ports import Meter

PLANS_BYTES = 4 * 2**20
# Spellings of one call that are remembered, each with its answer.
MAX_SPELLINGS = 8
# Cache keys that are remembered as forgotten: those of some seconds.
MAX_FORGOTTEN = 8192
# What an entry takes beside its bytes: the objects around them, measured (tests/flow/test_real_sizes.py).
CALL_OVERHEAD, ANSWER_OVERHEAD, PLAN_OVERHEAD = 600, 1000, 480


class LocalCache:
    """Parsed calls, cache plans, and answers that came from, or went to, the stores."""

    def __init__(self, meter: Meter, calls_bytes: int, answers_bytes: int) -> None:
        self._meter = meter
        self._calls: Lru[tuple[bytes, Call]] = Lru(calls_bytes)
        self._plans: Lru[CachePlan] = Lru(PLANS_BYTES)
        self._answers: Lru[dict[bytes, tuple[Answer, float]]] = Lru(answers_bytes)
        self._moment, self._all_forgotten = 0, 0
        self._forgotten: OrderedDict[str, int] = OrderedDict()

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
        spellings = self._answers.get(cache_key)
        return None if spellings is None else spellings.get(call.spelling_digest)

    def put_answer(self, cache_key: str, call: Call, answer: Answer, fresh_until: float, since: int) -> None:
        """Remember it, unless what there was under this cache key was forgotten `since`."""
        if max(self._all_forgotten, self._forgotten.get(cache_key, 0)) > since:
            return
        spellings = {call.spelling_digest: (answer, fresh_until)}
        for digest, known in reversed((self._answers.get(cache_key) or {}).items()):
            if len(spellings) < MAX_SPELLINGS:
                spellings.setdefault(digest, known)
        self._answers.put(cache_key, dict(reversed(spellings.items())), sum(map(_size, spellings.values())))
        self._meter.gauge(LOCAL_CACHE_BYTES, self._answers.bytes, "answers")

    def moment(self) -> int:
        """To be noted before an answer is fetched that may be put."""
        return self._moment

    def forget(self, cache_key: str) -> None:
        """Forget what there is under this cache key, in every spelling."""
        self._moment += 1
        self._forgotten.pop(cache_key, None)
        self._forgotten[cache_key] = self._moment
        if len(self._forgotten) > MAX_FORGOTTEN:
            self._all_forgotten = self._forgotten.popitem(last=False)[1]
        self._answers.drop(cache_key)
        self._meter.gauge(LOCAL_CACHE_BYTES, self._answers.bytes, "answers")

    def forget_plans(self) -> None:
        """What is in force has changed, and the answers have not."""
        self._plans.clear()

    def clear(self) -> None:
        """Forget all answers and plans; what bodies mean stays true."""
        self._moment += 1
        self._all_forgotten = self._moment
        self._forgotten.clear()
        self._plans.clear()
        self._answers.clear()
        self._meter.gauge(LOCAL_CACHE_BYTES, 0, "answers")


def _size(known: tuple[Answer, float]) -> int:
    return len(known[0].body) + len(known[0].compressed or b"") + ANSWER_OVERHEAD
