"""What every audit log promises: each record once, in a chain that verifies, numbered in the order of the answers."""

import asyncio
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

import pytest

from gateway.adapters.audit_file import FileAudit, read_lines
from gateway.adapters.clock import SystemClock
from gateway.core.audit import ChainHead, Event, verify
from gateway.ports import AuditLog
from tests.fakes.stores import FakeAudit

SECRET = b"audit"


class Chain(Protocol):
    """A log, and a way to read it from outside."""

    @property
    def log(self) -> AuditLog: ...
    def lines(self) -> Iterable[bytes]: ...


class InMemory:
    def __init__(self) -> None:
        self.log = FakeAudit([], SECRET)

    def lines(self) -> Iterable[bytes]:
        return self.log.lines


class InFile:
    def __init__(self, path: Path) -> None:
        self._path = path
        self.log = FileAudit(path, SECRET, SystemClock())

    def lines(self) -> Iterable[bytes]:
        return read_lines(self._path)


@pytest.fixture(params=["memory", "file"])
def chain(request: pytest.FixtureRequest, tmp_path: Path) -> Chain:
    return InMemory() if request.param == "memory" else InFile(tmp_path / "audit.jsonl")


def revocation(i: int) -> Event:
    return Event("key_revoked", 1.0 * i, {"by": "root", "key": f"key{i}", "user": f"user{i}"})


def test_records_stand_in_a_chain_in_the_order_they_were_made(chain: Chain) -> None:
    async def story() -> list[int]:
        return [await chain.log.append(revocation(i)) for i in range(5)]

    numbers = asyncio.run(story())
    assert numbers == list(range(numbers[0], numbers[0] + 5))
    head = verify(SECRET, chain.lines())
    assert isinstance(head, ChainHead)
    assert head.seq == numbers[-1]


def test_records_made_at_the_same_moment_each_get_a_number_of_their_own(chain: Chain) -> None:
    async def story() -> list[int]:
        return await asyncio.gather(*(chain.log.append(revocation(i)) for i in range(30)))

    numbers = asyncio.run(story())
    assert len(set(numbers)) == 30
    head = verify(SECRET, chain.lines())
    assert isinstance(head, ChainHead)
    assert head.seq == max(numbers)


def test_what_is_on_record_cannot_be_changed_unnoticed(chain: Chain) -> None:
    async def story() -> None:
        for i in range(4):
            await chain.log.append(revocation(i))

    asyncio.run(story())
    lines = list(chain.lines())
    changed = [line.replace(b"user2", b"user9") for line in lines]
    broken = verify(SECRET, changed)
    assert not isinstance(broken, ChainHead)
    assert changed[broken.line - 1] != lines[broken.line - 1]
