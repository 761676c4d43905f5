"""Cases of the public suite http-tests/cache-tests, under its ids: request directives, stale answers, no-store.

The suite asks a proxy for GET, with freshness from the origin. Here calls are POST and freshness comes from the
settings (1,000 seconds, and 500 more for stale answers): a case's "fresh", "stale" and "Age" are made by time that
passes. Left out are cases about what does not exist here: validators of the upstream (ccreq-no-cache-lm,
ccreq-no-cache-etag), its freshness fields (stale-while-revalidate*, stale-sie-*, stale-close-must-revalidate and its
siblings) and `Warning` (RFC 9111 section 5.5 has made it obsolete).
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import pytest

from gateway.ports import UpstreamLoss, UpstreamReply, UpstreamRequest
from tests.flow.harness import Harness, answering, serial, slug

TTL_S, GRACE_S = 1000.0, 500.0
STALE = {"cache": {"ttl_s": TTL_S, "stale_if_error_s": GRACE_S}}
CLOSED = UpstreamLoss("connection lost", sent=True, timed_out=False)
REFUSED = UpstreamReply(503, "application/json", None, b"{}")


@dataclass(frozen=True)
class Case:
    """An answer of this age, and a request: is it answered from the cache?"""

    age: float
    control: str
    cached: bool


REQUESTS = {
    "ccreq-ma0": Case(1, "max-age=0", cached=False),
    "ccreq-ma1": Case(3, "max-age=1", cached=False),
    "ccreq-magreaterage": Case(900, "max-age=600", cached=False),
    "ccreq-max-stale": Case(1003, "max-stale=1000", cached=True),
    "ccreq-max-stale-age": Case(1499, "max-stale=1000", cached=True),
    "ccreq-min-fresh": Case(1, "min-fresh=2000", cached=False),
    "ccreq-min-fresh-age": Case(700, "min-fresh=500", cached=False),
    "ccreq-no-cache": Case(1, "no-cache", cached=False),
    "ccreq-no-store": Case(1, "no-store", cached=False),
}


def run(play: Callable[[Harness], Awaitable[None]]) -> None:
    async def whole() -> None:
        await play(await Harness(STALE).opened())

    asyncio.run(whole())


@pytest.mark.parametrize("case", REQUESTS.values(), ids=REQUESTS)
def test_a_directive_of_a_request_is_honoured(case: Case) -> None:
    async def play(harness: Harness) -> None:
        first = await harness.ask()
        await harness.later(case.age)
        second = await harness.ask(cache_control=case.control)
        assert (serial(second) == serial(first)) is case.cached
        assert harness.sent() == (1 if case.cached else 2)
        assert "; hit; " in second.headers["Cache-Status"] or not case.cached
        # Without the directive the same answer would have been used, or not: it is the directive that decides.
        assert case.cached is (case.age >= TTL_S)

    run(play)


@pytest.mark.parametrize("case", REQUESTS.values(), ids=REQUESTS)
def test_a_directive_of_a_request_is_honoured_as_well_while_the_upstream_is_closed(case: Case) -> None:
    """Beyond the suite: no stale answer replaces one that the request asked to be new."""

    async def play(harness: Harness) -> None:
        await harness.ask()
        harness.memory.upstream.answer = lambda _: CLOSED
        await harness.later(case.age)
        assert (await harness.ask(cache_control=case.control)).status == (200 if case.cached else 502)

    run(play)


def test_ccreq_oic() -> None:
    """The suite expects 504, which RFC 9111 section 5.2.1.7 recommends; 412 here, see docs/decisions/0021."""

    async def play(harness: Harness) -> None:
        response = await harness.ask(cache_control="only-if-cached")
        assert (response.status, slug(response), harness.sent()) == (412, "not-in-cache", 0)
        first = await harness.ask()
        assert serial(await harness.ask(cache_control="only-if-cached")) == serial(first)

    run(play)


@pytest.mark.parametrize("down", [CLOSED, REFUSED], ids=["stale-close", "stale-503"])
@pytest.mark.parametrize("age, served", [(TTL_S + 3, True), (TTL_S + GRACE_S, False)])
def test_a_stale_answer_is_served_while_the_upstream_fails_for_as_long_as_the_settings_allow(
    down: UpstreamReply | UpstreamLoss, age: float, served: bool
) -> None:
    async def play(harness: Harness) -> None:
        first = await harness.ask()
        harness.memory.upstream.answer = lambda _: down
        await harness.later(age)
        response = await harness.ask()
        assert (response.status == 200) is served
        if served:
            assert serial(response) == serial(first)
            assert f"; hit; ttl={int(TTL_S - age)}; " in response.headers["Cache-Status"]

    run(play)


def no_store(request: UpstreamRequest) -> UpstreamReply:
    reply = answering(request)
    return UpstreamReply(reply.status, reply.media_type, None, reply.body, no_store=True)


def test_cc_resp_no_store() -> None:
    """cc-resp-no-store; how the field is spelled (-case-insensitive, -fresh): tests/core, tests/adapters."""

    async def play(harness: Harness) -> None:
        harness.memory.upstream.answer = no_store
        assert serial(await harness.ask()) != serial(await harness.ask())

    run(play)


def test_cc_resp_no_store_old_new() -> None:
    """An older answer is used where a newer one came with no-store; cc-resp-no-store-old-max-age likewise."""

    async def play(harness: Harness) -> None:
        old = await harness.ask()
        harness.memory.upstream.answer = no_store
        await harness.ask(cache_control="no-cache")
        assert serial(await harness.ask()) == serial(old)

    run(play)
