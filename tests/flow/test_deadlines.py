"""`upstream.total_s` is one deadline for a call: its leader, its followers, its tries, its lease, its reservation."""

import asyncio
from collections import Counter
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from gateway.core.quota import LimitConfig, Reservation
from gateway.core.types import Limits, Response
from gateway.flow.flight_result import LANDING_S
from gateway.ports import UpstreamLoss, UpstreamReply, UpstreamRequest
from tests.flow.harness import KEY, answering, slug
from tests.flow.labs import Lab, play

TIMED_OUT = UpstreamLoss("no answer in time", sent=True, timed_out=True)
HELD_S = 0.6
"""A failure that may pass is told half a second after the request came, or later."""


def settings_of(total_s: float, *, retries: int = 2, lease_s: float = 5.0, wait_s: float = 2.0) -> Mapping[str, Any]:
    return {
        "upstream": {
            "url": "http://upstream",
            "total_s": total_s,
            "first_byte_s": total_s,
            "connect_s": min(5.0, total_s),
            "retries": retries,
        },
        "cache": {"lease_s": lease_s},
        "admission": {"max_wait_s": wait_s, "reservation_lease_s": total_s + 30},
        "breaker": {"failures": 1000},
    }


class Slow:
    """An upstream that answers as the list says, (seconds, status) for each call in turn, and keeps to deadlines."""

    def __init__(self, lab: Lab, script: list[tuple[float, int]]) -> None:
        self.lab, self.script = lab, script
        self.sent: list[tuple[float, float]] = []
        self.under_way: Counter[bytes] = Counter()
        self.most = 0
        lab.parts.upstream.answer = self

    async def __call__(self, request: UpstreamRequest) -> UpstreamReply | UpstreamLoss:
        takes_s, status = self.script.pop(0) if self.script else (0.1, 200)
        self.sent.append((self.lab.now(), request.timeout_s))
        self.under_way[request.body] += 1
        self.most = max(self.most, self.under_way[request.body])
        await self.lab.sleep(min(takes_s, request.timeout_s))
        self.under_way[request.body] -= 1
        if takes_s >= request.timeout_s:
            return TIMED_OUT
        return answering(request) if status == 200 else UpstreamReply(status, "application/json", None, b"{}")


async def timed(lab: Lab, after_s: float, worker: int, **more: Any) -> tuple[Response, float]:
    """The response of a call that comes later, and how long it took."""
    await lab.sleep(after_s)
    began = lab.now()
    response = await lab.workers[worker].ask(None, **more)
    return response, lab.now() - began


def of(told: list[tuple[Response, float]]) -> list[str]:
    return [str(response.status) if response.status == 200 else slug(response) for response, _ in told]


@pytest.mark.parametrize("total_s, takes_s, lease_s", [(3.0, 2.5, 2.0), (20.0, 6.5, 5.0), (600.0, 250.0, 5.0)])
def test_nobody_is_answered_after_the_deadline_and_nobody_before_it_is_told_that_it_was_too_long(
    total_s: float, takes_s: float, lease_s: float
) -> None:
    async def story(lab: Lab) -> None:
        began, upstream = lab.now(), Slow(lab, [(takes_s, 503)] * 20)
        asked = [timed(lab, after_s, worker) for after_s, worker in ((0.0, 0), (0.3, 0), (0.3, 1), (0.3, 1), (0.3, 0))]
        told = await asyncio.gather(*asked)
        assert all(took <= total_s + HELD_S for _, took in told)
        assert all(at + given_s <= began + 0.3 + total_s + 0.01 for at, given_s in upstream.sent)
        assert upstream.most == 1

    play(story, workers=2, settings=settings_of(total_s, retries=4, lease_s=lease_s))


