"""The way upstream: which key, how many tries, and what each failure means for key, call, charge and breaker."""

import asyncio
from typing import Any

import pytest

from gateway.core.breaker import Breaker
from gateway.core.types import Answer
from gateway.flow.dispatch import DISABLED_FOR_S, MAX_COOLDOWN_S, Computed, Dispatcher, UpstreamConfig, UpstreamKey
from gateway.flow.runtime import BackgroundTasks
from gateway.ports import UpstreamLoss, UpstreamReply, UpstreamRequest
from tests.flow.harness import Parts, a_call, turns

GOOD = UpstreamReply(200, "application/json", None, b'{"outputs":{}}')
NOT_SENT = UpstreamLoss("connect", sent=False, timed_out=False)


def status(code: int, retry_after_s: float | None = None) -> UpstreamReply:
    return UpstreamReply(code, "application/json", retry_after_s, b"{}")


class Desk:
    """A dispatcher with two plain keys and one that is marked, and a breaker that opens after three failures."""

    def __init__(self, *plain: str, retries: int = 2, marked: bool = True) -> None:
        self.parts, self.said = Parts(), list[str]()
        self.keys = {name: UpstreamKey(name, f"secret-{name}") for name in plain or ("one", "two")}
        if marked:
            self.keys["marked"] = UpstreamKey("marked", "secret-marked", concern=True)
        p = self.parts
        self.dispatcher = Dispatcher(
            p.upstream,
            list(self.keys.values()),
            Breaker(3, 20.0),
            UpstreamConfig(retries, cooldown_s=7.0),
            p.runtime(),
            self.said.append,
        )
        p.upstream.answer = lambda _: GOOD

    def compute(self, *replies: Any, flagged: bool = False) -> Computed:
        self.parts.upstream.replies.extend(replies)
        computed: list[Computed] = []

        async def act(tasks: BackgroundTasks) -> None:
            computed.append(await self.dispatcher.compute(a_call(flagged=flagged)))

        self.parts.play(act)
        self.parts.upstream.replies.clear()
        return computed[0]

    def sent_with(self) -> list[str]:
        return [request.secret.removeprefix("secret-") for request in self.parts.upstream.requests]

    def gauge(self, *name: str) -> float:
        return self.parts.meter.gauges[name]

    def states(self) -> list[float]:
        return [self.gauge("esmgw_upstream_keys", state) for state in ("ready", "cooling_down", "disabled")]


def said(computed: Computed) -> tuple[str, int, bool]:
    assert computed.answer is None
    assert computed.problem is not None
    return computed.problem.type.slug, computed.problem.type.status, computed.may_have_worked


def retry_after(computed: Computed) -> str | None:
    assert computed.problem is not None
    return computed.problem.headers.get("Retry-After")


def test_an_answer_is_the_upstream_s_bytes_with_the_class_of_the_call() -> None:
    desk = Desk()
    assert desk.compute() == Computed(
        Answer(GOOD.body, 1_800_000_000.0, a_call().determinism.cls), None, may_have_worked=True
    )
    assert desk.parts.meter.counts[("esmgw_upstream_requests_total", "generate_tensor", "ok")] == 1


@pytest.mark.parametrize("asked, rests_s", [(30.0, 30.0), (0.5, 0.5), (None, 7.0), (1e9, MAX_COOLDOWN_S)])
def test_a_429_rests_its_key_for_as_long_as_it_says_and_the_next_key_is_asked(
    asked: float | None, rests_s: float
) -> None:
    desk = Desk()
    assert desk.compute(status(429, asked)).answer is not None
    assert desk.sent_with() == ["one", "two"]
    assert desk.keys["one"].cooling_down_until - desk.parts.clock.monotonic() == pytest.approx(rests_s)
    desk.parts.clock.advance(rests_s + 0.01)
    desk.compute()
    assert desk.sent_with()[-1] == "one"


def test_a_refused_key_is_set_aside_and_said_by_its_name_and_never_by_its_secret() -> None:
    desk = Desk()
    assert desk.compute(status(401)).answer is not None
    assert desk.sent_with() == ["one", "two"]
    assert len(desk.said) == 1
    assert "one" in desk.said[0]
    assert "secret" not in desk.said[0] + repr(desk.keys["one"])
    assert desk.states() == [2, 0, 1]
    desk.parts.clock.advance(DISABLED_FOR_S - 1)
    desk.compute()
    desk.parts.clock.advance(2)
    desk.compute()
    assert desk.sent_with()[2:] == ["two", "one"]


@pytest.mark.parametrize("retries", [0, 1, 4])
def test_tries_are_bounded(retries: int) -> None:
    desk = Desk(*"abcdefgh", retries=retries)
    computed = desk.compute(*[status(429)] * 8)
    assert said(computed) == ("upstream-busy", 429, False)
    assert desk.sent_with() == list("abcdefgh")[: retries + 1]


