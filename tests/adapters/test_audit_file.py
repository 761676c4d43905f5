"""The audit record as a file: one chain for all processes, on the disk before anybody acts, whole after a crash."""

import asyncio
import errno
import fcntl
import os
import stat
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import orjson
import pytest

from gateway.adapters.audit_file import FileAudit, read_lines
from gateway.adapters.clock import SystemClock
from gateway.core.audit import BrokenLink, ChainHead, Event, verify
from gateway.ports import AuditUnavailable

SECRET = b"audit"
ANOTHER = """
import asyncio, sys
from pathlib import Path
from gateway.adapters.audit_file import FileAudit
from gateway.adapters.clock import SystemClock
from gateway.core.audit import Event
async def main():
    log = FileAudit(Path(sys.argv[1]), b"audit", SystemClock())
    print("ready", flush=True)
    sys.stdin.readline()
    for i in range(25):
        await log.append(Event("key_created", 1.0, {"who": sys.argv[2], "n": i}))
asyncio.run(main())
"""


def event(n: int = 0) -> Event:
    return Event("policy_permitted", 12.5, {"n": n})


def opened(path: Path) -> FileAudit:
    return FileAudit(path, SECRET, SystemClock())


def add(log: FileAudit, count: int = 1) -> list[int]:
    async def story() -> list[int]:
        return [await log.append(event(n)) for n in range(count)]

    return asyncio.run(story())


def kinds(path: Path) -> list[str]:
    return [orjson.loads(line)["kind"] for line in read_lines(path)]


