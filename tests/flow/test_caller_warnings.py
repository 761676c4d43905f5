"""Who asks for temperature 0 and does not get reproducible answers is told once an hour, in their own terminal."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import orjson
import pytest

from gateway.core.types import Namespace, Response
from gateway.flow.caller_warnings import RECHECK_S, WARN_EVERY_S
from tests.flow.harness import Harness

PINNED = {"strategy": "random"}
DRAWN = {"temperature": 0.7}
HOUR_S = 3600.0


def run(play: Callable[[Harness], Awaitable[None]]) -> None:
    async def whole() -> None:
        await play(await Harness().opened())

    asyncio.run(whole())


def warnings(response: Response) -> list[str]:
    assert response.status == 200
    said: list[str] = orjson.loads(response.body).get("warning_messages", [])
    return said


async def later(harness: Harness, seconds: float) -> None:
    harness.memory.clock.advance(seconds)
    await harness.flow.poller.poll()


def test_temperature_0_that_does_not_reproduce_is_told_once_and_then_an_hour_later() -> None:
    async def play(harness: Harness) -> None:
        first = await harness.ask(PINNED)
        (said,) = warnings(first)
        assert said.startswith("esm-gateway: temperature 0 does not make this call reproducible")
        assert '"strategy": "entropy"' in said
        for _ in range(5):
            assert warnings(await harness.ask(PINNED)) == []
        await later(harness, HOUR_S - 1)
        assert warnings(await harness.ask(PINNED)) == []
        await later(harness, 2)
        hit = await harness.ask(PINNED)
        assert "; hit" in hit.headers["Cache-Status"]
        assert warnings(hit) == [said]
        assert harness.memory.meter.counts[("esmgw_warnings_total", "pinned")] == 2

    run(play)


def test_only_the_person_is_told_what_is_kept_is_what_the_upstream_said() -> None:
    async def play(harness: Harness) -> None:
        told = await harness.ask(PINNED)
        plain = await harness.ask(PINNED)
        member = b',"warning_messages":[' + orjson.dumps(warnings(told)[0]) + b"]"
        assert told.body.replace(member, b"") == plain.body
        assert b"warning_messages" not in plain.body
        assert told.headers["X-Gateway-Receipt"] == plain.headers["X-Gateway-Receipt"]

    run(play)


def test_an_answer_with_a_sentence_in_it_has_no_etag_no_304_and_no_packed_form() -> None:
    async def play(harness: Harness) -> None:
        big: dict[str, Any] = {**PINNED, "inputs": {"sequence": [0, *[32] * 2000, 2]}}
        headers = {"accept_encoding": "zstd"}
        told = await harness.ask(big, **headers)
        assert len(warnings(told)) == 1
        assert not {"ETag", "Content-Encoding"} & set(told.headers)
        plain = await harness.ask(big, **headers)
        assert plain.headers["Content-Encoding"] == "zstd"
        tag = plain.headers["ETag"]
        assert (await harness.ask(big, if_none_match=tag)).status == 304
        await later(harness, HOUR_S)
        assert len(warnings(await harness.ask(big, if_none_match=tag))) == 1, "a 304 could not tell"

    run(play)


@pytest.mark.parametrize("body", [{}, DRAWN, {"track": "function", "inputs": {"sequence": [0, 5, 5, 5, 2]}}])
def test_nobody_is_told_where_there_is_nothing_to_tell(body: Mapping[str, Any]) -> None:
    async def play(harness: Harness) -> None:
        fit = {**body, "temperature_annealing": True} if "track" in body else body
        for _ in range(2):
            assert warnings(await harness.ask(fit)) == []
        assert "throttle.first" not in await harness.settled()

    run(play)


def test_an_hour_is_the_whole_fleet_s() -> None:
    async def play(harness: Harness) -> None:
        other = Harness()
        other.memory.throttle = harness.memory.throttle
        other.flow.responder._warnings._throttle = harness.memory.throttle
        await other.opened()
        assert len(warnings(await harness.ask(PINNED))) == 1
        assert warnings(await other.ask(PINNED)) == []

    run(play)


def test_each_key_is_told_for_itself() -> None:
    async def play(harness: Harness) -> None:
        assert len(warnings(await harness.ask(PINNED))) == 1
        record = next(iter(harness.memory.directory.records.values()))
        caller_warnings = harness.flow.responder._warnings
        assert not await caller_warnings._due("pinned", record.public_id)
        assert await caller_warnings._due("pinned", "another-key")

    run(play)


def test_a_lost_store_means_that_nothing_is_said_and_little_is_asked() -> None:
    async def play(harness: Harness) -> None:
        harness.memory.throttle.lost.add("first")
        for _ in range(5):
            assert warnings(await harness.ask(PINNED)) == []
        assert (await harness.settled()).count("throttle.first") == 1
        assert harness.memory.meter.counts[("esmgw_store_errors_total", "cache", "throttle")] == 1
        harness.memory.throttle.lost.clear()
        await later(harness, RECHECK_S)
        assert len(warnings(await harness.ask(PINNED))) == 1

    run(play)


def test_of_many_at_once_one_is_told() -> None:
    async def play(harness: Harness) -> None:
        answers = await asyncio.gather(*(harness.ask(PINNED) for _ in range(20)))
        assert sum(len(warnings(answer)) for answer in answers) == 1
        assert (await harness.settled()).count("throttle.first") == 1

    run(play)


def test_what_the_upstream_warned_of_is_not_lost() -> None:
    async def play(harness: Harness) -> None:
        answer = harness.memory.upstream.answer

        def warning(request: Any) -> Any:
            reply: Any = answer(request)
            body = orjson.dumps({**orjson.loads(reply.body), "warning_messages": ["theirs"]})
            return type(reply)(200, "application/json", None, body)

        harness.memory.upstream.answer = warning
        theirs, ours = warnings(await harness.ask(PINNED))
        assert theirs == "theirs"
        assert ours.startswith("esm-gateway: ")
        assert warnings(await harness.ask(PINNED)) == ["theirs"]

    run(play)


async def in_a_namespace(harness: Harness) -> None:
    await harness.memory.namespace_store.create(Namespace("paper", 0.0))
    await harness.flow.poller.poll()


def test_a_live_namespace_tells_that_it_keeps_the_first_of_what_was_meant_to_differ() -> None:
    async def play(harness: Harness) -> None:
        await in_a_namespace(harness)
        directives = {"cache_control": "namespace=paper"}
        assert warnings(await harness.ask(DRAWN, **directives)) == [], "a new answer is what was asked for"
        (said,) = warnings(await harness.ask(DRAWN, **directives))
        assert "stored in the namespace paper" in said
        assert warnings(await harness.ask(DRAWN, **directives)) == []
        await later(harness, HOUR_S)
        sample = {"cache_control": "namespace=paper, sample=2"}
        for _ in range(2):
            assert warnings(await harness.ask(DRAWN, **sample)) == [], "who does as they were told is not told"
        assert harness.memory.meter.counts[("esmgw_warnings_total", "recorded")] == 1

    run(play)


def test_a_frozen_namespace_gives_the_recorded_bytes_and_not_one_more() -> None:
    async def play(harness: Harness) -> None:
        await in_a_namespace(harness)
        directives = {"cache_control": "namespace=paper"}
        recorded = [await harness.ask(body, **directives) for body in (PINNED, DRAWN)]
        await harness.memory.namespace_store.freeze("paper", 1.0)
        await later(harness, HOUR_S)
        replayed = [await harness.ask(body, **directives) for body in (PINNED, DRAWN)]
        assert [answer.body for answer in replayed] == [answer.body for answer in recorded]
        assert "throttle.first" not in await harness.settled()

    run(play)


def test_the_hour_in_the_store_is_the_hour_of_the_guide() -> None:
    assert WARN_EVERY_S == HOUR_S
    assert RECHECK_S < WARN_EVERY_S
