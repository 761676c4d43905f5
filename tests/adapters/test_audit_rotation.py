"""A chain that runs through several files: full ones set aside, and files that somebody moved away."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import orjson
import pytest

from gateway.adapters.audit_file import FileAudit, SegmentMissing, read_lines
from gateway.adapters.audit_segments import segments
from gateway.adapters.clock import SystemClock
from gateway.core.audit import ChainHead, Event, verify
from gateway.ports import AuditUnavailable

SECRET = b"audit"
ANOTHER = """
import asyncio, sys
from pathlib import Path
from gateway.adapters.audit_file import FileAudit
from gateway.adapters.clock import SystemClock
from gateway.core.audit import Event
async def main():
    log = FileAudit(Path(sys.argv[1]), b"audit", SystemClock(), segment_bytes=2000)
    print("ready", flush=True)
    sys.stdin.readline()
    for i in range(40):
        await log.append(Event("key_created", 1.0, {"who": sys.argv[2], "n": i}))
asyncio.run(main())
"""


def opened(path: Path, segment_bytes: int = 2000) -> FileAudit:
    return FileAudit(path, SECRET, SystemClock(), segment_bytes=segment_bytes)


def add(log: FileAudit, count: int = 1) -> list[int]:
    async def story() -> list[int]:
        return [await log.append(Event("policy_permitted", 12.5, {"n": n})) for n in range(count)]

    return asyncio.run(story())


def through(files: Sequence[Path]) -> ChainHead:
    """The end of the chain in these files, which must be whole."""
    lines = [line for file in files for line in read_lines(file)]
    head = verify(SECRET, lines)
    assert isinstance(head, ChainHead), head
    return head


def chain(path: Path) -> list[Path]:
    return [segment.path for segment in segments(path, SECRET)]


def test_a_full_file_is_set_aside_and_the_chain_runs_through_all_of_them(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    numbers = add(opened(path), 60)
    files = chain(path)
    assert len(files) > 4
    assert files[-1] == path
    assert all(
        file.name == f"audit.jsonl.{segment.first:012d}"
        for file, segment in zip(files[:-1], segments(path, SECRET), strict=False)
    )
    assert through(files).seq == numbers[-1]
    assert all(file.stat().st_size < 2600 for file in files)
    firsts = [orjson.loads(next(read_lines(file))) for file in files]
    assert [first["kind"] for first in firsts] == ["chain_started"] + ["segment_started"] * (len(files) - 1)
    assert len({first["facts"]["chain"] for first in firsts}) == 1
    assert numbers == sorted(set(numbers))


def test_processes_that_fill_files_at_once_write_one_chain(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    command = [sys.executable, "-c", ANOTHER, str(path)]
    others = [
        subprocess.Popen([*command, name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for name in "abc"
    ]
    for other in others:
        assert other.stdout is not None
        assert other.stdout.readline() == "ready\n"
    for other in others:
        other.communicate("go\n")
    assert [other.returncode for other in others] == [0, 0, 0]
    files = chain(path)
    through(files)
    written = [orjson.loads(line)["facts"] for file in files for line in read_lines(file)]
    for name in "abc":
        assert [facts["n"] for facts in written if facts.get("who") == name] == list(range(40))


@pytest.mark.parametrize("name", ["audit.jsonl.1", "audit.1", "old"])
@pytest.mark.parametrize("fresh", [False, True])
def test_a_file_moved_aside_stops_nobody_and_the_chain_goes_on(tmp_path: Path, name: str, fresh: bool) -> None:
    path = tmp_path / "audit.jsonl"
    log = opened(path, 10**6)
    add(log, 5)
    path.rename(tmp_path / name)
    if fresh:
        log = opened(path, 10**6)
        log.adopt(segments(path, SECRET)[0].chain, ChainHead(6, ""))
    assert add(log, 2) == [8, 9]
    assert through([tmp_path / name, path]).seq == 9
    assert chain(path) == [tmp_path / name, path]


def test_a_file_that_was_copied_and_emptied_is_one_that_was_moved(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    log = opened(path, 10**6)
    add(log, 5)
    (tmp_path / "audit.jsonl.1").write_bytes(path.read_bytes())
    os.truncate(path, 0)
    assert add(log) == [8]
    assert through([tmp_path / "audit.jsonl.1", path]).seq == 8


def test_a_crash_between_two_files_is_made_good_by_whoever_comes_next(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    add(opened(path), 30)
    path.rename(tmp_path / f"audit.jsonl.{segments(path, SECRET)[-1].first:012d}")
    number = add(opened(path))[0]
    assert through(chain(path)).seq == number
    assert number > 30


def test_a_file_moved_far_away_is_gone_on_with_only_after_a_head_that_is_known(tmp_path: Path) -> None:
    path, far = tmp_path / "audit" / "audit.jsonl", tmp_path / "far"
    log = opened(path, 10**6)
    add(log, 5)
    path.rename(far)
    with pytest.raises(SegmentMissing, match="ends at record 0; 6 were written"):
        add(log)
    assert log.head is not None
    log.resume(log.head)
    assert add(log) == [8]
    assert through([far, path]).seq == 8
    assert verify(SECRET, read_lines(path)) != ChainHead(8, "")


def test_the_newest_file_moved_far_away_is_missed_also_where_older_ones_are_here(tmp_path: Path) -> None:
    path = tmp_path / "audit" / "audit.jsonl"
    log = opened(path)
    add(log, 30)
    path.rename(tmp_path / "far")
    with pytest.raises(SegmentMissing, match="were written"):
        add(log)


def test_a_file_that_was_shortened_or_put_in_its_place_is_not_gone_on_with(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    log = opened(path, 10**6)
    add(log, 5)
    whole = path.read_bytes()
    path.write_bytes(b"".join(whole.splitlines(keepends=True)[:-1]))
    with pytest.raises(AuditUnavailable, match="ends at record 5; 6 were written"):
        add(log)
    another = tmp_path / "other" / "audit.jsonl"
    add(opened(another, 10**6), 9)
    path.write_bytes(another.read_bytes())
    with pytest.raises(AuditUnavailable, match="another chain"):
        add(log)
    path.write_bytes(whole)
    assert add(log) == [7]


def test_a_name_that_is_taken_keeps_its_file(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    taken = tmp_path / f"audit.jsonl.{1:012d}"
    taken.write_bytes(b"something else\n")
    add(opened(path), 30)
    assert taken.read_bytes() == b"something else\n"
    through(chain(path))


def test_of_copies_beside_the_file_one_is_followed(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    log = opened(path, 10**6)
    add(log, 3)
    (tmp_path / "audit.jsonl.bak").write_bytes(path.read_bytes())
    (tmp_path / "notes.txt").write_bytes(b"not ours\n")
    (tmp_path / "directory").mkdir()
    add(log, 3)
    assert chain(path) == [path]


def test_another_chain_is_begun_beside_the_old_one_and_has_another_identity(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    log = opened(path, 10**6)
    add(log, 5)
    old = log.chain
    log.begin_anew()
    assert add(log) == [2]
    assert log.chain != old
    assert through([path]).seq == 2
    assert through([tmp_path / f"audit.jsonl.{1:012d}"]).seq == 6
