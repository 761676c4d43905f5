"""Equal draws in a live namespace become one answer: whoever repeats one is told, per key, namespace and call."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import orjson
import pytest

from gateway.core.types import DeterminismClass, Response
from gateway.ports import UpstreamReply, UpstreamRequest
from tests.endpoints.examples import ESM3, WIRE, call
from tests.flow.harness import Harness

Json = dict[str, Any]
HOUR_S = 3600.0
PAPER = {"cache_control": "namespace=paper"}


def recorded(case: str, **changes: Any) -> tuple[str, Json, Json]:
    """Path, body with these changes, and answer of a recorded exchange."""
    exchange = json.loads((WIRE / f"341_{case}.json").read_text())["exchanges"][0]
    path = exchange["request"]["target"]
    return path, {**exchange["request"]["body"], **changes}, exchange["response"]["body"]


DRAWN = {
    "generate": recorded("generate_sequence", temperature=0.7),
    "generate at its defaults": recorded("generate_structure"),
    "inverse_fold": recorded("inverse_fold", inverse_folding_config={"temperature": 0.1}),
    "inverse_fold at its default": recorded("inverse_fold", inverse_folding_config=None),
    "forward_and_sample": recorded("forward_and_sample_all_tracks"),
    "fold": recorded("fold"),
    "fold_all_atom": recorded("fold_all_atom"),
}
SURE = {
    "generate": recorded("generate_sequence"),
    "inverse_fold": recorded("inverse_fold"),
    "forward_and_sample": recorded("forward_and_sample_all_tracks", sampling_config={"sequence": {"temperature": 0}}),
    "encode": recorded("encode"),
    "decode": recorded("decode"),
    "logits": recorded("logits_plain_json"),
}


def run(play: Callable[[Harness], Awaitable[None]]) -> None:
    async def whole() -> None:
        harness = await Harness().opened()
        await harness.namespace("paper")
        await play(harness)

    asyncio.run(whole())


def answering(answer: Json) -> Callable[[UpstreamRequest], UpstreamReply]:
    return lambda _: UpstreamReply(200, "application/json", None, orjson.dumps(answer))


def told(response: Response) -> list[str]:
    """What the SDK would print: it looks into `data` where there are no outputs (esm/sdk/base_forge_client.py)."""
    assert response.status == 200, response.body
    tree = orjson.loads(response.body)
    tree = tree["data"] if "outputs" not in tree and "data" in tree else tree
    said: list[str] = tree.get("warning_messages") or []
    return [text for text in said if text.startswith("esm-gateway:")]


@pytest.mark.parametrize("name", DRAWN)
def test_a_repeat_is_told_on_every_endpoint_that_draws(name: str) -> None:
    path, body, answer = DRAWN[name]

    async def play(harness: Harness) -> None:
        harness.memory.upstream.answer = answering(answer)
        asked = orjson.dumps(body)
        first = await harness.ask(asked, path, **PAPER)
        assert told(first) == []
        again = await harness.ask(asked, path, **PAPER)
        (said,) = told(again)
        assert "namespace paper" in said
        assert "sample=next, run=" in said
        assert told(await harness.ask(asked, path, **PAPER)) == []
        # Everything else of the answer is as it was.
        assert {**orjson.loads(again.body), "warning_messages": None} == {
            **orjson.loads(first.body),
            "warning_messages": None,
        }

    run(play)


@pytest.mark.parametrize("name", SURE)
def test_nothing_is_said_of_a_repeat_that_draws_nothing(name: str) -> None:
    path, body, answer = SURE[name]

    async def play(harness: Harness) -> None:
        harness.memory.upstream.answer = answering(answer)
        for _ in range(3):
            assert told(await harness.ask(orjson.dumps(body), path, **PAPER)) == []

    run(play)


def test_each_call_and_each_namespace_and_each_key_is_told_for_itself() -> None:
    async def play(harness: Harness) -> None:
        await harness.namespace("draft")
        bob = harness.person("bob")
        await harness.flow.poller.poll()
        draft = {"cache_control": "namespace=draft"}
        rows = [
            ({"temperature": 0.7}, PAPER),
            ({"temperature": 0.8}, PAPER),
            ({"temperature": 0.7}, draft),
            ({"temperature": 0.8}, draft),
        ]
        assert [told(await harness.ask(body, **asked)) for body, asked in rows] == [[]] * 4
        for body, asked in rows:
            assert len(told(await harness.ask(body, **asked))) == 1
            assert told(await harness.ask(body, **asked)) == []
        assert [len(told(await harness.ask(body, **asked, **bob))) for body, asked in rows] == [1] * 4
        await harness.later(HOUR_S)
        assert [len(told(await harness.ask(body, **asked))) for body, asked in rows] == [1] * 4

    run(play)


def test_sixteen_at_once_are_told_that_they_got_one_sample() -> None:
    async def play(harness: Harness) -> None:
        answers = await asyncio.gather(*(harness.ask({"temperature": 0.7}, **PAPER) for _ in range(16)))
        assert harness.sent() == 1
        assert sum(len(told(answer)) for answer in answers) == 1

    run(play)


def test_whoever_computed_and_got_another_s_answer_is_told() -> None:
    """Two workers compute the same call at the same time: the first answer stands."""

    async def play(harness: Harness) -> None:
        other = Harness()
        for part in ("namespace_store", "throttle"):
            vars(getattr(other.memory, part)).update(vars(getattr(harness.memory, part)))
        await other.opened()
        gate = asyncio.Event()
        answer = harness.memory.upstream.answer

        async def slow(request: UpstreamRequest) -> Any:
            await gate.wait()
            return answer(request)

        harness.memory.upstream.answer = slow
        late = asyncio.create_task(harness.ask({"temperature": 0.7}, **PAPER))
        await asyncio.sleep(0)
        assert told(await other.ask({"temperature": 0.7}, **PAPER)) == []
        gate.set()
        assert len(told(await late)) == 1
        assert (harness.sent(), other.sent()) == (1, 1)

    run(play)


def test_a_repeat_of_a_large_answer_is_told_as_well() -> None:
    async def play(harness: Harness) -> None:
        path, body, answer = DRAWN["fold"]
        harness.memory.upstream.answer = answering({**answer, "pae": [[1.25] * 1000] * 800})
        asked = orjson.dumps(body)
        first = await harness.ask(asked, path, **PAPER)
        assert len(first.body) > 2**21
        again = await harness.ask(asked, path, **PAPER)
        assert len(told(again)) == 1
        assert again.body.startswith(first.body[:-1])

    run(play)


def test_what_is_under_the_store_s_eyes_is_no_digest_of_the_call() -> None:
    async def play(harness: Harness) -> None:
        body = {**orjson.loads(harness.raw({"temperature": 0.7}, "").body)}
        for _ in range(2):
            await harness.ask({"temperature": 0.7}, **PAPER)
        names = [entry[2] for entry in harness.memory.journal if entry[0] == "throttle.first"]
        assert len(names) == 1
        made = call("generate_tensor", {**body, "model": ESM3})
        assert made.draws is DeterminismClass.SAMPLED
        assert made.canonical_digest.hex()[:12] not in names[0]

    run(play)
