"""What every store of decisions promises: nothing that was put there changes by itself, and everybody looks again."""

import asyncio

from gateway.core.decisions import Acceptance, FinalDecision
from gateway.core.metrics import STORE_ERRORS
from gateway.core.types import KeyRecord
from gateway.ports import DecisionStore
from tests.contracts.backends import Backend, play

ONE, TWO = FinalDecision("key:k1", 100.5, 1), FinalDecision("approval:ada:g1", 101.0, 2)


def test_decisions_are_read_as_they_were_put_and_counted_when_new(backend: Backend) -> None:
    async def story(store: DecisionStore) -> None:
        assert await store.subjects() == frozenset()
        assert await store.add([ONE, TWO]) == 2
        assert await store.add([ONE]) == 0
        assert await store.subjects() == {ONE.subject, TWO.subject}
        assert list(await store.read([TWO.subject, "key:other", ONE.subject])) == [TWO, ONE]
        assert await store.add([]) == 0
        assert list(await store.read([])) == []

    play(backend.decisions(), story)


def test_many_at_once_are_all_there(backend: Backend) -> None:
    many = [FinalDecision(f"key:k{n}", 1.0 * n, n) for n in range(600)]

    async def story(store: DecisionStore) -> None:
        assert await store.add(many) == 600
        assert sorted(await store.read([each.subject for each in many]), key=lambda each: each.number) == many

    play(backend.decisions(), story)


def test_the_word_of_an_administrator_is_the_latest_one(backend: Backend) -> None:
    async def story(store: DecisionStore) -> None:
        assert await store.acceptance() is None
        for word in (Acceptance(5.5, 3, 2), Acceptance(6.0, 4, 0)):
            await store.accept(word)
            assert await store.acceptance() == word

    play(backend.decisions(), story)


def test_a_decision_moves_the_epoch_of_the_directory_and_keys_are_counted(server: Backend) -> None:
    async def story() -> None:
        async with server.directory() as directory, server.decisions() as decisions:
            await directory.put_key(KeyRecord("k1", "0" * 64, "ada", "lab", 1.0))
            before = await directory.epoch()
            assert await decisions.keys_held() == 1
            await decisions.add([ONE])
            assert await directory.epoch() > before

    asyncio.run(story())


def test_what_was_not_sealed_here_for_this_subject_is_no_decision(server: Backend) -> None:
    async def story() -> None:
        async with server.store() as store, server.decisions() as decisions:
            await decisions.add([ONE, TWO])
            name = f"{server.prefix}{{keys}}:decisions"
            blob: bytes = await store.call("get", "HGET", name, ONE.subject)
            await store.call("swap", "HSET", name, TWO.subject, blob, "key:k3", blob, "key:k4", b"junk")
            read = await decisions.read([ONE.subject, TWO.subject, "key:k3", "key:k4"])
            assert list(read) == [ONE]
            assert server.meter.counts[STORE_ERRORS.name, "state", "forged"] == 3
            await store.call("swap", "SET", f"{server.prefix}{{keys}}:accepted", blob)
            assert await decisions.acceptance() is None

    asyncio.run(story())
