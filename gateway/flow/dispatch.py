"""How a call goes upstream: with which key, how often it is tried, and what becomes of it.

`compute` takes a call and its turns at the upstream, and nothing about the caller: an answer may be shared, so it can
carry nothing about one.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from gateway.core import answer_faults, retry
from gateway.core.answer_faults import BROKEN, HOLLOW, UNSAFE
from gateway.core.answer_model import Judgement
from gateway.core.crash_memory import CrashMemory
from gateway.core.faulty_calls import FaultyCalls
from gateway.core.metrics import CRASHES_REMEMBERED, LATENCY, UPSTREAM_REQUESTS
from gateway.core.problems import ANSWER_UNSAFE, UPSTREAM_ANSWER_BAD, UPSTREAM_CRASHED, Problem
from gateway.core.retry import UpstreamOutcome
from gateway.core.retry_after import retry_after, try_again
from gateway.core.types import Answer, Call
from gateway.core.upstream_reason import short_reason
from gateway.flow.answer_check import AnswerCheck
from gateway.flow.large_answers import LargeAnswerPlace, LargeAnswers
from gateway.flow.runtime import Runtime
from gateway.flow.turns import Turns
from gateway.ports import Upstream, UpstreamLoss, UpstreamReply, UpstreamRequest

SECOND_LOOK_S = 0.5
"""A call that failed is not sent again sooner."""
FIRST_PAUSE_S = 0.1


@dataclass(frozen=True, slots=True)
class UpstreamConfig:
    """What the settings say about retries and answers; `obeys_no_store`: of Cache-Control in the upstream's replies."""

    retries: int = 2
    max_answer_bytes: int = 64 * 2**20
    upstream: str = ""
    obeys_no_store: bool = True


@dataclass(frozen=True, slots=True)
class Computed:
    """An answer or a problem; `may_have_worked`: the upstream may have done the work, so the charge stands.

    `reason` is what the upstream said, or what is wrong with its answer, for the log. Where the call was not sent, the
    problem is one of this worker.
    """

    answer: Answer | None
    problem: Problem | None
    may_have_worked: bool
    reason: str = ""
    was_sent: bool = True