@pytest.mark.parametrize(
    "reply, problem",
    [
        (UpstreamLoss("reset", sent=True, timed_out=False), ("upstream-failed", 502, True)),
        (UpstreamLoss("slow", sent=True, timed_out=True), ("upstream-timeout", 504, True)),
        (UpstreamLoss("too_large", sent=True, timed_out=False), ("upstream-answer-bad", 502, True)),
        (status(504), ("upstream-timeout", 504, True)),
        (status(500), ("upstream-failed", 502, False)),
        (status(502), ("upstream-failed", 502, False)),
        (status(400), ("upstream-refused", 422, False)),
        (status(403), ("upstream-refused", 422, False)),
        (UpstreamReply(204, "application/json", None, GOOD.body), ("upstream-answer-bad", 502, True)),
        (UpstreamReply(200, "text/html", None, GOOD.body), ("upstream-answer-bad", 502, True)),
        (UpstreamReply(200, "application/json", None, b"{}"), ("upstream-answer-bad", 502, True)),
        (UpstreamReply(200, "application/json", None, b"[]"), ("upstream-answer-bad", 502, True)),
        (UpstreamReply(200, "application/json", None, b'{"outputs":{'), ("upstream-answer-bad", 502, True)),
        (UpstreamReply(200, "application/json", None, b'{"outputs":null}'), ("upstream-answer-bad", 502, True)),
    ],
)
def test_what_the_upstream_may_have_worked_on_or_refused_is_not_sent_again(
    reply: UpstreamReply | UpstreamLoss, problem: tuple[str, int, bool]
) -> None:
    desk = Desk()
    assert said(desk.compute(reply)) == problem
    assert len(desk.sent_with()) == 1


@pytest.mark.parametrize("reply", [NOT_SENT, status(503), status(402), status(429), status(401)])
def test_what_cost_no_work_is_tried_again(reply: UpstreamReply | UpstreamLoss) -> None:
    desk = Desk()
    assert desk.compute(reply).answer is not None
    assert len(desk.sent_with()) == 2


def test_the_older_wrapping_of_an_answer_is_an_answer() -> None:
    assert Desk().compute(UpstreamReply(200, "application/json", None, b'{"data":{"outputs":{}}}')).answer is not None


def test_flagged_calls_go_with_marked_keys_alone_and_others_never_do() -> None:
    desk = Desk()
    desk.compute(flagged=True)
    assert said(desk.compute(status(429, 50.0), flagged=True)) == ("upstream-busy", 429, False)
    assert desk.sent_with() == ["marked", "marked"]
    computed = desk.compute(status(401), status(401), status(401))
    assert said(computed) == ("no-upstream-key", 503, False)
    assert desk.sent_with()[2:] == ["one", "two"]


def test_without_a_marked_key_a_flagged_call_is_told_so_and_not_sent() -> None:
    desk = Desk(marked=False)
    computed = desk.compute(flagged=True)
    assert said(computed) == ("no-upstream-key", 503, False)
    assert computed.problem is not None
    assert "marked" in computed.problem.detail
    assert desk.sent_with() == []


@pytest.mark.parametrize("waited, says", [(0.0, "30"), (9.6, "21"), (29.9, "1")])
def test_where_all_keys_rest_callers_are_told_when_the_first_is_ready_and_not_sooner(waited: float, says: str) -> None:
    desk = Desk()
    desk.compute(status(429, 50.0), status(429, 30.0))
    desk.parts.clock.advance(waited)
    computed = desk.compute()
    assert said(computed) == ("upstream-busy", 429, False)
    assert retry_after(computed) == says
    assert len(desk.sent_with()) == 2


def test_the_key_with_the_least_under_way_goes_first() -> None:
    desk = Desk("a", "b", "c")
    gates: list[asyncio.Event] = []

    async def held(_: UpstreamRequest) -> UpstreamReply:
        gates.append(asyncio.Event())
        await gates[-1].wait()
        return GOOD

    desk.parts.upstream.answer = held

    async def act(tasks: BackgroundTasks) -> None:
        going = []
        for _ in range(6):
            going.append(asyncio.ensure_future(desk.dispatcher.compute(a_call())))
            await turns(3)
        assert sorted(desk.sent_with()) == list("aabbcc")
        assert desk.gauge("esmgw_in_flight", "upstream") == 6
        gates[1].set()
        await turns()
        going.append(asyncio.ensure_future(desk.dispatcher.compute(a_call())))
        await turns()
        assert desk.sent_with()[-1] == "b"
        for gate in gates:
            gate.set()
        await asyncio.gather(*going)

    desk.parts.play(act)
    assert desk.gauge("esmgw_in_flight", "upstream") == 0
    assert [key.in_flight for key in desk.keys.values()] == [0, 0, 0, 0]


