"""Places at the upstream: shared among users, held while keys rest, bounded, and given back."""

import asyncio
from collections import Counter

import pytest

from gateway.core.problems import Problem
from gateway.core.retry import KEY_COOLING_DOWN, OK, of_status
from gateway.flow.runtime import BackgroundTasks
from gateway.flow.turns import Turns
from gateway.ports import UpstreamLoss, UpstreamReply, UpstreamRequest
from tests.flow.harness import turns
from tests.flow.places import GOOD, Desk, detail, retry_after, said, status, together

LOST = UpstreamLoss("reset", sent=True, timed_out=False)


def served_in(desk: Desk, seconds: float) -> None:
    """The upstream takes so long for every call."""

    async def slowly(_: UpstreamRequest) -> UpstreamReply:
        await desk.parts.clock.sleep(seconds)
        return GOOD

    desk.parts.upstream.answer = slowly


@pytest.mark.parametrize("before", [10, 500, 3000])
def test_a_single_call_waits_for_what_is_in_service_however_many_of_another_user_wait(before: int) -> None:
    desk = Desk("one", max_concurrent=4)
    served_in(desk, 1.0)

    async def act(tasks: BackgroundTasks) -> None:
        crowd = [asyncio.ensure_future(desk.ask("ada", name=f"a{n}")) for n in range(before)]
        await turns()
        await desk.parts.clock.sleep(1.5)
        asked = desk.seconds()
        assert (await desk.ask("bob", name="b")).answer is not None
        assert desk.seconds() - asked <= 2.0
        for call in crowd:
            call.cancel()
        await asyncio.gather(*crowd, return_exceptions=True)

    desk.parts.play(act)
    assert desk.is_idle()


def test_shares_follow_weights_and_units_and_no_place_stays_empty() -> None:
    desk = Desk("one", max_concurrent=4, weights={"carl": 2.0})
    served_in(desk, 1.0)
    units: Counter[str] = Counter()

    async def call(user: str, n: int, cost: int) -> None:
        if (await desk.ask(user, name=f"{user}{n}", units=cost)).answer is not None:
            units[user] += cost

    async def act(tasks: BackgroundTasks) -> None:
        crowd = [asyncio.ensure_future(call("ada", n, 100)) for n in range(400)]
        crowd += [asyncio.ensure_future(call("carl", n, 10)) for n in range(4000)]
        await desk.parts.clock.sleep(300.5)
        for each in crowd:
            each.cancel()
        await asyncio.gather(*crowd, return_exceptions=True)

    desk.parts.play(act)
    assert units["carl"] / units["ada"] == pytest.approx(2.0, rel=0.1)
    assert units["ada"] // 100 + units["carl"] // 10 == 1200
    assert desk.is_idle()


def test_waiting_for_a_place_is_no_refusal_put_off_and_ends_with_the_call_s_time() -> None:
    desk = Desk("one", max_concurrent=1, total_s=30.0)
    served_in(desk, 20.0)

    async def act(tasks: BackgroundTasks) -> None:
        first, second, third = await together(*(desk.ask("ada", name=str(n)) for n in range(3)))
        assert first.answer is not None
        assert second.answer is not None
        assert said(third) == ("upstream-busy", 429, False)
        assert "place" in detail(third)

    desk.parts.play(act)
    assert desk.is_idle()


def test_while_all_keys_rest_everybody_waits_and_nobody_longer_than_their_patience() -> None:
    desk = Desk("one", marked=False)
    desk.parts.upstream.answer = lambda _: status(429, 60.0)

    async def act(tasks: BackgroundTasks) -> None:
        async def late(n: int) -> tuple[float, str]:
            await desk.parts.clock.sleep(0.1 * n)
            asked = desk.seconds()
            computed = await desk.ask(f"u{n % 3}", name=str(n))
            return desk.seconds() - asked, said(computed)[0]

        results = await together(*(late(n) for n in range(30)))
        assert {slug for _, slug in results} == {"upstream-busy"}
        assert all(1.8 <= waited <= 2.1 for waited, _ in results)

    desk.parts.play(act)
    assert len(desk.sent_with()) < 15
    assert desk.is_idle()


