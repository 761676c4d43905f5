"""What a process remembers so that a repeat costs little: recent bodies with the calls they are, and hot answers.

Bodies are found by a fast fingerprint and then compared byte by byte, so no collision, made or met, can give anybody
another call's answer. Both memories are bounded in bytes.
"""

import xxhash

from gateway.core.caching import Plan
from gateway.core.lru import Lru
from gateway.core.metrics import MEMORY_BYTES
from gateway.core.nouns import Answer, Call
from gateway.ports import Meter

PLANS_BYTES = 4 * 2**20


class Memory:
    """Process memory of parsed calls and of answers that came from, or went to, the cache."""

    def __init__(self, meter: Meter, calls_bytes: int, answers_bytes: int) -> None:
        self._meter = meter
        self._calls: Lru[tuple[bytes, Call]] = Lru(calls_bytes)
        self._plans: Lru[Plan] = Lru(PLANS_BYTES)
        self._answers: Lru[tuple[Answer, float]] = Lru(answers_bytes)

    def call(self, endpoint: str, query: str, raw: bytes) -> Call | None:
        """The call that exactly these bytes were, if they came lately."""
        found = self._calls.get((endpoint, query, xxhash.xxh3_64_intdigest(raw)))
        return found[1] if found is not None and found[0] == raw else None

    def keep_call(self, endpoint: str, query: str, raw: bytes, call: Call) -> None:
        key = (endpoint, query, xxhash.xxh3_64_intdigest(raw))
        self._calls.put(key, (raw, call), len(raw) + len(call.body) + len(query))
        self._meter.gauge(MEMORY_BYTES, self._calls.bytes, "calls")

    def plan(self, call: Call, holder: str, epoch: int | None) -> Plan | None:
        """The plan of this call for those who share, where nothing special was asked for."""
        return self._plans.get((call.canonical, call.endpoint, call.model, call.flagged, holder, epoch))

    def keep_plan(self, call: Call, holder: str, epoch: int | None, plan: Plan) -> None:
        self._plans.put((call.canonical, call.endpoint, call.model, call.flagged, holder, epoch), plan, 512)

    def answer(self, address: str, now: float) -> Answer | None:
        """An answer kept here, unless its time is over (`now` in seconds since the epoch)."""
        found = self._answers.get(address)
        return found[0] if found is not None and now < found[1] else None

    def keep_answer(self, address: str, answer: Answer, expires: float) -> None:
        self._answers.put(address, (answer, expires), len(answer.body))
        self._meter.gauge(MEMORY_BYTES, self._answers.bytes, "answers")

    def forget_answers(self) -> None:
        self._answers.clear()
        self._meter.gauge(MEMORY_BYTES, 0, "answers")
