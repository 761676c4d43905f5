"""What a machine remembers of the state store: on its disk, sealed, and the same for all its processes."""

import asyncio
import stat
from pathlib import Path

import pytest

from gateway.adapters.clock import SystemClock
from gateway.adapters.decision_file import DecisionFile
from gateway.core.decisions import FinalDecision, Marks

KEY = b"k" * 32
ONE, TWO = FinalDecision("key:k1", 100.5, 1), FinalDecision("approval:ada:g1", 101.0, 2)


def opened(path: Path, key: bytes = KEY) -> DecisionFile:
    return DecisionFile(path / "memory" / "decisions", key, SystemClock())


def test_what_one_process_adds_the_next_one_reads_with_what_was_there(tmp_path: Path) -> None:
    assert opened(tmp_path).load() is None
    first = Marks(keys=3, confirmed=5.0, surveyed=True).with_decisions([ONE])
    assert opened(tmp_path).merge(first) == first
    both = opened(tmp_path).merge(Marks(accepted=1).with_decisions([TWO]))
    assert both == opened(tmp_path).load() == first.join(Marks(accepted=1).with_decisions([TWO]))
    assert both.decisions == {ONE.subject: ONE, TWO.subject: TWO}
    assert (both.number, both.accepted, both.keys, both.confirmed, both.surveyed) == (2, 1, 3, 5.0, True)
    path = tmp_path / "memory" / "decisions"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert b"key:k1" not in path.read_bytes()


def test_processes_that_add_at_the_same_moment_lose_nothing(tmp_path: Path) -> None:
    async def story() -> None:
        files = [opened(tmp_path) for _ in range(8)]
        added = [Marks().with_decisions([FinalDecision(f"key:k{n}", 1.0, n)]) for n in range(1, 9)]
        await asyncio.gather(*(asyncio.to_thread(f.merge, m) for f, m in zip(files, added, strict=True)))

    asyncio.run(story())
    marks = opened(tmp_path).load()
    assert marks is not None
    assert sorted(marks.decisions) == [f"key:k{n}" for n in range(1, 9)]


@pytest.mark.parametrize("change", [lambda blob: blob[:-1], lambda blob: b"", lambda blob: b"x" + blob[1:]])
def test_a_file_that_somebody_changed_is_none(tmp_path: Path, change: object) -> None:
    opened(tmp_path).merge(Marks().with_decisions([ONE]))
    path = tmp_path / "memory" / "decisions"
    path.write_bytes(change(path.read_bytes()))  # type: ignore[operator]
    assert opened(tmp_path).load() is None
    assert opened(tmp_path, b"x" * 32).load() is None
    opened(tmp_path).merge(Marks().with_decisions([TWO]))
    assert opened(tmp_path).load() == Marks().with_decisions([TWO])


def test_a_process_sees_what_another_one_added_and_not_what_it_added_itself(tmp_path: Path) -> None:
    one, two = opened(tmp_path), opened(tmp_path)
    one.load()
    assert not one.changed()
    two.merge(Marks().with_decisions([ONE]))
    assert (one.changed(), two.changed()) == (True, False)
    one.load()
    assert not one.changed()


def test_what_is_known_already_is_not_written_again(tmp_path: Path) -> None:
    marks = Marks().with_decisions([ONE])
    opened(tmp_path).merge(marks)
    before = (tmp_path / "memory" / "decisions").stat().st_ino
    opened(tmp_path).merge(marks)
    assert (tmp_path / "memory" / "decisions").stat().st_ino == before
