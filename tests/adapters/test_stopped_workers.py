"""Workers that really stand still (SIGSTOP): callers are served by the others, with new and with kept connections."""

import asyncio
import os
import signal
import time
from pathlib import Path

import pytest

from gateway.adapters.heartbeat import Patience
from tests.adapters.crew import ROOT, Crew, alive, answer_of

# The product's patience, about three times faster; still far longer than a busy machine lets a worker wait.
QUICK = Patience(look_s=0.1, turned_away_s=0.7, replaced_s=1.3, apart_s=0.3, all_silent_s=3.0, late_s=0.5)


@pytest.fixture(autouse=True)
def _importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


async def broken_off(reader: asyncio.StreamReader) -> None:
    """Until the other end has closed or reset the connection."""
    try:
        assert await reader.read() == b""
    except ConnectionResetError:
        return


async def asks_again(crew: Crew, times: int) -> set[int]:
    """The slots that answered; each call within two seconds, or it fails here."""
    return {(await crew.ask(patience_s=2.0))["slot"] for _ in range(times)}


def test_callers_of_a_stopped_worker_are_served_within_five_seconds_also_those_with_open_connections(
    tmp_path: Path,
) -> None:
    async def play(crew: Crew) -> None:
        before = await crew.everyone()
        reader, writer = await crew.begin(slot=0)
        os.kill(before[0], signal.SIGSTOP)
        began = time.monotonic()
        await crew.hears("worker 0 stands still; new connections go to the others")
        assert await asks_again(crew, 20) == {1}
        await broken_off(reader)
        writer.close()
        assert await crew.ask(patience_s=2.0)
        assert time.monotonic() - began < 5.0
        after = await crew.everyone()
        assert (after[0] != before[0], after[1] == before[1]) == (True, True)
        assert not alive(before[0])
        crew.supervisor.stop()

    crew = Crew(tmp_path, 2)
    assert crew.run(play) == 0
    assert crew.meter.counts[("esmgw_worker_restarts_total", "stood_still")] == 1
    assert crew.meter.counts[("esmgw_worker_restarts_total", "exited")] == 0


def test_a_worker_that_goes_on_in_time_serves_again_and_finishes_what_it_had_begun(tmp_path: Path) -> None:
    async def play(crew: Crew) -> None:
        before = await crew.everyone()
        reader, writer = await crew.begin(slot=1)
        os.kill(before[1], signal.SIGSTOP)
        await crew.hears("worker 1 stands still")
        os.kill(before[1], signal.SIGCONT)
        await crew.hears("worker 1 goes on")
        writer.write(b"go on\n")
        assert (await answer_of(reader, writer))["pid"] == before[1]
        assert await crew.everyone() == before
        crew.supervisor.stop()

    patience = Patience(look_s=0.1, turned_away_s=0.7, replaced_s=60.0, apart_s=0.3)
    assert Crew(tmp_path, 2, patience=patience).run(play) == 0


def test_the_only_worker_is_not_killed_for_standing_still(tmp_path: Path) -> None:
    async def play(crew: Crew) -> None:
        before = await crew.everyone()
        os.kill(before[0], signal.SIGSTOP)
        began = time.monotonic()
        waiting = asyncio.ensure_future(crew.ask())
        await crew.hears("worker 0 stands still, and no other one serves; it is left alone")
        while time.monotonic() - began < QUICK.all_silent_s + 1.0:
            await asyncio.sleep(0.1)
        os.kill(before[0], signal.SIGCONT)
        assert (await waiting)["pid"] == before[0]
        assert await crew.everyone() == before
        crew.supervisor.stop()

    crew = Crew(tmp_path, 1, patience=QUICK)
    assert crew.run(play) == 0
    assert len(crew.said) == 1


@pytest.mark.parametrize("workers", [2, 3])
def test_two_that_hang_one_after_the_other_are_replaced_one_at_a_time(tmp_path: Path, workers: int) -> None:
    async def play(crew: Crew) -> None:
        before = await crew.everyone()
        os.kill(before[0], signal.SIGSTOP)
        await asyncio.sleep(QUICK.apart_s + 3 * QUICK.look_s)
        os.kill(before[1], signal.SIGSTOP)
        await crew.hears("worker 1 has stood still")
        at = {said.split()[1]: number for number, said in enumerate(crew.said) if "is replaced" in said}
        assert list(at) == ["0", "1"]
        after = await crew.everyone()
        assert not {before[0], before[1]} & set(after.values())
        crew.supervisor.stop()

    crew = Crew(tmp_path, workers, patience=QUICK)
    assert crew.run(play) == 0
    assert [down for said, down in zip(crew.said, crew.down, strict=True) if "is replaced" in said] == [0, 0]


def test_a_supervisor_that_stood_still_with_all_its_workers_kills_none(tmp_path: Path) -> None:
    async def play(crew: Crew) -> None:
        before = await crew.everyone()
        # One has been silent for a while when everything is stopped, so that the workers are not silent alike.
        os.kill(before[0], signal.SIGSTOP)
        await asyncio.sleep(QUICK.apart_s + 2 * QUICK.look_s)
        os.kill(before[1], signal.SIGSTOP)
        time.sleep(QUICK.replaced_s + 1.0)  # noqa: ASYNC251  # the supervisor stands still with them
        for pid in before.values():
            os.kill(pid, signal.SIGCONT)
        assert await crew.everyone() == before
        crew.supervisor.stop()

    crew = Crew(tmp_path, 2, patience=QUICK)
    assert crew.run(play) == 0
    assert crew.said == []


def test_a_stopped_worker_does_not_hold_up_the_end_of_the_service(tmp_path: Path) -> None:
    async def play(crew: Crew) -> None:
        before.update(await crew.everyone())
        os.kill(before[0], signal.SIGSTOP)
        crew.supervisor.stop()

    before: dict[int, int] = {}
    assert Crew(tmp_path, 2, drain_s=0.5, patience=QUICK).run(play) == 1
    assert not any(alive(pid) for pid in before.values())