@pytest.mark.parametrize("total_s", [3.0, 12.0, 600.0])
@pytest.mark.parametrize("workers", [1, 2])
def test_what_the_leader_gets_at_the_last_moment_is_everybody_s(total_s: float, workers: int) -> None:
    async def story(lab: Lab) -> None:
        upstream = Slow(lab, [(total_s * 0.6, 503), (total_s * 0.39 - 0.25, 200)])
        told = await asyncio.gather(*(timed(lab, n * 0.01, n % workers) for n in range(6)))
        assert of(told) == ["200"] * 6
        assert len({response.body for response, _ in told}) == 1
        assert len(upstream.sent) == 2

    limits = Limits(units_per_day=1000, concurrent=32)
    lab = play(story, workers=workers, settings=settings_of(total_s, lease_s=1.0), limits=limits)
    assert lab.settled() == [10]


@pytest.mark.parametrize("total_s", [3.0, 30.0, 600.0])
def test_a_try_without_time_is_not_made_and_not_charged(total_s: float) -> None:
    async def story(lab: Lab) -> None:
        upstream = Slow(lab, [(total_s - 0.1, 503)])
        response, took = await timed(lab, 0.0, 0)
        assert (response.status, slug(response)) == (502, "upstream-failed")
        assert len(upstream.sent) == 1
        assert took <= total_s

    lab = play(story, settings=settings_of(total_s), limits=Limits(units_per_day=1000))
    assert lab.settled() == [0]


@pytest.mark.parametrize("total_s", [4.0, 60.0])
def test_a_call_that_gets_no_place_in_its_time_is_told_so_within_it_and_costs_nothing(total_s: float) -> None:
    async def story(lab: Lab) -> None:
        upstream = Slow(lab, [(total_s - 0.2, 200)] * 2)
        first = lab.ask({"num_steps": 1})
        response, took = await timed(lab, 0.1, 0)
        assert (response.status, slug(response)) == (429, "upstream-busy")
        assert total_s - 1.1 <= took <= total_s
        assert ((await first).status, len(upstream.sent)) == (200, 1)

    chosen = settings_of(total_s)
    one_place = {**chosen, "upstream": {**chosen["upstream"], "max_concurrent": 1}}
    lab = play(story, settings=one_place, limits=Limits(units_per_day=1000))
    assert sorted(lab.settled()) == [0, 5]


def test_the_wait_for_other_calls_of_one_s_own_is_within_the_deadline() -> None:
    async def story(lab: Lab) -> None:
        who = lab.one.person("dora", limits=Limits(concurrent=1))
        upstream = Slow(lab, [(4.9, 200), (4.9, 200)])
        first = lab.ask({"num_steps": 1}, who=who)
        await lab.sleep(2.0)
        second = lab.ask({"num_steps": 1, "temperature": 1}, who=who)
        response, took = await timed(lab, 0.5, 0, **who)
        # The second has its turn at 4.9 s and runs into its own deadline; the third is refused at its own, sent never.
        assert (response.status, took <= 5.0) == (429, True)
        assert ((await first).status, (await second).status) == (200, 504)
        assert len(upstream.sent) == 2
        assert all(at + given_s <= 7.1 + 1_800_000_000 for at, given_s in upstream.sent)

    play(story, settings=settings_of(5.0, wait_s=60.0))


def test_who_waits_for_a_lease_that_a_crashed_worker_left_is_told_by_their_own_deadline() -> None:
    async def story(lab: Lab) -> None:
        upstream = Slow(lab, [])
        record = lab.parts.directory.records[KEY.public_id]
        leases = LimitConfig().of_key(record)
        lab.parts.ledger.rules.reserve(Reservation("crashed", "ada", leases, 0), 600.0)
        response, took = await timed(lab, 0.0, 0)
        assert (response.status, slug(response)) == (429, "concurrency-exceeded")
        assert took <= 5.0
        assert upstream.sent == []

    play(story, settings=settings_of(5.0, wait_s=60.0), limits=Limits(concurrent=1))


