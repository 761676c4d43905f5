"""What callers get after a purge: which answers are gone, in this process and in others, and which stay."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from gateway.core.purge_state import Purge
from gateway.ports import UpstreamReply, UpstreamRequest
from tests.flow.harness import Harness, answering, serial

MODEL, OTHER = "esm3-open-2024-03", "esm3-small-2024-08"
MODELS = {"models": {MODEL: 1.0, OTHER: 1.0}}


def run(play: Callable[[Harness], Awaitable[None]], **harness: Any) -> None:
    async def whole() -> None:
        await play(await Harness(MODELS, **harness).opened())

    asyncio.run(whole())


async def beside(harness: Harness) -> Harness:
    """Another process on the same stores and the same upstream."""
    other = Harness(MODELS)
    for part in ("cache", "purge_store", "namespace_store", "upstream", "clock"):
        vars(getattr(other.memory, part)).update(vars(getattr(harness.memory, part)))
    await other.flow.poller.poll()
    return other


@pytest.mark.parametrize(
    "what, gone",
    [
        (Purge(), {MODEL, OTHER}),
        (Purge(MODEL), {MODEL}),
        (Purge(OTHER), {OTHER}),
        (Purge("esm3-unheard-of"), set()),
        (Purge(soft=True), {MODEL, OTHER}),
        (Purge(OTHER, soft=True), {OTHER}),
        (Purge(older_than_s=50.0), {MODEL, OTHER}),
        (Purge(older_than_s=150.0), set()),
    ],
)
def test_a_purge_takes_what_it_names_and_no_more(what: Purge, gone: set[str]) -> None:
    async def play(harness: Harness) -> None:
        before = {model: serial(await harness.ask({"model": model})) for model in (MODEL, OTHER)}
        await harness.later(100)
        await harness.memory.purge_store.purge(what)
        await harness.later(0.5)
        after = {model: serial(await harness.ask({"model": model})) for model in (MODEL, OTHER)}
        assert {model for model in before if before[model] != after[model]} == gone
        # What came after the purge stays.
        assert {model: serial(await harness.ask({"model": model})) for model in (MODEL, OTHER)} == after

    run(play)


def test_a_purge_by_age_takes_the_old_and_leaves_the_young() -> None:
    async def play(harness: Harness) -> None:
        old = serial(await harness.ask())
        await harness.later(100)
        young = serial(await harness.ask({"num_steps": 1}))
        await harness.later(10)
        await harness.memory.purge_store.purge(Purge(older_than_s=60.0))
        await harness.later(0.5)
        assert serial(await harness.ask({"num_steps": 1})) == young
        assert serial(await harness.ask()) != old

    run(play)


@pytest.mark.parametrize("what", [Purge(), Purge(MODEL), Purge(soft=True), Purge(older_than_s=0.0)])
def test_every_process_hears_of_a_purge_with_its_next_look(what: Purge) -> None:
    async def play(harness: Harness) -> None:
        other = await beside(harness)
        first = serial(await harness.ask())
        assert serial(await other.ask()) == first
        harness.memory.clock.advance(1)
        other.memory.purge_store.standing = await harness.memory.purge_store.purge(what)
        await other.later(1.5)
        second = serial(await other.ask())
        assert second != first
        await harness.later(0.5)
        assert serial(await harness.ask()) == second

    run(play)


def test_an_entry_that_was_taken_out_by_its_key_is_gone_from_memory_too() -> None:
    async def play(harness: Harness) -> None:
        first = serial(await harness.ask())
        (cache_key,) = harness.memory.cache.entries
        await harness.memory.cache.delete(cache_key)
        assert serial(await harness.ask()) == first
        await harness.flow.poller.poll()
        assert serial(await harness.ask()) != first

    run(play)


@pytest.mark.parametrize("what", [Purge(), Purge(MODEL)])
def test_an_answer_that_was_under_way_when_everything_was_purged_is_not_found_later(what: Purge) -> None:
    async def play(harness: Harness) -> None:
        gate = asyncio.Event()

        async def slow(request: UpstreamRequest) -> UpstreamReply:
            await gate.wait()
            return answering(request)

        harness.memory.upstream.answer = slow
        asking = asyncio.ensure_future(harness.ask())
        while harness.sent() == 0:
            await asyncio.sleep(0)
        await harness.memory.purge_store.purge(what)
        await harness.later(0.5)
        gate.set()
        first = serial(await asking)
        assert serial(await harness.ask()) != first

    run(play)
