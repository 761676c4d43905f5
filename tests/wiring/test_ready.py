"""What `/readyz` says of a worker: 503 for its own faults, 200 with what is degraded for those that all share."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.adapters import disk_room
from gateway.adapters.disk_room import LEAST_BYTES, DiskRoom, free_bytes
from gateway.adapters.embedded_store import open_store
from gateway.core.purge_state import PurgeState
from gateway.core.readiness import OWN_FAULTS, SHARED_PARTS, ReadyState
from gateway.flow.readiness import Readiness
from gateway.flow.runtime import STEADY_S, BackgroundLoops, BackgroundTasks
from gateway.ports import UpstreamReply
from gateway.settings import Settings
from gateway.wiring.health import POLL_MARGIN_S, WorkerHealth, longest_poll, own_disks, worker_health
from tests.flow.harness import FakeWorld, Harness, Parts

LONGEST_S = longest_poll(Settings.model_validate({}))


class Worker:
    """A worker that has started, on a flow of its own."""

    def __init__(self) -> None:
        self.harness = Harness()
        self.memory: FakeWorld = self.harness.memory
        self.poller = self.harness.flow.poller
        runtime = Parts().runtime()
        self.loops = BackgroundLoops(runtime, print)
        self.health: WorkerHealth = worker_health(self.harness.settings, self.harness.flow, self.loops, {}, runtime)
        self.health.ready.started()

    def says(self) -> ReadyState:
        return self.health.ready()

    def poll(self) -> None:
        asyncio.run(self.poller.poll())


def test_a_worker_is_ready_when_it_has_started_and_until_it_is_to_stop() -> None:
    worker = Worker()
    worker.poll()
    ready = Readiness({}, worker.harness.flow.status, lambda: True)
    assert ready().faults == ("starting",)
    ready.started()
    assert ready() == ReadyState((), ())
    ready.drain()
    assert ready().faults == ("draining",)


def test_a_worker_whose_polls_have_ended_is_not_ready_within_seconds() -> None:
    worker = Worker()
    worker.poll()
    assert worker.says() == ReadyState((), ())
    worker.memory.clock.advance(LONGEST_S + POLL_MARGIN_S + 0.1)
    assert worker.says().faults == ("poller",)
    worker.poll()
    assert worker.says() == ReadyState((), ())
    assert LONGEST_S + POLL_MARGIN_S <= 6.0


def test_a_worker_that_never_polled_is_not_ready() -> None:
    assert Worker().says().faults == ("poller",)


@pytest.mark.parametrize(
    "part, degraded",
    [("directory", ("state",)), ("purge_store", ("cache",)), ("namespace_store", ()), ("ledger", ())],
)
def test_a_store_that_is_lost_is_not_the_worker_s_own_fault(part: str, degraded: tuple[str, ...]) -> None:
    worker = Worker()
    getattr(worker.memory, part).lost.add("*")
    worker.poll()
    assert worker.says() == ReadyState((), degraded)
    getattr(worker.memory, part).lost.clear()
    worker.poll()
    assert worker.says() == ReadyState((), ())


def test_with_everything_lost_that_is_shared_it_is_still_ready() -> None:
    worker = Worker()

    async def fail() -> None:
        await worker.poller.poll()
        worker.memory.upstream.answer = lambda _: UpstreamReply(503, "text/html", None, b"")
        for steps in range(1, 4):
            await worker.harness.ask({"num_steps": steps})
        for part in (worker.memory.directory, worker.memory.purge_store):
            part.lost.add("*")
        await worker.poller.poll()
        assert worker.says() == ReadyState((), ("state", "cache", "upstream"))

    asyncio.run(fail())
    assert set(worker.says().degraded) == set(SHARED_PARTS)


def test_an_upstream_that_refuses_every_key_is_shared_and_one_of_two_keys_is_enough() -> None:
    worker = Worker()
    worker.poll()
    plain = next(key for key in worker.harness.upstream_keys if not key.concern)
    plain.rests_until = worker.memory.clock.monotonic() + 10.0
    assert worker.says() == ReadyState((), ("upstream",))
    worker.memory.clock.advance(10.1)
    worker.poll()
    assert worker.says() == ReadyState((), ())


def test_stores_that_hang_are_not_the_worker_s_own_fault_either() -> None:
    """From one poll to the next it may take as long as both stores are waited for, twice, and the pause between."""
    worker = Worker()

    async def hangs(at_least: int = 0) -> PurgeState:
        worker.memory.clock.advance(LONGEST_S)
        return PurgeState(0)

    worker.memory.purge_store.purge_state = hangs  # type: ignore[method-assign]
    worker.poll()
    assert worker.poller.polled_s_ago() == LONGEST_S
    worker.memory.clock.advance(0.5)
    assert worker.says().faults == ()


def test_a_loop_that_fails_is_its_own_fault_until_it_has_run_for_a_while() -> None:
    parts = Parts()

    async def act(tasks: BackgroundTasks) -> None:
        loops, failing = BackgroundLoops(parts.runtime(tasks), print), [True]

        async def forever() -> None:
            while not failing:
                await parts.clock.sleep(1.0)
            failing.clear()
            raise ValueError

        loops.keep("poller", forever)
        assert not loops.failing()
        await parts.clock.sleep(0.1)
        assert loops.failing()
        await parts.clock.sleep(STEADY_S - 0.2)
        assert loops.failing()
        await parts.clock.sleep(0.2)
        assert not loops.failing()
        await loops.stop()

    parts.play(act)


def test_a_loop_whose_keeper_is_gone_is_its_own_fault_for_good() -> None:
    parts = Parts()

    async def act(tasks: BackgroundTasks) -> None:
        def complain(_: str) -> None:
            raise OSError("the log is gone")

        async def forever() -> None:
            raise ValueError

        loops = BackgroundLoops(parts.runtime(tasks), complain)
        loops.keep("poller", forever)
        await parts.clock.sleep(10 * STEADY_S)
        assert loops.failing()
        await loops.stop()

    parts.play(act)


def test_descriptors_that_ran_out_are_its_own_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    worker = Worker()
    worker.poll()
    for left, faults in ((True, ("descriptors",)), (False, ())):
        monkeypatch.setattr("gateway.adapters.descriptors.none_left", lambda left=left: left)
        worker.health.descriptors.look()
        assert worker.says().faults == faults


def test_a_full_disk_is_its_own_fault_until_there_is_room(monkeypatch: pytest.MonkeyPatch) -> None:
    worker, free = Worker(), [LEAST_BYTES - 1]
    monkeypatch.setattr(disk_room, "free_bytes", lambda _: free[0])
    looks: list[ReadyState] = []

    async def sleep(_: float) -> None:
        await worker.poller.poll()
        looks.append(worker.says())
        if len(looks) == 2:
            raise asyncio.CancelledError
        free[0] = LEAST_BYTES

    async def act() -> None:
        disk: Callable[..., object] = dict(worker.health.loops)["disk"]
        room: DiskRoom = disk.func.__self__  # type: ignore[attr-defined]
        with pytest.raises(asyncio.CancelledError):
            await room.forever(sleep)

    asyncio.run(act())
    assert [look.faults for look in looks] == [("disk",), ()]


def test_every_fault_of_its_own_has_words() -> None:
    assert {"starting", "draining", *Worker().health.ready._faults} == set(OWN_FAULTS)


def test_disks_are_those_of_the_audit_file_and_of_an_embedded_state_store(tmp_path: Path) -> None:
    async def embedded() -> str:
        store = await open_store(tmp_path, "state")
        try:
            return store.url
        finally:
            await store.stop()

    def disks(state_url: str) -> list[Path]:
        return own_disks(Settings.model_validate({"data_dir": str(tmp_path), "stores": {"state_url": state_url}}))

    assert disks(asyncio.run(embedded())) == [tmp_path / "audit", tmp_path / "state"]
    assert disks("redis://elsewhere") == [tmp_path / "audit"]
    assert free_bytes(tmp_path / "not" / "there") > LEAST_BYTES
    assert free_bytes(Path("/dev/full")) >= 0