def test_a_follower_with_more_time_than_a_leader_who_came_late_to_it_does_not_share_his_lack_of_it() -> None:
    async def story(lab: Lab) -> None:
        # The first leader is refused after 25 s, the second has 5 s left, the third 15.
        upstream = Slow(lab, [(25.0, 200), (10.0, 200), (10.0, 200)])
        bob, carl = lab.one.person("bob"), lab.one.person("carl")
        busy = lab.ask({"num_steps": 1}, who=bob)
        await lab.sleep(0.1)
        told = await asyncio.gather(
            timed(lab, 0.0, 0), timed(lab, 0.1, 0, **bob), timed(lab, 15.0, 0, **carl), self_revokes(lab, 20.0)
        )
        assert of(list(told[:3])) == ["key-refused", "upstream-timeout", "200"]
        assert upstream.most == 1
        assert (await busy).status == 200

    chosen = settings_of(30.0)
    one_place = {**chosen, "upstream": {**chosen["upstream"], "max_concurrent": 1}}
    play(story, settings=one_place)


async def self_revokes(lab: Lab, after_s: float) -> None:
    await lab.sleep(after_s)
    lab.one.add_key(Limits(), revoked=lab.parts.clock.now())


class Watch:
    """Looks every tenth of a second whether each call at the upstream has its lease."""

    def __init__(self, lab: Lab, upstream: Slow) -> None:
        self.lab, self.upstream = lab, upstream
        self.unleased = 0
        self.looking = asyncio.ensure_future(self._look())

    async def _look(self) -> None:
        limits = LimitConfig().upstream_limits(await self._who())
        while True:
            leases = self.lab.parts.ledger.rules.usage("ada", limits)[0].used
            self.unleased += leases < sum(self.upstream.under_way.values())
            await self.lab.sleep(0.1)

    async def _who(self) -> Any:
        return await self.lab.one.flow.explainer._authenticator.authenticate(f"Bearer {KEY.text}")


ARRIVAL = st.tuples(st.sampled_from([0.0, 0.01, 0.2, 0.9, 1.5, 2.9, 4.0]), st.integers(0, 2))
REPLY = st.tuples(
    st.sampled_from([0.01, 0.4, 1.1, 2.4, 3.9, 9.0]), st.sampled_from([200, 200, 503, 500, 429, 502, 400])
)


@settings(max_examples=80, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(
    arrivals=st.lists(ARRIVAL, min_size=1, max_size=8),
    script=st.lists(REPLY, max_size=8),
    total_s=st.sampled_from([1.0, 3.0, 4.0, 10.0]),
    lease_s=st.sampled_from([0.3, 2.0, 20.0]),
    retries=st.integers(0, 4),
)
@example(
    arrivals=[(0.0, 0), *[(0.2, n % 2) for n in range(5)]],
    script=[(2.5, 503)] * 4,
    total_s=3.0,
    lease_s=2.0,
    retries=4,
)
def test_leaders_followers_leases_and_reservations_agree_on_the_deadline_at_any_settings(
    arrivals: list[tuple[float, int]], script: list[tuple[float, int]], total_s: float, lease_s: float, retries: int
) -> None:
    async def story(lab: Lab) -> None:
        upstream = Slow(lab, list(script))
        watch = Watch(lab, upstream)
        told = await asyncio.gather(*(timed(lab, after_s, worker) for after_s, worker in arrivals))
        watch.looking.cancel()
        assert all(took <= total_s + HELD_S for _, took in told)
        assert upstream.most <= 1
        assert watch.unleased == 0
        # What was answered was answered to all who were there: an answer that was computed is stored, and paid once.
        assert all(given_s <= total_s for _, given_s in upstream.sent)

    limits = Limits(units_per_day=100_000, concurrent=32)
    chosen = settings_of(total_s, retries=retries, lease_s=lease_s)
    lab = play(story, workers=3, settings=chosen, limits=limits)
    assert len(lab.settled()) <= len(arrivals)
    assert LANDING_S < 30
