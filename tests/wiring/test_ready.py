"""What `/readyz` says of a worker: its stores, and whether it still asks them what has changed."""

import asyncio
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest

from gateway.core.purge_state import PurgeState
from gateway.flow.authenticate import Authenticator
from gateway.flow.invalidation_poller import InvalidationPoller
from gateway.flow.local_cache import LocalCache
from gateway.flow.runtime import BackgroundTasks
from gateway.settings import Settings
from gateway.wiring.worker import POLL_MARGIN_S, _longest_poll_s, _ready
from tests.flow.harness import Parts

LONGEST_S = _longest_poll_s(Settings.model_validate({}))


class Worker:
    def __init__(self) -> None:
        self.parts = p = Parts()
        authenticator = Authenticator(p.directory, p.runtime(), b"p" * 32)
        local = LocalCache(p.meter, 2**20, 2**20)
        self.poller = InvalidationPoller(
            p.directory, p.cache, p.purge_store, p.namespace_store, authenticator, local, p.runtime()
        )

    def ready(self) -> Mapping[str, bool]:
        adapters: Any = SimpleNamespace(directory=self.parts.directory, purge_store=self.parts.purge_store)
        return asyncio.run(_ready(adapters, self.poller, LONGEST_S))

    def poll(self) -> None:
        async def act(tasks: BackgroundTasks) -> None:
            await self.poller.poll()

        self.parts.play(act)


def test_a_worker_that_polls_is_ready_and_one_whose_polls_have_ended_is_not_within_seconds() -> None:
    worker = Worker()
    worker.poll()
    assert worker.ready() == {"state": True, "cache": True, "polls": True}
    worker.parts.clock.advance(LONGEST_S + POLL_MARGIN_S + 0.1)
    assert worker.ready() == {"state": True, "cache": True, "polls": False}
    worker.poll()
    assert worker.ready()["polls"]
    assert LONGEST_S + POLL_MARGIN_S <= 6.0


def test_a_worker_that_never_polled_is_not_ready() -> None:
    assert not Worker().ready()["polls"]


@pytest.mark.parametrize("part", ["directory", "purge_store", "namespace_store"])
def test_a_store_that_is_lost_is_not_the_worker_s_own_fault(part: str) -> None:
    worker = Worker()
    getattr(worker.parts, part).lost.add("*")
    worker.poll()
    assert worker.ready()["polls"]


def test_stores_that_hang_are_not_the_worker_s_own_fault_either() -> None:
    """From one poll to the next it may take as long as both stores are waited for, twice, and the pause between."""
    worker = Worker()

    async def hangs(at_least: int = 0) -> PurgeState:
        await worker.parts.clock.sleep(LONGEST_S)
        return PurgeState(0)

    worker.parts.purge_store.purge_state = hangs  # type: ignore[method-assign]
    worker.poll()
    assert worker.poller.polled_s_ago() == LONGEST_S
    worker.parts.clock.advance(0.5)
    assert worker.poller.polled_s_ago() <= LONGEST_S + POLL_MARGIN_S
