"""What every store of notices promises: of all who ask within the time, one is the first."""

import asyncio

from gateway.ports import Throttle
from tests.contracts.backends import Backend, play
from tests.contracts.servers import eventually


def test_of_many_who_ask_one_is_the_first(backend: Backend) -> None:
    async def story(throttle: Throttle) -> None:
        asked = await asyncio.gather(*(throttle.first("pinned", "k1", 60) for _ in range(20)))
        assert sorted(asked) == [False] * 19 + [True]
        assert not await throttle.first("pinned", "k1", 60)

    play(backend.throttle(), story)


def test_each_topic_and_each_key_counts_for_itself(backend: Backend) -> None:
    async def story(throttle: Throttle) -> None:
        for topic, key in (("pinned", "k1"), ("pinned", "k2"), ("recorded", "k1")):
            assert await throttle.first(topic, key, 60)

    play(backend.throttle(), story)


def test_when_the_time_is_over_somebody_is_the_first_again_and_asking_does_not_put_it_off(backend: Backend) -> None:
    async def story(throttle: Throttle) -> None:
        assert await throttle.first("pinned", "k1", 0.2)

        async def again() -> bool:
            return await throttle.first("pinned", "k1", 60)

        await eventually(again, "the end of the time")

    play(backend.throttle(), story)
