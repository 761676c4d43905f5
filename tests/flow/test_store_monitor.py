"""Looks at the stores as servers: a refused change is tried again, and what a running server was told is seen."""

import asyncio
from collections.abc import Sequence

from gateway.flow.runtime import BackgroundTasks
from gateway.flow.store_monitor import LOOK_EVERY_S, PROVE_EVERY_S, StoreMonitor
from gateway.flow.store_status import StoreStatus
from gateway.ports import StoreUnavailable
from tests.flow.harness import Parts


class Server:
    """A store's server as its probe sees it."""

    def __init__(self) -> None:
        self.warnings: tuple[str, ...] = ()
        self.broken: StoreUnavailable | None = None
        self.looked = self.tried = 0

    async def check(self) -> Sequence[str]:
        self.looked += 1
        if self.broken is not None:
            raise self.broken
        return self.warnings

    async def try_change(self) -> None:
        self.tried += 1
        if self.broken is not None:
            raise self.broken


class Post:
    def __init__(self) -> None:
        self.parts = Parts()
        self.said: list[str] = []
        self.state, self.cache = Server(), Server()
        runtime = self.parts.runtime()
        self.status = StoreStatus(runtime, self.said.append)
        probes = {"state": self.state, "cache": self.cache}
        self.monitor = StoreMonitor(probes, self.status, runtime, self.said.append)  # type: ignore[arg-type]

    def pass_time(self, seconds: float) -> None:
        async def act(tasks: BackgroundTasks) -> None:
            watching = asyncio.ensure_future(self.monitor.forever())
            await self.parts.clock.sleep(seconds)
            watching.cancel()

        self.parts.play(act)


def test_while_all_is_well_no_change_is_tried_and_a_look_is_rare() -> None:
    post = Post()
    post.pass_time(3 * LOOK_EVERY_S + 1.0)
    assert (post.state.tried, post.cache.tried) == (0, 0)
    assert (post.state.looked, post.cache.looked) == (3, 3)


def test_a_refused_change_is_tried_until_one_goes_through() -> None:
    post = Post()
    post.state.broken = StoreUnavailable("try_rights", "full")
    post.status.refused("state", "full")
    post.pass_time(5 * PROVE_EVERY_S + 0.1)
    assert (post.state.tried, post.cache.tried) == (5, 0)
    post.state.broken = None
    post.pass_time(PROVE_EVERY_S + 0.1)
    assert not post.status.is_lost("state")
    assert len(post.said) == 2


def test_a_server_that_was_told_to_evict_counts_as_lost_within_a_quarter_of_a_minute_and_comes_back() -> None:
    post = Post()
    post.state.broken = StoreUnavailable("check", "unsuitable", "the state store evicts")
    post.pass_time(LOOK_EVERY_S + 1.0)
    assert post.status.is_lost("state")
    assert post.said == ["the state store is lost (unsuitable): the state store evicts"]
    post.status.answered("state")
    assert post.status.is_lost("state")
    post.state.broken = None
    post.pass_time(1.0)
    assert not post.status.is_lost("state")


def test_a_look_that_is_not_answered_is_left_to_the_polls() -> None:
    post = Post()
    post.cache.broken = StoreUnavailable("info", "timeout")
    post.pass_time(LOOK_EVERY_S + 1.0)
    assert not post.status.is_lost("cache")


def test_a_new_warning_is_said_once_and_those_of_the_start_are_not_repeated() -> None:
    post = Post()
    post.state.warnings = ("old",)
    post.pass_time(LOOK_EVERY_S + 1.0)
    assert post.said == []
    post.state.warnings = ("old", "new")
    post.pass_time(4 * LOOK_EVERY_S)
    assert post.said == ["new"]
