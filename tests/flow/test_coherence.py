"""What callers of several processes get after an answer was replaced or purged, whatever was under way meanwhile."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from gateway.core.purge_state import Purge
from gateway.flow.purge import Purger, PurgeRequest
from gateway.ports import StoreUnavailable, UpstreamReply, UpstreamRequest
from tests.flow.harness import Harness, answer_to, answering, json_reply, serial, status_of

MODEL = "esm3-open-2024-03"
PINNED = {"strategy": "random", "temperature_annealing": True}
REFRESHES = ("no-cache", "max-age=0", "min-fresh=999999999")
SETTINGS = {"models": {MODEL: 1.0, "esm3-small-2024-08": 1.0}}


def run(play: Callable[[Harness], Awaitable[None]], **settings: Any) -> None:
    async def whole() -> None:
        await play(await Harness({**SETTINGS, **settings}).opened())

    asyncio.run(whole())


async def beside(harness: Harness) -> Harness:
    """Another process on the same stores and the same upstream."""
    other = Harness(SETTINGS)
    for part in ("cache", "purge_store", "namespace_store", "upstream", "clock"):
        vars(getattr(other.memory, part)).clear()
        getattr(other.memory, part).__dict__ = vars(getattr(harness.memory, part))
    await other.flow.poller.poll()
    return other


def purger(harness: Harness) -> Purger:
    m = harness.memory
    return Purger(
        purge_store=m.purge_store,
        cache=m.cache,
        namespace_store=m.namespace_store,
        audit=m.audit,
        clock=m.clock,
        models=[MODEL],
    )


async def later(seconds: float, *harnesses: Harness) -> None:
    """Time goes on for all of them, and each has looked."""
    harnesses[0].memory.clock.advance(seconds)
    for each in harnesses:
        await each.flow.poller.poll()


def only_entry(harness: Harness) -> str:
    (cache_key,) = harness.memory.cache.entries
    return cache_key


@pytest.mark.parametrize("body", [{}, PINNED])
@pytest.mark.parametrize("asked", REFRESHES)
def test_a_refreshed_answer_replaces_the_old_one_in_every_process_with_its_next_poll(
    body: dict[str, Any], asked: str
) -> None:
    async def play(harness: Harness) -> None:
        others = [await beside(harness) for _ in range(3)]
        old = serial(await harness.ask(body))
        assert {serial(await other.ask(body)) for other in others} == {old}
        await later(5.0, harness, *others)
        new = serial(await harness.ask(body, cache_control=asked))
        assert new != old
        for each in (harness, *others):
            await each.later(0.5)
        assert {serial(await each.ask(body)) for each in (harness, *others)} == {new}
        assert harness.sent() == 2

    run(play)


def test_an_answer_that_the_store_evicted_and_was_computed_anew_is_one_for_all() -> None:
    async def play(harness: Harness) -> None:
        other, third = await beside(harness), await beside(harness)
        old = serial(await harness.ask(PINNED))
        assert serial(await other.ask(PINNED)) == old
        harness.memory.cache.entries.clear()  # evicted: nobody says so
        new = serial(await third.ask(PINNED))
        assert new != old
        for each in (harness, other):
            await each.later(0.5)
            assert serial(await each.ask(PINNED)) == new

    run(play)


def test_refreshes_of_one_caller_leave_another_s_answers_in_memory() -> None:
    async def play(harness: Harness) -> None:
        other = await beside(harness)
        await other.ask({"num_steps": 1})
        await other.later(0.5)  # its own answer has been told to it, too
        await other.ask({"num_steps": 1})
        for _ in range(10):
            for _ in range(25):
                await harness.ask(cache_control="no-cache")
            await other.later(0.5)
            harness.memory.journal.clear()
            assert status_of(await other.ask({"num_steps": 1})).startswith("hit")
            assert [effect for effect in harness.memory.effects() if effect.startswith("cache.")] == []

    run(play)


class Held:
    """An upstream that answers when told to, and the one asker who waits for it."""

    def __init__(self, harness: Harness, body: dict[str, Any] | None = None, **headers: str) -> None:
        self._gate, self._harness = asyncio.Event(), harness
        harness.memory.upstream.answer = self._answer
        self.asking = asyncio.ensure_future(harness.ask(body, **headers))

    async def _answer(self, request: UpstreamRequest) -> UpstreamReply:
        await self._gate.wait()
        return answering(request)

    async def sent(self) -> "Held":
        while self._harness.sent() == 0:
            await asyncio.sleep(0)
        return self

    async def lands(self) -> int:
        self._gate.set()
        return serial(await self.asking)


@pytest.mark.parametrize("order", [{}, {"soft": True}, {"model": MODEL}, {"older_than_s": 1.0}, {"key": ""}])
def test_no_purge_is_undone_by_a_computation_that_was_under_way(order: dict[str, Any]) -> None:
    async def play(harness: Harness) -> None:
        await harness.ask()
        if "key" in order:
            order["key"] = only_entry(harness)
        harness.memory.cache.entries.clear()
        harness.memory.upstream.requests.clear()
        await harness.later(0.5)
        flight = await Held(harness).sent()
        harness.memory.clock.advance(2.0)
        await purger(harness).purge(PurgeRequest(**order), "root")
        other = await beside(harness)
        harness.memory.clock.advance(1.0)
        old = await flight.lands()
        for each in (harness, other):
            await each.later(0.5)
        new = {serial(await each.ask()) for each in (harness, other)}
        assert old not in new
        assert len(new) == 1

    run(play)


@pytest.mark.parametrize("order", [{}, {"key": ""}])
def test_no_purge_of_a_namespace_is_undone_by_a_computation_that_was_under_way(order: dict[str, Any]) -> None:
    async def play(harness: Harness) -> None:
        await harness.namespace("paper")
        await harness.ask(cache_control="namespace=paper")
        names = harness.memory.namespace_store.records["paper"].entries
        if "key" in order:
            order["key"] = next(iter(names))
        names.clear()
        await harness.namespace("paper")
        await harness.memory.namespace_store.touch()
        await harness.later(0.5)
        harness.memory.upstream.requests.clear()
        flight = await Held(harness, cache_control="namespace=paper").sent()
        harness.memory.clock.advance(2.0)
        await purger(harness).purge(PurgeRequest(namespace="paper", **order), "root")
        harness.memory.clock.advance(1.0)
        old = await flight.lands()
        await harness.later(0.5)
        new = await harness.ask(cache_control="namespace=paper")
        assert serial(new) != old
        assert "stored" in status_of(new)

    run(play)


def test_one_entry_is_purged_whoever_puts_it_back() -> None:
    async def play(harness: Harness) -> None:
        old = serial(await harness.ask())
        harness.memory.clock.advance(1.0)
        cache_key = only_entry(harness)
        entry = harness.memory.cache.entries[cache_key]
        await purger(harness).purge(PurgeRequest(key=cache_key), "root")
        harness.memory.cache.entries[cache_key] = entry
        await harness.later(0.5)
        assert (await harness.ask(cache_control="only-if-cached")).status == 412
        assert serial(await harness.ask()) != old

    run(play)


@pytest.mark.parametrize("order", [{"key": ""}, {"soft": True}, {}])
def test_a_late_reply_to_a_put_brings_no_purged_answer_into_memory(order: dict[str, Any]) -> None:
    async def play(harness: Harness) -> None:
        late, put = asyncio.Event(), harness.memory.cache.put

        async def replies_late(*words: Any) -> bytes | None:
            standing = await put(*words)
            await late.wait()
            return standing

        harness.memory.cache.put = replies_late  # type: ignore[method-assign,assignment]
        asking = asyncio.ensure_future(harness.ask())
        while not harness.memory.cache.entries:
            await asyncio.sleep(0)
        if "key" in order:
            order["key"] = only_entry(harness)
        harness.memory.clock.advance(0.2)
        await purger(harness).purge(PurgeRequest(**order), "root")
        await harness.flow.poller.poll()
        late.set()
        old = serial(await asking)
        harness.memory.cache.put = put  # type: ignore[method-assign]
        assert serial(await harness.ask()) != old

    run(play)


def test_a_late_reply_to_a_put_does_not_bring_a_replaced_answer_into_memory() -> None:
    async def play(harness: Harness) -> None:
        other = await beside(harness)
        late, put = asyncio.Event(), harness.memory.cache.put

        async def replies_late(*words: Any) -> bytes | None:
            standing = await put(*words)
            await late.wait()
            return standing

        harness.memory.cache.put = replies_late  # type: ignore[method-assign,assignment]
        asking = asyncio.ensure_future(harness.ask())
        while not harness.memory.cache.entries:
            await asyncio.sleep(0)
        harness.memory.cache.put = put  # type: ignore[method-assign]
        new = serial(await other.ask(cache_control="no-cache"))
        await harness.flow.poller.poll()
        late.set()
        assert serial(await asking) != new
        assert serial(await harness.ask()) == new

    run(play)


@pytest.mark.parametrize("order", [{}, {"key": ""}])
def test_a_namespace_is_purged_while_the_cache_store_is_away_and_again(order: dict[str, Any]) -> None:
    async def play(harness: Harness) -> None:
        await harness.namespace("paper")
        old = serial(await harness.ask(cache_control="namespace=paper"))
        if "key" in order:
            order["key"] = next(iter(harness.memory.namespace_store.records["paper"].entries))
        harness.lose_cache()
        harness.memory.clock.advance(1.0)
        for times in (1, 0):
            assert await purger(harness).purge(PurgeRequest(namespace="paper", **order), "root") == times
        await harness.later(0.5)
        assert serial(await harness.ask(cache_control="namespace=paper")) != old

    run(play)


@pytest.mark.parametrize("order", [{}, {"key": ""}])
@pytest.mark.parametrize("cut_off", ["touch", "remove"])
def test_a_namespace_purge_that_was_cut_off_is_whole_after_the_second_try(order: dict[str, Any], cut_off: str) -> None:
    async def play(harness: Harness) -> None:
        await harness.namespace("paper")
        old = serial(await harness.ask(cache_control="namespace=paper"))
        store = harness.memory.namespace_store
        if "key" in order:
            order["key"] = next(iter(store.records["paper"].entries))
        store.reply_lost.add(cut_off if cut_off == "touch" else "remove" if order else "empty")
        harness.memory.clock.advance(1.0)
        with pytest.raises(StoreUnavailable):
            await purger(harness).purge(PurgeRequest(namespace="paper", **order), "root")
        await harness.later(0.5)
        await harness.ask(cache_control="namespace=paper")  # it may be in memory once more
        store.reply_lost.clear()
        await purger(harness).purge(PurgeRequest(namespace="paper", **order), "root")
        await harness.later(0.5)
        assert serial(await harness.ask(cache_control="namespace=paper")) != old

    run(play)


def test_the_age_of_an_answer_counts_from_when_its_call_was_sent() -> None:
    async def play(harness: Harness) -> None:
        flight = await Held(harness).sent()
        await later(7.0, harness)
        first = await flight.lands()
        again = await harness.ask()
        assert (serial(again), again.headers["Age"]) == (first, "7")

    run(play)


def test_a_divergent_answer_stays_away_though_its_entry_is_put_back() -> None:
    async def play(harness: Harness) -> None:
        old = serial(await harness.ask())
        harness.memory.clock.advance(1.0)
        cache_key = only_entry(harness)
        entry = harness.memory.cache.entries[cache_key]
        harness.memory.upstream.answer = lambda request: json_reply(
            {"outputs": {**answer_to(request)["outputs"], "sequence": [0, 9, 5, 9, 2]}, "serial": id(request)}
        )
        await harness.ask()
        await harness.settled()
        harness.memory.cache.entries[cache_key] = entry
        await harness.later(0.5)
        assert serial(await harness.ask(cache_control="no-store")) != old
        assert cache_key in harness.memory.purge_store.standing.keys
        assert serial(await harness.ask()) != old

    run(play, cache={"spot_check_fraction": 1.0})


def test_a_state_of_purges_that_was_put_back_brings_nothing_back() -> None:
    async def play(harness: Harness) -> None:
        before = harness.memory.purge_store.standing
        old = serial(await harness.ask())
        await harness.memory.purge_store.purge(Purge())
        await harness.later(0.5)
        harness.memory.purge_store.standing = before
        await harness.later(0.5)
        assert serial(await harness.ask()) != old
        other = await beside(harness)
        assert serial(await other.ask()) != old

    run(play)


@pytest.mark.parametrize("order", [{}, {"key": ""}, {"older_than_s": 1.0}, {"model": MODEL}])
def test_an_answer_that_was_purged_while_the_upstream_was_waited_for_is_not_used_in_its_place(
    order: dict[str, Any],
) -> None:
    async def play(harness: Harness) -> None:
        await harness.ask()
        cache_key = only_entry(harness)
        if "key" in order:
            order["key"] = cache_key
        await harness.later(100.0)
        gate = asyncio.Event()

        async def fails(request: UpstreamRequest) -> UpstreamReply:
            await gate.wait()
            return UpstreamReply(500, "text/plain", None, b"")

        harness.memory.upstream.answer = fails
        asking = asyncio.ensure_future(harness.ask())
        while harness.sent() < 2:
            await asyncio.sleep(0)
        await purger(harness).purge(PurgeRequest(**order), "root")
        await harness.later(0.5)
        gate.set()
        assert (await asking).status >= 500

    run(play, cache={"ttl_s": 60.0, "stale_if_error_s": 1000.0})


@pytest.mark.parametrize("body", [{}, PINNED])
@pytest.mark.parametrize("earlier", ["", *REFRESHES])
def test_a_refresh_is_not_undone_by_a_call_that_was_sent_before_it(body: dict[str, Any], earlier: str) -> None:
    async def play(harness: Harness) -> None:
        other = await beside(harness)
        if earlier:
            await harness.ask(body)
            harness.memory.upstream.requests.clear()
            await later(5.0, harness, other)
        flight = await Held(harness, body, **({"cache_control": earlier} if earlier else {})).sent()
        harness.memory.upstream.answer = answering
        await later(1.0, harness, other)
        new = serial(await other.ask(body, cache_control="no-cache"))
        await later(1.0, harness, other)
        await flight.lands()
        for each in (harness, other):
            await each.later(0.5)
            assert serial(await each.ask(body)) == new

    run(play)