def test_a_call_cut_off_is_no_longer_under_way() -> None:
    desk = Desk()

    async def never(_: UpstreamRequest) -> UpstreamReply:
        return await asyncio.get_running_loop().create_future()  # type: ignore[no-any-return]

    desk.parts.upstream.answer = never

    async def act(tasks: BackgroundTasks) -> None:
        going = asyncio.ensure_future(desk.dispatcher.compute(a_call()))
        await turns()
        going.cancel()
        await asyncio.gather(going, return_exceptions=True)

    desk.parts.play(act)
    assert (desk.gauge("esmgw_in_flight", "upstream"), desk.keys["one"].in_flight) == (0, 0)


def test_failures_in_a_row_open_the_breaker_and_one_trial_closes_it() -> None:
    desk = Desk()
    for _ in range(3):
        assert said(desk.compute(status(500))) == ("upstream-failed", 502, False)
    assert desk.gauge("esmgw_breaker_state") == 1
    desk.parts.clock.advance(4.6)
    computed = desk.compute()
    assert (said(computed), retry_after(computed)) == (("upstream-unavailable", 503, False), "16")
    assert len(desk.sent_with()) == 3
    desk.parts.clock.advance(16)
    assert desk.compute().answer is not None
    assert desk.gauge("esmgw_breaker_state") == 0
    assert desk.compute().answer is not None


def test_a_trial_that_fails_opens_the_breaker_again_at_once() -> None:
    desk = Desk()
    desk.compute(*[NOT_SENT] * 3)
    desk.parts.clock.advance(20)
    assert said(desk.compute(status(503))) == ("upstream-unavailable", 503, False)
    assert said(desk.compute()) == ("upstream-unavailable", 503, False)
    assert len(desk.sent_with()) == 4


def test_only_one_call_tries_an_upstream_that_rested() -> None:
    desk = Desk()
    desk.compute(*[NOT_SENT] * 3)
    desk.parts.clock.advance(20)
    gate = asyncio.Event()

    async def held(_: UpstreamRequest) -> UpstreamReply:
        await gate.wait()
        return GOOD

    desk.parts.upstream.answer = held

    async def act(tasks: BackgroundTasks) -> None:
        trial, other = (asyncio.ensure_future(desk.dispatcher.compute(a_call())) for _ in range(2))
        assert said(await other)[0] == "upstream-unavailable"
        gate.set()
        assert (await trial).answer is not None

    desk.parts.play(act)
    assert len(desk.sent_with()) == 4


@pytest.mark.parametrize("reply", [status(429, 0.0), status(401), status(400)])
def test_refusals_of_a_key_or_a_call_never_open_the_breaker(reply: UpstreamReply) -> None:
    desk = Desk(*"abcdefgh", retries=0)
    for _ in range(6):
        desk.compute(reply)
    assert desk.compute().answer is not None


def test_a_trial_for_which_there_is_no_key_leaves_the_trial_to_the_next_call() -> None:
    desk = Desk(marked=False)
    desk.compute(*[NOT_SENT] * 3)
    desk.parts.clock.advance(20)
    assert said(desk.compute(flagged=True))[0] == "no-upstream-key"
    assert desk.compute().answer is not None


def test_the_gauges_stand_before_the_first_call() -> None:
    desk = Desk()
    assert desk.states() == [3, 0, 0]
    assert desk.gauge("esmgw_breaker_state") == 0
    desk.compute(status(429), status(429))
    assert desk.states() == [1, 2, 0]


def test_a_trial_that_says_nothing_of_the_upstream_s_health_leaves_the_trial_to_the_next_call() -> None:
    desk = Desk()
    desk.compute(*[NOT_SENT] * 3)
    desk.parts.clock.advance(20)
    assert said(desk.compute(status(400)))[0] == "upstream-refused"
    assert desk.compute().answer is not None


def test_a_later_reply_that_asks_for_less_does_not_cut_an_earlier_rest_short() -> None:
    desk = Desk("one", marked=False, retries=0)
    waiting: list[asyncio.Future[UpstreamReply]] = []

    def slowly(_: UpstreamRequest) -> "asyncio.Future[UpstreamReply]":
        waiting.append(asyncio.get_running_loop().create_future())
        return waiting[-1]

    async def act(tasks: BackgroundTasks) -> None:
        desk.parts.upstream.answer = slowly
        calls = [asyncio.ensure_future(desk.dispatcher.compute(a_call())) for _ in range(2)]
        await turns()
        waiting[0].set_result(status(429, 60.0))
        await turns()
        waiting[1].set_result(status(429, 1.0))
        await asyncio.gather(*calls)

    desk.parts.play(act)
    desk.parts.clock.advance(30.0)
    assert desk.keys["one"].state(desk.parts.clock.monotonic()) == "cooling_down"


def test_a_rest_that_is_over_shows_without_a_call() -> None:
    desk = Desk()

    async def act(tasks: BackgroundTasks) -> None:
        forever = asyncio.ensure_future(desk.dispatcher.forever())
        await desk.parts.clock.sleep(20.0)
        forever.cancel()
        await asyncio.gather(forever, return_exceptions=True)

    desk.compute(status(429), status(429))
    assert desk.states() == [1, 2, 0]
    desk.parts.play(act)
    assert desk.states() == [3, 0, 0]
