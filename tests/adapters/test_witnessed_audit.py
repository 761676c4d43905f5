"""A record held against a witness: what was cut, emptied, swapped or moved is seen, and needs a person's word."""

import asyncio
from collections.abc import Awaitable, Callable
from itertools import count
from pathlib import Path

import orjson
import pytest

from gateway.adapters.audit_file import FileAudit, read_lines
from gateway.adapters.audit_segments import read_segment
from gateway.adapters.clock import SystemClock
from gateway.adapters.redis_audit_head import RedisAuditHead
from gateway.adapters.redis_connect import RedisStore, connect
from gateway.adapters.witnessed_audit import WitnessedAudit
from gateway.core.audit import ChainHead, Event, verify
from gateway.core.sealing import seal
from gateway.ports import AuditUnavailable
from tests.contracts.servers import Stores
from tests.fakes.world import FakeClock, FakeMeter

SECRET, SEALING = b"audit", b"s" * 32
NUMBERS = count()


class Room:
    """A store for heads, and processes that write to a file beside it."""

    def __init__(self, store: RedisStore, directory: Path) -> None:
        self.store, self.path, self.meter = store, directory / "audit.jsonl", FakeMeter()
        self.prefix = f"witness{next(NUMBERS)}:"
        self.heads = RedisAuditHead(store, SEALING, SystemClock(), self.meter, prefix=self.prefix)
        self.said: list[str] = []

    def process(self, path: Path | None = None) -> WitnessedAudit:
        file = FileAudit(path or self.path, SECRET, SystemClock())
        return WitnessedAudit(file, SECRET, self.heads, SystemClock(), self.said.append)

    async def refused(self, audit: WitnessedAudit, why: str) -> None:
        before = self.path.read_bytes() if self.path.is_file() else b""
        with pytest.raises(AuditUnavailable, match=why):
            await audit.append(event())
        assert (self.path.read_bytes() if self.path.is_file() else b"") == before

    async def forget_heads(self) -> None:
        await self.store.call("lose", "DEL", f"{self.prefix}{{audit}}:heads")

    def cut(self, lines: int) -> None:
        self.path.write_bytes(b"".join(list(read_lines(self.path))[:-lines]))

    def kinds(self) -> list[str]:
        return [orjson.loads(line)["kind"] for line in read_lines(self.path)]


def event() -> Event:
    return Event("namespace_frozen", 1.0, {"by": "ada", "namespace": "paper"})


def play(stores: Stores, directory: Path, story: Callable[[Room], Awaitable[None]]) -> None:
    async def whole() -> None:
        store = connect(stores.state.url, timeout_s=5.0, name="witness")
        try:
            await story(Room(store, directory))
        finally:
            await store.close()

    asyncio.run(whole())


def test_each_head_is_stored_under_the_identity_that_the_chain_was_given(stores: Stores, tmp_path: Path) -> None:
    async def story(room: Room) -> None:
        assert [await room.process().append(event()) for _ in range(3)] == [2, 3, 4]
        first = orjson.loads(next(read_lines(room.path)))
        stored = await room.heads.get(first["facts"]["chain"])
        assert stored is not None
        assert len(first["facts"]["chain"]) == 32
        assert (stored.place, stored.head) == (str(room.path), verify(SECRET, read_lines(room.path)))

    play(stores, tmp_path, story)


