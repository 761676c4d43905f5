"""The way upstream: which key, how many tries, and what each failure means for key, call and charge."""

import asyncio
from typing import Any

import pytest

from gateway.core.problems import BODY_TOO_COMPLEX, READER_UNAVAILABLE, Problem, ProblemType
from gateway.core.types import Answer
from gateway.flow.runtime import BackgroundTasks
from gateway.ports import UpstreamLoss, UpstreamReply, UpstreamRequest
from tests.flow.harness import a_call, turns
from tests.flow.places import GOOD, Desk, detail, retry_after, said, status, together

NOT_SENT = UpstreamLoss("connect", sent=False, timed_out=False)


def test_an_answer_is_the_upstream_s_bytes_with_the_class_of_the_call() -> None:
    desk = Desk()
    computed = desk.compute()
    assert computed.answer == Answer(GOOD.body, 1_800_000_000.0, a_call().determinism.cls)
    assert (computed.problem, computed.may_have_worked) == (None, True)
    assert desk.parts.meter.counts[("esmgw_upstream_requests_total", "generate_tensor", "ok")] == 1
    assert desk.is_idle()


@pytest.mark.parametrize(
    "reply, problem",
    [
        (UpstreamLoss("reset", sent=True, timed_out=False), ("upstream-failed", 502, True)),
        (UpstreamLoss("slow", sent=True, timed_out=True), ("upstream-timeout", 504, True)),
        (UpstreamLoss("too_large", sent=True, timed_out=False), ("answer-too-large", 422, True)),
        (status(504), ("upstream-timeout", 504, True)),
        (status(502), ("upstream-failed", 502, False)),
        (status(501), ("upstream-failed", 502, False)),
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
    assert desk.is_idle()


@pytest.mark.parametrize(
    "reply",
    [
        NOT_SENT,
        UpstreamLoss("own_limit", sent=False, timed_out=False),
        status(503),
        status(500),
        status(402),
        status(429),
        status(401),
    ],
)
def test_what_cost_no_work_is_tried_again(reply: UpstreamReply | UpstreamLoss) -> None:
    desk = Desk()
    assert desk.compute(reply).answer is not None
    assert len(desk.sent_with()) == 2
    assert desk.is_idle()


@pytest.mark.parametrize("reply", [NOT_SENT, status(503)])
@pytest.mark.parametrize("retries", [0, 1, 4])
def test_tries_are_bounded_by_the_setting(retries: int, reply: Any) -> None:
    desk = Desk(*"abcdefgh", retries=retries, failures=100)
    assert said(desk.compute(*[reply] * 8)) == ("upstream-failed", 502, False)
    assert len(desk.sent_with()) == retries + 1


def test_the_older_wrapping_of_an_answer_is_an_answer() -> None:
    assert Desk().compute(UpstreamReply(200, "application/json", None, b'{"data":{"outputs":{}}}')).answer is not None


def test_a_refusal_of_one_key_goes_to_the_next_at_once_and_the_call_waits_for_nothing() -> None:
    desk = Desk()
    assert desk.compute(status(429, 30.0)).answer is not None
    assert (desk.sent_with(), desk.seconds()) == (["one", "two"], 0.0)
    assert desk.states() == [3, 0, 0]


def test_a_key_that_refuses_one_call_and_takes_the_next_is_not_rested() -> None:
    desk = Desk("one", marked=False)
    assert desk.compute(status(429, 30.0)).answer is not None
    assert desk.seconds() < 0.5
    assert desk.states() == [1, 0, 0]


@pytest.mark.parametrize("code, state", [(429, 1), (402, 1), (401, 2)])
def test_a_key_that_refuses_a_second_look_rests_and_is_said_by_its_name_and_never_by_its_secret(
    code: int, state: int
) -> None:
    desk = Desk("one", marked=False)
    assert desk.compute(status(code), status(code)).answer is not None
    assert desk.seconds() >= 1.0
    assert len(desk.said) == 1
    assert "one" in desk.said[0]
    assert "secret" not in desk.said[0]


@pytest.mark.parametrize("asked, waited", [(1.0, 1.0), (1.5, 1.5)])
def test_a_call_waits_for_a_key_as_long_as_it_was_asked_to_if_there_is_patience(asked: float, waited: float) -> None:
    desk = Desk("one", marked=False)
    assert desk.compute(status(429, asked), status(429, asked)).answer is not None
    assert waited <= desk.seconds() <= waited + 0.3


@pytest.mark.parametrize("asked", [3.0, 60.0, 1e9])
def test_where_that_is_longer_the_caller_is_told_in_time_and_how_long_it_will_be(asked: float) -> None:
    desk = Desk("one", marked=False)
    computed = desk.compute(status(429, asked), status(429, asked))
    assert said(computed) == ("upstream-busy", 429, False)
    assert desk.seconds() == pytest.approx(2.0, abs=0.05)
    left = round(min(asked, 120.0) - desk.seconds() + 0.11 + 0.499)
    assert retry_after(computed) in {str(left), str(left - 1), str(left + 1)}
    assert f"try again in {retry_after(computed)} s" in detail(computed)
    assert desk.is_idle()


def test_a_call_that_alone_is_refused_is_told_so_and_rests_no_key_of_others() -> None:
    desk = Desk("one", marked=False)

    def picky(request: UpstreamRequest) -> UpstreamReply:
        return status(429, 60.0, b'{"error":"model not in your plan"}') if request.body == b"eve" else GOOD

    desk.parts.upstream.answer = picky

    async def act(tasks: BackgroundTasks) -> None:
        served = []

        async def bob() -> None:
            for n in range(60):
                computed = await desk.ask("bob", name=f"b{n}")
                served.append((computed.answer is not None, desk.seconds()))
                await desk.parts.clock.sleep(0.05)

        async def eve() -> str:
            call = a_call(name="eve")
            object.__setattr__(call, "body", b"eve")
            computed = await desk.dispatcher.compute(call, desk.turns("eve", name="eve"))
            assert said(computed) == ("upstream-busy", 429, False)
            return detail(computed)

        results = await together(bob(), eve(), eve())
        assert all(ok for ok, _ in served)
        assert served[-1][1] < 3.5
        assert "try again in" in results[1]

    desk.parts.play(act)
    assert desk.is_idle()


def test_flagged_calls_go_with_marked_keys_alone_and_others_never_do() -> None:
    desk = Desk()
    desk.compute(flagged=True)
    assert said(desk.compute(*[status(429, 50.0)] * 2, flagged=True)) == ("upstream-busy", 429, False)
    assert set(desk.sent_with()) == {"marked"}
    before = len(desk.sent_with())
    desk.compute()
    assert desk.sent_with()[before:] == ["one"]


def test_without_a_marked_key_a_flagged_call_is_told_so_and_not_sent() -> None:
    desk = Desk(marked=False)
    computed = desk.compute(flagged=True)
    assert said(computed) == ("no-upstream-key", 503, False)
    assert "marked" in detail(computed)
    assert desk.sent_with() == []


def test_a_500_is_looked_at_again_after_half_a_second_and_told_with_its_reason() -> None:
    desk = Desk()
    computed = desk.compute(*[status(500, None, b'{"error":"no masks"}')] * 5)
    assert said(computed) == ("upstream-failed", 502, False)
    assert "no masks" in detail(computed)
    assert computed.reason == "no masks"
    assert (len(desk.sent_with()), desk.seconds()) == (2, 0.5)


def test_where_others_succeed_a_call_that_failed_twice_is_final_and_not_sent_again_for_a_minute() -> None:
    desk = Desk()
    desk.compute(name="another", user="bob")
    crash = status(500, None, b'{"error":"no masks"}')
    for _ in range(3):
        computed = desk.compute(crash, crash)
        assert said(computed) == ("upstream-crashed", 422, False)
        assert "no masks" in detail(computed)
    assert len(desk.sent_with()) == 3
    assert desk.gauge("esmgw_upstream_crashes_remembered") == 1
    assert desk.compute(name="third").answer is not None
    desk.parts.clock.advance(60.0)
    assert desk.compute().answer is not None


@pytest.mark.parametrize("reply", [status(502), status(503), status(504), NOT_SENT])
def test_what_is_about_the_upstream_is_never_remembered_of_a_call(reply: Any) -> None:
    desk = Desk(failures=100)
    desk.compute(name="another", user="bob")
    for _ in range(4):
        desk.compute(*[reply] * 3)
    assert desk.compute().answer is not None


def test_the_reason_for_a_refusal_is_passed_on_but_for_the_call_s_own_letters() -> None:
    desk = Desk()
    computed = desk.compute(status(422, None, b'{"message":"too long: max 1022"}'))
    assert detail(computed) == "The upstream answered with status 422: too long: max 1022"
    computed = desk.compute(status(403, None, b"<html>no</html>"))
    assert detail(computed) == "The upstream answered with status 403."


def test_the_call_s_time_is_one_for_the_wait_and_all_tries() -> None:
    desk = Desk("one", marked=False, max_concurrent=1, total_s=10.0)
    given: list[float] = []

    async def slowly(request: UpstreamRequest) -> UpstreamReply:
        given.append(round(request.timeout_s, 2))
        await desk.parts.clock.sleep(4.0)
        return GOOD if len(given) != 2 else status(503)

    desk.parts.upstream.answer = slowly

    async def act(tasks: BackgroundTasks) -> None:
        await together(desk.ask("ada", name="a"), desk.ask("ada", name="b"))

    desk.parts.play(act)
    assert given[0] == 10.0
    assert given[1] == 6.0
    assert given[2] < 2.0


def test_a_call_cut_off_gives_its_place_back() -> None:
    desk = Desk()

    async def never(_: UpstreamRequest) -> UpstreamReply:
        return await asyncio.get_running_loop().create_future()  # type: ignore[no-any-return]

    desk.parts.upstream.answer = never

    async def act(tasks: BackgroundTasks) -> None:
        going = asyncio.ensure_future(desk.ask())
        await turns()
        assert desk.gauge("esmgw_in_flight", "upstream") == 1
        going.cancel()
        await asyncio.gather(going, return_exceptions=True)

    desk.parts.play(act)
    assert desk.gauge("esmgw_in_flight", "upstream") == 0
    assert desk.is_idle()


def test_an_impatient_call_is_told_at_once_what_others_wait_for() -> None:
    desk = Desk("one", marked=False)
    computed = desk.compute(status(429, 1.0), status(429, 1.0), patient=False)
    assert said(computed) == ("upstream-busy", 429, False)
    assert desk.seconds() == 0.0


@pytest.mark.parametrize("problem_type", [BODY_TOO_COMPLEX, READER_UNAVAILABLE])
def test_an_answer_that_we_ourselves_cannot_read_is_charged_and_never_counts_against_the_upstream(
    problem_type: ProblemType, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def unread(*_: Any) -> bool:
        raise Problem(problem_type)

    desk = Desk(failures=2)
    monkeypatch.setattr(desk.dispatcher._answers, "judge", unread)
    for n in range(5):
        assert said(desk.compute(name=str(n))) == ("upstream-answer-bad", 502, True)
    assert desk.gauge("esmgw_breaker_state") == 0
    assert desk.breaker.callers_open() == 0


HOLLOW = UpstreamReply(200, "application/json", None, b'{"outputs":{}}')
UNSAFE = UpstreamReply(200, "application/json", None, b'{"outputs":{},"logits":"KLUv"}')
MASKED = UpstreamReply(200, "application/json", None, b'{"outputs":{"sequence":[0,7,5,32,2]}}')


@pytest.mark.parametrize("reply", [HOLLOW, UNSAFE, status(200, None, b"[]")])
def test_an_answer_at_fault_counts_against_the_upstream_once_several_calls_have_such(reply: UpstreamReply) -> None:
    desk = Desk(failures=2)
    for _ in range(10):
        desk.compute(reply)
    desk.compute(reply, name="second")
    assert desk.gauge("esmgw_breaker_state") == 0
    assert desk.breaker.callers_open() == 0
    desk.compute(reply, name="third")
    desk.compute(reply, name="fourth", user="bob")
    assert desk.gauge("esmgw_breaker_state") == 1


def test_an_implausible_answer_never_counts_against_the_upstream() -> None:
    desk = Desk(failures=2)
    for n in range(10):
        computed = desk.compute(MASKED, name=str(n))
        assert computed.answer is not None
        assert computed.answer.doubtful
        assert computed.reason == "masked positions are left"
    assert desk.gauge("esmgw_breaker_state") == 0
    assert desk.breaker.callers_open() == 0


def test_an_answer_with_code_in_it_is_not_asked_for_again() -> None:
    desk = Desk()
    computed = desk.compute(UNSAFE, GOOD)
    assert said(computed) == ("answer-unsafe", 422, True)
    assert len(desk.sent_with()) == 1
    assert "SDK would run it" in computed.reason


@pytest.mark.parametrize(
    "reply",
    [GOOD, status(502), status(400), UpstreamLoss("too_large", sent=True, timed_out=False), NOT_SENT],
    ids=["whole", "failed", "refused", "too large", "lost"],
)
def test_the_place_of_a_large_answer_is_free_again_whatever_came_of_it(reply: UpstreamReply | UpstreamLoss) -> None:
    desk = Desk(retries=0, failures=100)

    async def large(request: UpstreamRequest) -> UpstreamReply | UpstreamLoss:
        assert request.place is not None
        await request.place.take()
        return reply

    desk.parts.upstream.answer = large

    async def act(_: BackgroundTasks) -> None:
        async with asyncio.timeout(60):
            for number in range(5):  # more than there are places, each another call
                await desk.ask(name=f"call{number}")

    desk.parts.play(act)


def test_the_place_of_a_large_answer_is_free_again_when_its_call_is_cut_off() -> None:
    desk = Desk()

    async def never(request: UpstreamRequest) -> UpstreamReply:
        assert request.place is not None
        await request.place.take()
        await asyncio.get_running_loop().create_future()
        return GOOD

    async def large(request: UpstreamRequest) -> UpstreamReply:
        assert request.place is not None
        await request.place.take()
        return GOOD

    async def act(_: BackgroundTasks) -> None:
        desk.parts.upstream.answer = never
        for _number in range(3):
            asking = asyncio.ensure_future(desk.ask())
            await turns()
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
        desk.parts.upstream.answer = large
        async with asyncio.timeout(60):
            assert (await desk.ask()).answer is not None

    desk.parts.play(act)
