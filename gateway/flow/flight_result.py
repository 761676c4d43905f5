"""What a flight ends with, and how the upstream's failure is told to those who wait for it in other processes.

A failure is told in the message that ends the lease, sealed like an answer: whoever can write to the cache store can
make none up, and an old one that is told again is not believed. Who does not hear of it takes the lease and asks anew.
"""

from dataclasses import dataclass

import orjson

from gateway.core import sealing
from gateway.core.problems import PROBLEM_TYPES, Problem
from gateway.core.types import Answer
from gateway.flow.runtime import Runtime

LANDING_S = 10.0
"""What came at the last moment is still read, stored and told; its followers wait so much longer."""
FAILURE = b"F"
"""How a message begins that is no entry: those begin with their version (core/sealing.py)."""
SKEW_S = 5.0
_TYPES = {kind.slug: kind for kind in PROBLEM_TYPES}


@dataclass(frozen=True, slots=True)
class FlightResult:
    """An answer, a failure, or (neither) a leader who was refused.

    `given_s`: the failure came as the leader's time was used up, of which there were so many seconds. `of_upstream`: it
    is what the upstream made of the call, and no matter of this process.
    """

    answer: Answer | None = None
    failure: Problem | None = None
    stored: bool = False
    given_s: float | None = None
    of_upstream: bool = False

    def concerns(self, seconds_left: float) -> bool:
        """Whether this is a failure for a follower, too, who has so much time left."""
        return self.failure is not None and (self.given_s is None or seconds_left <= self.given_s)


NO_RESULT = FlightResult()


class FailureMessages:
    """Failures as sealed messages; `key` seals entries."""

    def __init__(self, key: bytes, runtime: Runtime) -> None:
        self._key, self._clock = key, runtime.clock

    def seal(self, cache_key: str, result: FlightResult) -> bytes:
        """The message; empty for what is nobody else's."""
        problem = result.failure
        if problem is None or not result.of_upstream:
            return b""
        content = orjson.dumps(
            {
                "at": self._clock.now(),
                "type": problem.type.slug,
                "detail": problem.detail,
                "headers": dict(problem.headers),
                "given_s": result.given_s,
            }
        )
        nonce = self._clock.token(sealing.NONCE_BYTES)
        return FAILURE + sealing.seal(self._key, _address(cache_key), content, nonce)

    def open(self, cache_key: str, message: bytes, since: float) -> FlightResult | None:
        """The failure that is told; None for one that is not ours, or from before `since` (seconds since the epoch).

        The clocks of two machines may differ a little.
        """
        content = sealing.unseal(self._key, _address(cache_key), message.removeprefix(FAILURE))
        if content is None:
            return None
        told = orjson.loads(content)
        kind = _TYPES.get(told["type"])
        if kind is None or told["at"] < since - SKEW_S:
            return None
        return FlightResult(failure=Problem(kind, told["detail"], (), told["headers"]), given_s=told["given_s"])


def _address(cache_key: str) -> str:
    return f"failure:{cache_key}"