def test_a_rest_that_ends_in_time_fails_nobody() -> None:
    desk = Desk("one", marked=False)
    ends = desk.start + 1.5
    desk.parts.upstream.answer = lambda _: GOOD if desk.parts.clock.monotonic() >= ends else status(429, 1.0)

    async def act(tasks: BackgroundTasks) -> None:
        computed = await together(*(desk.ask(f"u{n % 5}", name=str(n)) for n in range(100)))
        assert all(each.answer is not None for each in computed)

    desk.parts.play(act)
    assert desk.seconds() < 2.5
    assert desk.is_idle()


@pytest.mark.parametrize("waited_s", [0.0, 0.5, 1.9, 5.0])
def test_what_other_limits_took_of_the_patience_is_gone(waited_s: float) -> None:
    desk = Desk("one", marked=False)
    for _ in range(2):
        desk.compute(status(429, 60.0), patient=False)

    async def act(tasks: BackgroundTasks) -> None:
        asked = desk.seconds()
        with pytest.raises(Problem):
            await desk.turns("ada", waited_s=waited_s).next()
        assert desk.seconds() - asked == pytest.approx(max(0.0, 2.0 - waited_s), abs=0.05)

    desk.parts.play(act)


@pytest.mark.parametrize("reply", [LOST, status(500), status(502), status(503), status(504)])
def test_an_outage_is_told_as_429_first_and_as_503_when_it_has_lasted(reply: UpstreamReply | UpstreamLoss) -> None:
    desk = Desk(failures=3)
    desk.parts.upstream.answer = lambda _: reply
    slugs: list[str] = []
    for n in range(40):
        slugs.append(said(desk.compute(name=str(n), user=f"u{n % 2}"))[0])
        desk.parts.clock.advance(0.5)
    assert slugs[-1] == "upstream-unavailable"
    assert slugs.index("upstream-busy") < slugs.index("upstream-unavailable")
    assert desk.gauge("esmgw_breaker_state") in (0.5, 1.0)
    assert len(desk.sent_with()) < 20
    desk.parts.upstream.answer = lambda _: GOOD
    desk.parts.clock.advance(20.0)
    assert desk.compute(name="well").answer is not None
    assert desk.gauge("esmgw_breaker_state") == 0


def test_a_lab_of_one_user_is_told_503_too() -> None:
    desk = Desk(failures=3)
    desk.parts.upstream.answer = lambda _: status(502)
    last = None
    for n in range(40):
        last = desk.compute(name=str(n))
        desk.parts.clock.advance(0.5)
    assert last is not None
    assert said(last) == ("upstream-unavailable", 503, False)
    assert f"try again in {retry_after(last)} s" in detail(last)


def test_one_users_crashing_calls_hold_up_nobody_else() -> None:
    desk = Desk("one", marked=False, failures=3)

    async def ask(user: str, n: int, code: int) -> None:
        turn = desk.turns(user, name=f"{user}{n}")
        place = await turn.next()
        await desk.parts.clock.sleep(0.001)
        turn.done(place, of_status(code), None)

    async def act(tasks: BackgroundTasks) -> None:
        floods = [asyncio.ensure_future(ask(f"eve{n % 2}", n, 500)) for n in range(200)]
        for n in range(100):
            began = desk.seconds()
            await ask("bob", n, 200)
            assert desk.seconds() - began < 0.01
            await desk.parts.clock.sleep(0.05)
        await asyncio.gather(*floods, return_exceptions=True)

    desk.parts.play(act)
    assert desk.gauge("esmgw_breaker_state") == 0
    assert desk.is_idle()


def test_a_probe_is_a_call_that_has_not_failed_where_there_is_one() -> None:
    desk = Desk("one", marked=False, failures=2, max_wait_s=30.0)
    desk.parts.upstream.answer = lambda _: status(502)
    desk.compute(name="bad")
    desk.compute(name="bad")
    sent: list[bytes] = []

    async def act(tasks: BackgroundTasks) -> None:
        async def turn(name: str) -> None:
            wanted = desk.turns(name=name)
            place = await wanted.next()
            sent.append(place.request.call)
            wanted.done(place, OK, None)

        await together(turn("bad"), turn("new"))

    desk.parts.play(act)
    assert sent[0].startswith(b"new")
    assert sorted(sent)[0].startswith(b"bad")