def test_a_record_that_was_cut_is_not_gone_on_with_whatever_the_machine_is_called(
    stores: Stores, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story(room: Room) -> None:
        for _ in range(5):
            await room.process().append(event())
        room.cut(3)
        monkeypatch.setattr("platform.node", lambda: "another-container")
        await room.refused(room.process(), "ends at record 3; 6 were written")

    play(stores, tmp_path, story)


def test_records_without_a_head_and_a_head_without_records_need_a_word(stores: Stores, tmp_path: Path) -> None:
    async def story(room: Room) -> None:
        await room.process().append(event())
        await room.forget_heads()
        audit = room.process()
        await room.refused(audit, "holds records up to 2, and the state store holds no head")
        misfit = await audit.accept("grace")
        assert misfit is not None
        assert await audit.append(event()) == 4
        room.path.unlink()
        fresh = room.process()
        await room.refused(fresh, "no audit file, and records up to 4 were written")

    play(stores, tmp_path, story)


def test_a_word_goes_on_with_a_whole_chain_and_is_on_record(stores: Stores, tmp_path: Path) -> None:
    async def story(room: Room) -> None:
        await room.process().append(event())
        await room.forget_heads()
        await room.process().accept("grace")
        assert room.kinds() == ["chain_started", "namespace_frozen", "chain_accepted"]
        facts = orjson.loads(list(read_lines(room.path))[-1])["facts"]
        assert (facts["by"], facts["chains"]) == ("grace", [])
        assert "no head" in facts["why"]
        assert await room.process().accept("grace") is None
        assert isinstance(verify(SECRET, read_lines(room.path)), ChainHead)

    play(stores, tmp_path, story)


def test_a_word_over_a_cut_chain_begins_another_and_keeps_what_is_left(stores: Stores, tmp_path: Path) -> None:
    async def story(room: Room) -> None:
        worker = room.process()
        for _ in range(5):
            await worker.append(event())
        old = orjson.loads(next(read_lines(room.path)))["facts"]["chain"]
        room.cut(2)
        await room.process().accept("grace")
        assert room.kinds() == ["chain_started", "chain_accepted"]
        facts = orjson.loads(list(read_lines(room.path))[-1])["facts"]
        assert facts["chains"] == [old]
        assert len(list(read_lines(room.path.with_name(f"audit.jsonl.{1:012d}")))) == 4
        # A worker that runs follows by itself.
        assert await worker.append(event()) == 3
        assert await room.process().append(event()) == 4

    play(stores, tmp_path, story)


def test_another_chain_in_the_place_of_this_one_is_seen(stores: Stores, tmp_path: Path) -> None:
    async def story(room: Room) -> None:
        await room.process().append(event())
        other = tmp_path / "other" / "audit.jsonl"
        for _ in range(4):
            await room.process(other).append(event())
        room.path.write_bytes(other.read_bytes())
        await room.refused(room.process(), "its chain was last written to")
        await room.process().accept("grace")
        assert await room.process().append(event()) == 7

    play(stores, tmp_path, story)


def test_two_machines_with_files_of_their_own_write_side_by_side(stores: Stores, tmp_path: Path) -> None:
    async def story(room: Room) -> None:
        for path in (tmp_path / "a" / "audit.jsonl", tmp_path / "b" / "audit.jsonl"):
            assert await room.process(path).append(event()) == 2
            assert await room.process(path).append(event()) == 3

    play(stores, tmp_path, story)


def test_a_file_moved_far_away_stops_no_process_that_runs(stores: Stores, tmp_path: Path) -> None:
    async def story(room: Room) -> None:
        one, two, idle = room.process(), room.process(), room.process()
        await idle.settle()
        await one.append(event())
        await idle.settle()
        await two.append(event())
        away = tmp_path / "away"
        away.mkdir()
        room.path.rename(away / "audit.jsonl")
        # Only the other one wrote the last record: what it ended with is known by the stored head.
        assert await one.append(event()) == 5
        assert await two.append(event()) == 6
        assert await idle.append(event()) == 7
        lines = [*read_lines(away / "audit.jsonl"), *read_lines(room.path)]
        found = verify(SECRET, lines)
        assert isinstance(found, ChainHead)
        assert found.seq == 7

    play(stores, tmp_path, story)


def test_a_file_moved_aside_is_gone_on_with_also_after_a_restart(stores: Stores, tmp_path: Path) -> None:
    async def story(room: Room) -> None:
        await room.process().append(event())
        room.path.rename(tmp_path / "audit.1")
        assert await room.process().append(event()) == 4
        assert room.kinds() == ["segment_started", "namespace_frozen"]

    play(stores, tmp_path, story)


def test_what_was_moved_aside_and_cut_is_not_gone_on_with(stores: Stores, tmp_path: Path) -> None:
    async def story(room: Room) -> None:
        for _ in range(3):
            await room.process().append(event())
        room.cut(1)
        room.path.rename(tmp_path / "audit.jsonl.1")
        await room.refused(room.process(), "records up to 4 were written")

    play(stores, tmp_path, story)


@pytest.mark.parametrize("host", ["this", "that"])
def test_a_chain_from_before_chains_had_an_identity_goes_on_and_gets_a_head_of_the_new_form(
    stores: Stores, tmp_path: Path, host: str
) -> None:
    async def story(room: Room) -> None:
        await old_chain(room, host)
        assert await room.process().append(event()) == 4
        segment = read_segment(room.path, SECRET)
        assert segment is not None
        stored = await room.heads.get(segment.chain)
        assert stored is not None
        assert stored.head.seq == 4
        room.cut(1)
        await room.refused(room.process(), "ends at record 3; 4 were written")

    play(stores, tmp_path, story)


def test_an_old_chain_that_was_cut_before_the_upgrade_is_not_gone_on_with(stores: Stores, tmp_path: Path) -> None:
    async def story(room: Room) -> None:
        await old_chain(room, "this")
        room.cut(1)
        await room.refused(room.process(), "no head")

    play(stores, tmp_path, story)


async def old_chain(room: Room, host: str) -> None:
    """As the version before wrote it: no identity, and a head under the machine's name."""
    from gateway.core.audit import link

    head, lines = ChainHead(), b""
    for each in (Event("chain_started", 1.0, {"file": "audit.jsonl"}), event(), event()):
        line, head = link(SECRET, head, each)
        lines += line
    room.path.write_bytes(lines)
    name = f"{host}:{room.path}"
    blob = seal(SEALING, f"audit-head:{name}", orjson.dumps([head.seq, head.mac]), b"n" * 12)
    await room.store.call("put", "HSET", f"{room.prefix}{{audit}}:heads", name, b"3:" + blob)


def test_no_chain_is_begun_where_another_process_began_one_that_is_gone(stores: Stores, tmp_path: Path) -> None:
    async def story(room: Room) -> None:
        idle = room.process()
        assert await idle.settle() is None
        await room.process().append(event())
        room.path.unlink()
        await room.refused(idle, "no audit file")

    play(stores, tmp_path, story)


def test_an_old_chain_whose_file_is_gone_is_a_head_without_records(stores: Stores, tmp_path: Path) -> None:
    async def story(room: Room) -> None:
        await old_chain(room, "this")
        room.path.unlink()
        await room.refused(room.process(), "there is no audit file")

    play(stores, tmp_path, story)


def test_records_moved_aside_whose_head_is_gone_are_records_without_a_head(stores: Stores, tmp_path: Path) -> None:
    async def story(room: Room) -> None:
        await room.process().append(event())
        await room.forget_heads()
        room.path.rename(tmp_path / "audit.jsonl.1")
        await room.refused(room.process(), "was moved, and the state store holds no head")

    play(stores, tmp_path, story)


def test_without_the_state_store_nothing_is_begun_and_everything_goes_on_when_it_is_back(
    stores: Stores, tmp_path: Path
) -> None:
    async def story(room: Room) -> None:
        lost = connect(f"unix://{tmp_path}/nobody", timeout_s=0.5, name="witness")
        room_without = Room(lost, tmp_path)
        await room_without.refused(room_without.process(), "the state store is lost")
        audit = room.process()
        await audit.append(event())
        audit.heads = room_without.heads
        assert await audit.append(event()) == 3
        audit.heads = room.heads
        await audit.log_head()
        segment = read_segment(room.path, SECRET)
        assert segment is not None
        stored = await room.heads.get(segment.chain)
        assert stored is not None
        assert stored.head.seq == 3
        await lost.close()

    play(stores, tmp_path, story)


def test_a_file_that_is_none_of_ours_is_left_alone(stores: Stores, tmp_path: Path) -> None:
    async def story(room: Room) -> None:
        room.path.write_bytes(b"nonsense\n")
        await room.refused(room.process(), "does not begin and end with records")
        await room.process().accept("grace")
        assert room.path.with_name(f"audit.jsonl.{0:012d}").read_bytes() == b"nonsense\n"
        assert room.kinds() == ["chain_started", "chain_accepted"]

    play(stores, tmp_path, story)


def test_heads_go_to_the_log_at_a_bounded_rate_whoever_wrote_the_records(stores: Stores, tmp_path: Path) -> None:
    async def story(room: Room) -> None:
        clock = FakeClock([], automatic=False)
        witness = WitnessedAudit(
            FileAudit(room.path, SECRET, SystemClock()), SECRET, room.heads, clock, room.said.append
        )
        loop = asyncio.create_task(witness.forever())
        for _ in range(20):
            await room.process().append(event())
        while not clock._sleepers:
            await asyncio.sleep(0)
        assert len(room.said) <= 1
        clock.advance(10.0)
        while len(clock._sleepers) < 1 or not room.said:
            await asyncio.sleep(0)
        end = verify(SECRET, read_lines(room.path))
        assert isinstance(end, ChainHead)
        segment = read_segment(room.path, SECRET)
        assert segment is not None
        assert room.said[-1] == f"audit head: chain {segment.chain} record {end.seq} {end.mac}"
        loop.cancel()

    play(stores, tmp_path, story)
