"""The master secret is replaced while everything goes on: keys, namespaces, receipts and records of the old one."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any

import orjson

from gateway.core import audit, credentials, receipts
from gateway.core.audit import ChainHead, Event
from gateway.core.sealing import Secret, derive_key
from gateway.flow.runtime import Runtime
from gateway.flow.secret_rotation import AT_NEXT_USE, BY_COMMAND, NotMoved, RotationKeys, SecretRotation
from gateway.ports import SealedRecord, UpstreamLoss
from gateway.wiring.assembly import Adapters, assemble, key_pepper
from gateway.wiring.cache_config import cache_config, parse_config, sealing_keys
from tests.flow.harness import KEY, MASTER, Harness

NEW, NEWEST = b"n" * 32, b"x" * 32
BEFORE, DURING, AFTER = Secret(MASTER, [NEW]), Secret(NEW, [MASTER]), Secret(NEW)
NAMED = "namespace=paper"
SAMPLES: tuple[dict[str, Any], ...] = ({}, {"num_steps": 1}, {"temperature": 1.0})


class NoRecords:
    """`ports.SealedRecords` of a world whose directory does not seal."""

    async def records(self) -> Sequence[SealedRecord]:
        return [SealedRecord("approvals", "ada", False)]

    async def reseal(self) -> int:
        return 1


class Rotated(Harness):
    """The gateway, started again and again with other masters on the same stores."""

    def start(self, master: bytes) -> None:
        m = self.memory
        adapters = Adapters(
            directory=m.directory,
            ledger=m.ledger,
            cache=m.cache,
            purge_store=m.purge_store,
            namespace_store=m.namespace_store,
            throttle=m.throttle,
            run_counters=m.run_counters,
            upstream=m.upstream,
            audit=m.audit,
            access_log=m.access,
            reader=self.reader,
            runtime=Runtime(m.clock, m.meter, self.tasks),
        )
        self.flow = assemble(adapters, self.settings, master, self.upstream_keys)
        self.rotation = SecretRotation(
            records=NoRecords(),
            directory=m.directory,
            namespace_store=m.namespace_store,
            audit=m.audit,
            clock=m.clock,
            keys=RotationKeys(sealing_keys(master).records, key_pepper(master)),
            cache_config=cache_config(self.settings, master),
            parse_config=parse_config(self.settings),
        )

    async def replayed(self) -> list[Any]:
        await self.flow.poller.poll()
        answers = [await self.ask(body, cache_control=NAMED) for body in SAMPLES]
        await self.tasks.drain(5.0)
        return answers

    async def frozen(self) -> "Rotated":
        self.start(MASTER)
        await self.namespace("paper")
        self.first = [answer.body for answer in await self.replayed()]
        await self.namespace("paper", frozen=True)
        self.memory.upstream.answer = lambda _: UpstreamLoss("refused", sent=False, timed_out=False)
        return self


def play(story: Callable[[], Awaitable[None]]) -> None:
    async def whole() -> None:
        await story()

    asyncio.run(whole())


def test_nobody_notices_while_the_master_is_replaced_and_the_old_one_is_taken_away() -> None:
    async def story() -> None:
        lab = await Rotated().frozen()
        for master in (BEFORE, DURING):
            lab.start(master)
            assert [answer.body for answer in await lab.replayed()] == lab.first
        assert await lab.rotation.not_moved() == [
            NotMoved("record of approvals", "ada", BY_COMMAND),
            NotMoved("calls of namespace", "paper", BY_COMMAND, len(SAMPLES)),
        ]
        assert await lab.rotation.move("root", "id") == 1 + len(SAMPLES)
        assert await lab.rotation.move("root", "id") == 1, "once moved, an entry stays"
        lab.start(AFTER)
        assert [answer.body for answer in await lab.replayed()] == lab.first
        assert [each.kind for each in await lab.rotation.not_moved()] == ["record of approvals"]

    play(story)


def test_without_the_move_an_old_master_cannot_be_taken_away() -> None:
    async def story() -> None:
        lab = await Rotated().frozen()
        lab.start(DURING)
        await lab.ask(cache_control=NAMED)
        await lab.tasks.drain(5.0)
        lab.start(AFTER)
        assert {answer.status for answer in await lab.replayed()} == {404}

    play(story)


def test_a_key_gets_the_present_digest_when_it_is_used_and_no_worker_forgets_others_for_it() -> None:
    async def story() -> None:
        lab = Rotated()
        lab.start(DURING)
        before = lab.memory.directory.records[KEY.public_id]
        assert NotMoved("key", KEY.public_id, AT_NEXT_USE) in await lab.rotation.not_moved()
        epoch = lab.memory.directory.changes
        assert (await lab.ask()).status == 200
        await lab.tasks.drain(5.0)
        after = lab.memory.directory.records[KEY.public_id]
        assert replace(after, digest=before.digest) == before
        assert credentials.is_current(key_pepper(AFTER), after.digest)
        assert lab.memory.directory.changes == epoch
        assert "key" not in {each.kind for each in await lab.rotation.not_moved()}
        lab.start(AFTER)
        assert (await lab.ask()).status == 200
        assert lab.memory.effects().count("directory.rehash") == 1, "once is enough"

    play(story)


def test_a_key_whose_new_digest_cannot_be_stored_is_let_in_all_the_same() -> None:
    async def story() -> None:
        lab = Rotated()
        lab.start(DURING)
        lab.memory.directory.lost.add("rehash")
        assert (await lab.ask()).status == 200
        await lab.tasks.drain(5.0)
        assert lab.memory.meter.counts["esmgw_store_errors_total", "state", "rehash"] == 1
        assert not credentials.is_current(key_pepper(AFTER), lab.memory.directory.records[KEY.public_id].digest)

    play(story)


def test_a_key_that_is_revoked_meanwhile_stays_revoked() -> None:
    async def story() -> None:
        lab = Rotated()
        lab.start(DURING)
        await lab.ask()
        revoked = replace(lab.memory.directory.records[KEY.public_id], revoked=5.0)
        lab.memory.directory.records[KEY.public_id] = revoked
        await lab.tasks.drain(5.0)
        assert lab.memory.directory.records[KEY.public_id].revoked == 5.0

    play(story)


def test_keys_that_cannot_be_used_any_more_need_no_move() -> None:
    async def story() -> None:
        lab = Rotated()
        lab.add_key(lab.memory.directory.records[KEY.public_id].limits, expires=5.0)
        lab.person("bob", revoked=5.0)
        lab.start(DURING)
        assert "key" not in {each.kind for each in await lab.rotation.not_moved()}

    play(story)


def test_a_receipt_of_the_old_master_can_be_read_and_new_ones_need_it_no_more() -> None:
    async def story() -> None:
        lab = Rotated()
        lab.start(MASTER)
        old = (await lab.ask()).headers["X-Gateway-Receipt"]
        lab.start(DURING)
        new = (await lab.ask({"num_steps": 1})).headers["X-Gateway-Receipt"]
        for each_master, readable in ((DURING, {old, new}), (AFTER, {new}), (BEFORE, {old, new}), (MASTER, {old})):
            key = sealing_keys(each_master).receipts
            assert {each for each in (old, new) if receipts.decode(key, each) is not None} == readable

    play(story)


def test_the_audit_chain_goes_on_under_the_new_master_and_verifies_with_both() -> None:
    old, during, after, strange = (derive_key(each, "audit-chain") for each in (MASTER, DURING, AFTER, NEWEST))
    head, lines = ChainHead(), list[bytes]()
    for number, secret in enumerate((old, old, during, during)):
        line, head = audit.link(secret, head, Event("namespace_frozen", number, {"by": "ada", "namespace": "paper"}))
        lines.append(line)
    assert audit.verify(during, lines) == head
    assert audit.verify(derive_key(BEFORE, "audit-chain"), lines) == head
    for secret, number in ((old, 3), (after, 1), (strange, 1)):
        broken = audit.verify(secret, lines)
        assert isinstance(broken, audit.BrokenLink)
        assert broken.line == number
    changed = [*lines[:1], lines[1].replace(b"ada", b"bob"), *lines[2:]]
    assert isinstance(audit.verify(during, changed), audit.BrokenLink)


def test_the_move_is_on_record_before_anything_moves() -> None:
    async def story() -> None:
        lab = await Rotated().frozen()
        lab.start(DURING)
        lab.memory.journal.clear()
        await lab.rotation.move("root", "id")
        effects = lab.memory.effects()
        assert effects.index("audit.append") < effects.index("namespace_store.move")
        assert orjson.loads(lab.memory.audit.lines[-1])["facts"] == {"by": "root", "secret": "id"}

    play(story)