@pytest.mark.parametrize("most", [0, 1, 3])
def test_no_more_wait_than_the_settings_say(most: int) -> None:
    desk = Desk("one", max_concurrent=1, waiting=most)
    served_in(desk, 1.0)

    async def act(tasks: BackgroundTasks) -> None:
        computed = await together(*(desk.ask("ada", name=str(n)) for n in range(most + 3)))
        assert sum(each.answer is not None for each in computed) == most + 1
        assert desk.seconds() == most + 1

    desk.parts.play(act)
    assert desk.is_idle()


@pytest.mark.parametrize("who", ["caller", "abandoned"])
def test_who_leaves_gives_the_turn_to_the_next_and_leaves_nothing_behind(who: str) -> None:
    desk = Desk("one", max_concurrent=1)
    served_in(desk, 1.0)

    async def act(tasks: BackgroundTasks) -> None:
        going, wanted = [], []
        for n in range(6):
            turn = desk.turns(name=str(n))
            wanted.append(turn)
            going.append(asyncio.ensure_future(hold(turn)))
        await turns()
        for n in (1, 3, 4):
            if who == "caller":
                going[n].cancel()
            else:
                wanted[n].abandon()
        results = await asyncio.gather(*going, return_exceptions=True)
        assert [isinstance(result, BaseException) for result in results] == [False, True, False, True, True, False]
        assert desk.seconds() == 3.0

    async def hold(turn: Turns) -> None:
        place = await turn.next()
        await desk.parts.clock.sleep(1.0)
        turn.done(place, OK, None)

    desk.parts.play(act)
    assert desk.is_idle()


def test_who_leaves_at_the_moment_of_their_turn_gives_the_place_back() -> None:
    desk = Desk("one", max_concurrent=1)

    async def act(tasks: BackgroundTasks) -> None:
        first = desk.turns(name="first")
        place = await first.next()
        second = asyncio.ensure_future(desk.turns(name="second").next())
        await turns()
        first.done(place, OK, None)
        second.cancel()
        await asyncio.gather(second, return_exceptions=True)
        third = desk.turns(name="third")
        third.done(await third.next(), OK, None)

    desk.parts.play(act)
    assert desk.is_idle()


def test_a_call_that_was_abandoned_before_its_turn_is_never_sent() -> None:
    desk = Desk()

    async def act(tasks: BackgroundTasks) -> None:
        turn = desk.turns()
        turn.abandon()
        with pytest.raises(Problem):
            await turn.next()
        assert not await turn.pause(1.0)

    desk.parts.play(act)


def test_the_key_with_the_fewest_calls_goes_first() -> None:
    desk = Desk("a", "b", "c")

    async def act(tasks: BackgroundTasks) -> None:
        wanted = [desk.turns(name=str(n)) for n in range(7)]
        places = [await turn.next() for turn in wanted[:6]]
        assert sorted(place.key.name for place in places) == list("aabbcc")
        gone = next(n for n, place in enumerate(places) if place.key.name == "b")
        wanted[gone].done(places[gone], OK, None)
        assert (await wanted[6].next()).key.name == "b"

    desk.parts.play(act)


def test_the_gauges_stand_before_the_first_call_and_a_rest_that_is_over_shows_without_one() -> None:
    desk = Desk("one", marked=False)
    assert desk.states() == [1, 0, 0]
    assert desk.gauge("esmgw_upstream_window") == 64
    for _ in range(2):
        desk.compute(status(429, 10.0), patient=False)
    assert desk.states() == [0, 1, 0]

    async def act(tasks: BackgroundTasks) -> None:
        forever = asyncio.ensure_future(desk.queue.forever())
        await desk.parts.clock.sleep(20.0)
        forever.cancel()
        await asyncio.gather(forever, return_exceptions=True)

    desk.parts.play(act)
    assert desk.states() == [1, 0, 0]


def test_a_refused_call_comes_back_before_the_user_s_others_and_is_not_charged_twice() -> None:
    desk = Desk("one", marked=False, max_concurrent=1)
    order: list[str] = []

    async def act(tasks: BackgroundTasks) -> None:
        async def run(name: str, refusals: int) -> None:
            turn = desk.turns(name=name)
            while True:
                place = await turn.next()
                await desk.parts.clock.sleep(0.1)
                order.append(name)
                turn.done(place, KEY_COOLING_DOWN if refusals else OK, None)
                if not refusals:
                    return
                refusals -= 1

        await together(run("first", 1), run("second", 0), run("third", 0))

    desk.parts.play(act)
    assert order == ["first", "second", "first", "third"]
    assert desk.is_idle()