class Dispatcher:
    """Upstream calls of one worker."""

    def __init__(
        self,
        upstream: Upstream,
        crashes: CrashMemory,
        answers: AnswerCheck,
        large: LargeAnswers,
        config: UpstreamConfig,
        runtime: Runtime,
    ) -> None:
        self._upstream, self._crashes, self._answers, self._config = upstream, crashes, answers, config
        self._large = large
        self._clock, self._meter = runtime.clock, runtime.meter
        self._faulty = FaultyCalls()

    async def compute(self, call: Call, turns: Turns) -> Computed:
        """Ask the upstream, again while a failure says that no work was done and there is time for it.

        Raises nothing but what `turns` is told to ask before each try.
        """
        failures = 0
        while True:
            try:
                await self._hold_repeat(call, turns)
                place = await turns.next()
            except Problem as problem:
                return Computed(None, problem, may_have_worked=False, was_sent=False)
            outcome: UpstreamOutcome | None = None
            reply: UpstreamReply | UpstreamLoss | None = None
            large = self._large.place()
            try:
                started, sent_at = self._clock.monotonic(), self._clock.now()
                reply = await self._send(call, place.key.secret, turns.seconds_left(), large)
                took = (sent_at, self._clock.monotonic() - started)
                outcome, computed = await self._classify(call, reply, took, place.key.secret)
            finally:
                large.leave()
                asked_s = reply.retry_after_s if isinstance(reply, UpstreamReply) else None
                turns.done(place, outcome, asked_s)
            failures += outcome.key_refusal is None
            if not outcome.retry or not await self._may_try_again(outcome, failures, turns) or not turns.has_time():
                return computed

    async def _hold_repeat(self, call: Call, turns: Turns) -> None:
        """A call that has just failed is sent again, but not at once; one that failed twice is not sent for a while."""
        now = self._clock.monotonic()
        reason = self._crashes.reason(now, call.canonical_digest)
        if reason is not None:
            raise _crashed(reason)
        failed_s = self._crashes.seconds_ago(now, call.canonical_digest)
        if failed_s is not None and failed_s < SECOND_LOOK_S:
            await turns.pause(SECOND_LOOK_S - failed_s)

    async def _may_try_again(self, outcome: UpstreamOutcome, failures: int, turns: Turns) -> bool:
        if outcome.key_refusal is not None:
            # Another key may take it at once. A key that took it back is looked at again after a pause.
            return turns.has_fresh_key() or await turns.pause(FIRST_PAUSE_S * 2.0 ** turns.repeats())
        if failures > self._config.retries:
            return False
        if outcome is retry.CRASHED:
            return failures < 2 and turns.patience_left() > 0
        return await turns.pause(FIRST_PAUSE_S * 2.0**failures) or failures <= 1

    async def _send(
        self, call: Call, secret: str, seconds: float, large: LargeAnswerPlace
    ) -> UpstreamReply | UpstreamLoss:
        request = UpstreamRequest(call.target, call.body, secret, self._config.max_answer_bytes, seconds, large)
        return await self._upstream.send(request)

    async def _classify(
        self, call: Call, reply: UpstreamReply | UpstreamLoss, took: tuple[float, float], secret: str
    ) -> tuple[UpstreamOutcome, Computed]:
        """`took`: when the call was sent, and for how many seconds."""
        outcome, computed = await self._read(call, reply, took, secret)
        now, digest = self._clock.monotonic(), call.canonical_digest
        if outcome is retry.CRASHED:
            self._crashes.failed(now, digest, computed.reason)
            if self._crashes.reason(now, digest) is not None:
                computed = Computed(None, _crashed(computed.reason), may_have_worked=False, reason=computed.reason)
        elif outcome is retry.OK:
            self._crashes.succeeded(now, digest)
        self._meter.observe(LATENCY, took[1], call.endpoint, "upstream")
        self._meter.count(UPSTREAM_REQUESTS, call.endpoint, outcome.name)
        self._meter.gauge(CRASHES_REMEMBERED, len(self._crashes))
        return outcome, computed

    async def _read(
        self, call: Call, reply: UpstreamReply | UpstreamLoss, took: tuple[float, float], secret: str
    ) -> tuple[UpstreamOutcome, Computed]:
        if isinstance(reply, UpstreamLoss):
            outcome = retry.of_loss(reply.sent, reply.timed_out, reply.reason)
            return outcome, _failed(outcome, _LOST.get(reply.reason, f"The connection was lost: {reply.reason}."))
        outcome = retry.of_status(reply.status)
        if outcome is not retry.OK:
            reason = short_reason(reply.body, reply.media_type, call.body, target=call.target, secrets=(secret,))
            return outcome, _refused(outcome, reply, reason)
        is_json = reply.status == 200 and reply.media_type == "application/json"
        try:
            judgement = await self._answers.judge(call, reply.body, "upstream") if is_json else Judgement(BROKEN)
        except Problem:
            detail = "The upstream answered, and the gateway could not read the answer."
            return retry.UNREAD, Computed(None, Problem(UPSTREAM_ANSWER_BAD, detail), may_have_worked=True)
        no_store = reply.no_store and self._config.obeys_no_store
        cls, upstream = call.determinism.cls, self._config.upstream
        answer = Answer(reply.body, took[0], cls, took[1], upstream, no_store=no_store)
        return self._judged(call, answer, judgement)

    def _judged(self, call: Call, answer: Answer, judgement: Judgement) -> tuple[UpstreamOutcome, Computed]:
        """A doubtful answer is passed on. One that is missing what was asked for says what a refused one says."""
        hollow = HOLLOW in judgement.faults
        at_fault = hollow or not judgement.passes
        several = at_fault and self._faulty.add(self._clock.monotonic(), call.canonical_digest)
        outcome = retry.of_answer(judgement.verdict, hollow=hollow, several=several)
        reason = answer_faults.in_words(judgement.names)
        if judgement.passes:
            return outcome, Computed(judgement.applied(answer), None, may_have_worked=True, reason=reason)
        problem_type = ANSWER_UNSAFE if judgement.verdict == UNSAFE else UPSTREAM_ANSWER_BAD
        return outcome, Computed(None, Problem(problem_type), may_have_worked=True, reason=reason)


_LOST: Mapping[str, str] = {
    "too_large": "The upstream's answer was too large; it was not passed on, and asking again would not change that.",
    "own_limit": "The gateway has too many connections open.",
}


def _failed(outcome: UpstreamOutcome, detail: str) -> Computed:
    problem = Problem(outcome.problem_type, detail)
    return Computed(None, problem, outcome.may_have_worked, was_sent=outcome is not retry.NOT_SENT)


def _refused(outcome: UpstreamOutcome, reply: UpstreamReply, reason: str) -> Computed:
    """What the upstream said is passed on, as far as it is short and says nothing of the call itself."""
    detail = f"The upstream answered with status {reply.status}" + (f": {reason}" if reason else ".")
    headers: Mapping[str, str] = {}
    if outcome.key_refusal is not None:
        seconds = reply.retry_after_s or 1.0
        headers, detail = retry_after(seconds), f"{detail.rstrip('.')}; {try_again(seconds)}."
    problem = Problem(outcome.problem_type, detail, (), headers)
    return Computed(None, problem, outcome.may_have_worked, reason)


def _crashed(reason: str) -> Problem:
    said = f"The upstream failed on this call twice: {reason}" if reason else "The upstream failed on this call twice."
    return Problem(UPSTREAM_CRASHED, said)
