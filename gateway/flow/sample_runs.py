"""`sample=next, run=TOKEN`: within a run of a notebook, the n-th repeat of a call gets sample n.

A run is named by a token of the caller's own choice; a new one starts at 1, so a replay gets the samples in the order
in which the recording got them. A frozen namespace has counters of its own: the first replay of a recording starts at 1
even where it kept the recording's token. The counters are in the state store: without it such a call is refused with
503. A number whose request fails, or whose caller goes away, is given back, so that the next try gets the same sample.
"""

import hmac
from dataclasses import dataclass
from hashlib import sha256

from gateway.core.cache_directives import MAX_SAMPLE
from gateway.core.cache_plan import CachePlan
from gateway.core.metrics import STORE_ERRORS
from gateway.core.problems import CACHE_CONTROL_INVALID, STATE_UNAVAILABLE, Problem
from gateway.core.types import Call, DeterminismClass, Principal
from gateway.flow.runtime import Runtime
from gateway.ports import RunCounters, StoreUnavailable


@dataclass(frozen=True, slots=True)
class DrawnSample:
    """A number that a request has taken: of whose counter, of which, and the number."""

    owner: str
    counter: str
    number: int


class SampleRuns:
    """Numbers of samples, as one worker takes them; `secret` hides users and calls from the store."""

    def __init__(self, counters: RunCounters, secret: bytes, runtime: Runtime) -> None:
        self._counters, self._secret, self._meter = counters, secret, runtime.meter

    def wanted(self, plan: CachePlan, call: Call) -> bool:
        """Whether the sample is to be counted: the answer is stored, and a repeat would be another one."""
        in_run = plan.directives.run is not None and plan.cache_key is not None
        return in_run and call.draws is not DeterminismClass.EXACT

    async def next(self, plan: CachePlan, call: Call, who: Principal) -> DrawnSample:
        """The next number of this call in this user's run."""
        owner, counter = self._names(plan, call, who)
        try:
            number = await self._counters.next(owner, counter, MAX_SAMPLE)
        except StoreUnavailable:
            self._meter.count(STORE_ERRORS, "state", "sample_run")
            raise Problem(STATE_UNAVAILABLE, headers={"Retry-After": "2"}) from None
        if number is None:
            raise Problem(CACHE_CONTROL_INVALID, f"sample=next: this run has had all {MAX_SAMPLE} samples of the call.")
        return DrawnSample(owner, counter, number)

    async def give_back(self, drawn: DrawnSample) -> None:
        """The number was of no use. Where the store is lost it stays taken, and a replay skips it."""
        try:
            await self._counters.give_back(drawn.owner, drawn.counter, drawn.number)
        except StoreUnavailable:
            self._meter.count(STORE_ERRORS, "state", "sample_run")

    def _names(self, plan: CachePlan, call: Call, who: Principal) -> tuple[str, str]:
        asked, place = plan.directives, plan.namespace or ""
        run, pool = asked.run or "", asked.pool or ""
        digest = call.canonical_digest if plan.namespace else call.cache_digest
        text = f"{plan.frozen} {len(run)}:{run} {len(pool)}:{pool} {len(place)}:{place} "
        return self._digest(b"user " + who.user.encode()), self._digest(b"call " + text.encode() + digest)

    def _digest(self, content: bytes) -> str:
        return hmac.new(self._secret, content, sha256).hexdigest()[:32]