def test_the_first_record_says_that_the_chain_starts(tmp_path: Path) -> None:
    path = tmp_path / "new" / "audit.jsonl"
    assert add(opened(path), 2) == [2, 3]
    assert kinds(path) == ["chain_started", "policy_permitted", "policy_permitted"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    head = verify(SECRET, read_lines(path))
    assert isinstance(head, ChainHead)
    assert head.seq == 3


def test_processes_of_one_machine_write_one_chain(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    others = [
        subprocess.Popen(
            [sys.executable, "-c", ANOTHER, str(path), name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for name in ("a", "b", "c")
    ]
    for other in others:
        assert other.stdout is not None
        assert other.stdout.readline() == "ready\n"
    for other in others:
        assert other.stdin is not None
        other.stdin.write("go\n")
        other.stdin.flush()
    for other in others:
        other.communicate()
    assert [other.returncode for other in others] == [0, 0, 0]
    head = verify(SECRET, read_lines(path))
    assert isinstance(head, ChainHead)
    assert head.seq == 76
    written = [orjson.loads(line)["facts"] for line in read_lines(path)][1:]
    for name in ("a", "b", "c"):
        assert [facts["n"] for facts in written if facts["who"] == name] == list(range(25))


def test_two_logs_that_take_turns_each_continue_what_the_other_wrote(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    one, two = opened(path), opened(path)
    assert [add(log)[0] for log in (one, two, two, one, one, two)] == [2, 3, 4, 5, 6, 7]
    assert isinstance(verify(SECRET, read_lines(path)), ChainHead)


@pytest.mark.parametrize("before", [0, 1, 300])
def test_a_line_that_a_crash_cut_short_is_taken_off_and_put_on_record(tmp_path: Path, before: int) -> None:
    path = tmp_path / "audit.jsonl"
    torn = b'{"seq": 4, "facts": {"pad": "' + b"x" * 70_000
    if before:
        add(opened(path), before)
    with path.open("ab") as file:
        file.write(torn)
    log = opened(path)
    assert add(log, 2) == [before + 3, before + 4]
    lines = list(read_lines(path))
    assert isinstance(verify(SECRET, lines), ChainHead)
    repair = orjson.loads(lines[-3])
    assert repair["kind"] == "chain_repaired"
    assert repair["facts"] == {"bytes": len(torn), "sha256": sha256(torn).hexdigest()}
    assert kinds(path).count("chain_repaired") == 1


def test_a_record_is_on_the_disk_before_the_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "audit.jsonl"
    synced: list[tuple[str, int]] = []
    fsync = os.fsync

    def noted(descriptor: int) -> None:
        kind = "directory" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file"
        synced.append((kind, os.fstat(descriptor).st_size if kind == "file" else 0))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", noted)
    log = opened(path)
    add(log)
    assert synced == [("file", path.stat().st_size), ("directory", 0)]
    add(log)
    assert synced[2:] == [("file", path.stat().st_size)]


@pytest.mark.parametrize("name", ["fsync", "write", "open"])
def test_what_the_disk_does_not_take_is_refused_and_leaves_no_trace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    path = tmp_path / "audit.jsonl"
    log = opened(path)
    add(log, 2)
    before = path.read_bytes()
    with monkeypatch.context() as context:

        def full(*_: object) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

        context.setattr(os, name, full)
        with pytest.raises(AuditUnavailable, match="No space left"):
            add(log)
    assert path.read_bytes() == before
    assert add(log) == [4]
    assert isinstance(verify(SECRET, read_lines(path)), ChainHead)


def test_a_record_that_the_disk_took_only_in_part_is_taken_off_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "audit.jsonl"
    log = opened(path)
    add(log, 2)
    before = path.read_bytes()
    write = os.write
    with monkeypatch.context() as context:
        context.setattr(os, "write", lambda descriptor, data: write(descriptor, data[:10]))
        with pytest.raises(AuditUnavailable):
            add(log)
    assert path.read_bytes() == before
    assert add(log) == [4]


def test_nobody_writes_while_another_one_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "audit.jsonl"
    log = opened(path)
    add(log)
    before = path.read_bytes()
    monkeypatch.setattr("gateway.adapters.audit_file.LOCK_S", 0.05)
    with path.open("rb") as another:
        fcntl.flock(another, fcntl.LOCK_EX)
        with pytest.raises(AuditUnavailable):
            add(log)
    assert path.read_bytes() == before
    assert add(log) == [3]


def test_a_directory_in_its_place_is_an_unavailable_audit(tmp_path: Path) -> None:
    with pytest.raises(AuditUnavailable):
        add(opened(tmp_path))


def test_a_file_that_lost_its_end_is_not_continued(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    log = opened(path)
    add(log, 5)
    lines = list(read_lines(path))
    path.write_bytes(b"".join(lines[:4]))
    with pytest.raises(AuditUnavailable, match="ends at record 4; 6 were written"):
        add(log)
    path.unlink()
    with pytest.raises(AuditUnavailable, match="ends at record 0; 6 were written"):
        add(log)
    path.write_bytes(b"".join(lines))
    assert add(log) == [7]


def test_a_fresh_process_that_knows_the_head_does_not_continue_a_file_that_ends_before_it(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    heads: list[ChainHead] = []

    async def witness(head: ChainHead) -> None:
        heads.append(head)

    add(FileAudit(path, SECRET, SystemClock(), witness), 3)
    assert [head.seq for head in heads] == [2, 3, 4]
    lines = list(read_lines(path))
    path.write_bytes(b"".join(lines[:-1]))
    assert isinstance(verify(SECRET, read_lines(path)), ChainHead)
    assert isinstance(verify(SECRET, read_lines(path), heads[-1]), BrokenLink)
    fresh = opened(path)
    fresh.expect(heads[-1])
    with pytest.raises(AuditUnavailable, match="ends at record 3; 4 were written"):
        add(fresh)


@pytest.mark.parametrize("last", [b"\n", b"nonsense\n", b'{"seq": 1}\n', b"[]\n"])
def test_a_file_that_does_not_end_in_a_record_of_ours_is_not_continued(tmp_path: Path, last: bytes) -> None:
    path = tmp_path / "audit.jsonl"
    path.write_bytes(last)
    with pytest.raises(AuditUnavailable, match="not a record of this gateway"):
        add(opened(path))
    assert path.read_bytes() == last


def test_another_secret_does_not_continue_the_chain(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    add(opened(path))
    with pytest.raises(AuditUnavailable, match="not a record of this gateway"):
        add(FileAudit(path, b"another", SystemClock()))


def test_a_caller_who_goes_away_does_not_break_the_chain(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"

    async def story() -> None:
        log = opened(path)
        for i in range(20):
            hasty = asyncio.create_task(log.append(event(i)))
            for _ in range(i % 4):
                await asyncio.sleep(0)
            hasty.cancel()
            await log.append(event(100 + i))
            await asyncio.gather(hasty, return_exceptions=True)

    asyncio.run(story())
    assert isinstance(verify(SECRET, read_lines(path)), ChainHead)
    confirmed = [orjson.loads(line)["facts"].get("n", 0) for line in read_lines(path)]
    assert [n for n in confirmed if n >= 100] == [100 + i for i in range(20)]
