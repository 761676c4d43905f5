"""`Cache-Control: no-store` on an answer of the upstream: obeyed or not by a setting, and said to the caller."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from gateway.ports import UpstreamReply, UpstreamRequest
from tests.flow.harness import Harness, answering, serial, status_of

IGNORE = {"cache": {"upstream_no_store": "ignore"}}
WRITES = "esmgw_cache_writes_total"


def run(play: Callable[[Harness], Awaitable[None]], **harness: Any) -> None:
    async def whole() -> None:
        h = await Harness(**harness).opened()
        h.memory.upstream.answer = forbidding
        await play(h)

    asyncio.run(whole())


def forbidding(request: UpstreamRequest) -> UpstreamReply:
    reply = answering(request)
    return UpstreamReply(reply.status, reply.media_type, None, reply.body, no_store=True)


@pytest.mark.parametrize("control", [{}, {"cache_control": "pool=lab"}, {"cache_control": "no-cache"}])
@pytest.mark.parametrize("temperature", [0, 0.7])
def test_it_is_not_kept_and_the_reason_is_told(control: dict[str, str], temperature: float) -> None:
    if temperature and "pool" not in str(control):
        control = {"cache_control": "pool=other, sample=2"}

    async def play(harness: Harness) -> None:
        body = {"temperature": temperature}
        first = await harness.ask(body, **control)
        fwd = "request" if control.get("cache_control") == "no-cache" else "miss"
        assert first.headers["Cache-Status"] == f"esm-gateway; fwd={fwd}; detail=upstream-no-store"
        assert serial(await harness.ask(body, **control)) != serial(first)
        assert harness.sent() == 2
        assert not harness.memory.cache.entries
        assert harness.memory.meter.counts[(WRITES, "forbidden")] == 2
        assert harness.memory.meter.counts[(WRITES, "not_stored")] == 0

    run(play)


def test_it_is_kept_where_the_settings_ignore_it() -> None:
    async def play(harness: Harness) -> None:
        first = await harness.ask()
        assert status_of(first) == "fwd=miss; stored"
        assert serial(await harness.ask()) == serial(first)
        assert harness.memory.meter.counts[(WRITES, "stored")] == 1

    run(play, settings=IGNORE)


def test_whoever_asks_while_it_is_computed_shares_it_and_nobody_later() -> None:
    async def play(harness: Harness) -> None:
        answers = await asyncio.gather(*(harness.ask() for _ in range(5)))
        assert len({serial(answer) for answer in answers}) == 1
        told = [status_of(answer) for answer in answers]
        assert sorted(told) == ["fwd=miss", *["fwd=miss; collapsed"] * 4]
        assert {answer.headers["Cache-Status"].rpartition("=")[2] for answer in answers} == {"upstream-no-store"}
        assert serial(await harness.ask()) != serial(answers[0])

    run(play)


def test_a_namespace_records_it_all_the_same() -> None:
    """A record is the caller's own copy, as a file would be, and no cache of the upstream's answers."""

    async def play(harness: Harness) -> None:
        await harness.namespace("paper")
        first = await harness.ask(cache_control="namespace=paper")
        assert status_of(first) == "fwd=miss; stored"
        assert serial(await harness.ask(cache_control="namespace=paper")) == serial(first)

    run(play)


def test_an_older_answer_that_may_be_kept_stays() -> None:
    async def play(harness: Harness) -> None:
        harness.memory.upstream.answer = answering
        first = await harness.ask()
        harness.memory.upstream.answer = forbidding
        assert serial(await harness.ask(cache_control="no-cache")) != serial(first)
        assert serial(await harness.ask()) == serial(first)

    run(play)
