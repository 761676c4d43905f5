"""What a process remembers so that a repeat costs little: recent bodies with the calls they are, and hot answers.

Bodies are found by a fast fingerprint and then compared byte by byte, so no collision, made or met, can give anybody
another call's answer. Both memories are bounded in bytes.
"""

import xxhash

from gateway.core.lru import Lru
from gateway.core.metrics import MEMORY_BYTES
from gateway.core.nouns import Answer, Call
from gateway.ports import Meter


class Memory:
    """Process memory of parsed calls and of answers that came from, or went to, the cache."""

    def __init__(self, meter: Meter, calls_bytes: int, answers_bytes: int) -> None:
        self._meter = meter
        self._calls: Lru[tuple[bytes, Call]] = Lru(calls_bytes)
        self._answers: Lru[tuple[Answer, float]] = Lru(answers_bytes)

    def call(self, endpoint: str, query: str, raw: bytes) -> Call | None:
        """The call that exactly these bytes were, if they came lately."""
        found = self._calls.get((endpoint, query, xxhash.xxh3_64_intdigest(raw)))
        return found[1] if found is not None and found[0] == raw else None

    def keep_call(self, endpoint: str, query: str, raw: bytes, call: Call) -> None:
        key = (endpoint, query, xxhash.xxh3_64_intdigest(raw))
        self._calls.put(key, (raw, call), len(raw) + len(call.body) + len(query))
        self._meter.gauge(MEMORY_BYTES, self._calls.bytes, "calls")

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
