"""A record made with one release of the SDK replays with another, and one made before the present form is kept."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import orjson
import pytest

from gateway import endpoints
from gateway.core import cache_plan, namespace_entry
from gateway.core.cache_directives import CacheDirectives
from gateway.core.export_format import ExportRow
from gateway.core.types import Call
from gateway.flow.admin_arguments import InvalidArgument
from gateway.ports import UpstreamReply, UpstreamRequest
from gateway.wiring.cache_config import cache_config, parse_config, sealing_keys
from tests.endpoints.examples import ESM3, ESMC, WIRE
from tests.flow.harness import MASTER, Harness, serial, slug, status_of
from tests.flow.test_namespace_transfer import Lab, rewritten

PAPER = {"cache_control": "namespace=paper"}
MODELS = {"models": {ESM3: 1.0, ESMC: 0.5}}
# Not esmc_logits, whose recorded answer has pickled text in it: that is refused (core/answer_model.py).
CASES = ["generate_sequence", "logits_plain_json", "fold", "inverse_fold", "encode", "decode"]


def run(play: Callable[[Lab], Awaitable[None]]) -> None:
    async def whole() -> None:
        lab = Lab(settings=MODELS)
        await lab.opened()
        await play(lab)

    asyncio.run(whole())


def recorded(release: str, case: str) -> tuple[str, dict[str, Any], Any]:
    """Path, body and answer of a recorded exchange."""
    exchange = json.loads((WIRE / f"{release}_{case}.json").read_text())["exchanges"][0]
    return exchange["request"]["target"], exchange["request"]["body"], exchange["response"]["body"]


def answering(case: str) -> Callable[[UpstreamRequest], UpstreamReply]:
    """As the upstream did; a number tells the answers apart."""
    answer = recorded("341", case)[2]
    return lambda request: UpstreamReply(200, "application/json", None, orjson.dumps({**answer, "serial": id(request)}))


async def ask(harness: Harness, release: str, case: str, **headers: str) -> Any:
    path, body, _ = recorded(release, case)
    return await harness.ask(orjson.dumps(body), path, **{**PAPER, **headers})


@pytest.mark.parametrize("releases", [("321", "341"), ("341", "321")])
@pytest.mark.parametrize("case", CASES)
def test_what_one_release_recorded_is_replayed_to_another(case: str, releases: tuple[str, str]) -> None:
    async def play(lab: Lab) -> None:
        lab.memory.upstream.answer = answering(case)
        await lab.namespace("paper")
        first = await ask(lab, releases[0], case)
        assert status_of(first) == "fwd=miss; stored"
        for frozen in (False, True):
            await lab.namespace("paper", frozen=frozen)
            again = await ask(lab, releases[1], case)
            assert serial(again) == serial(first)
            assert again.headers["X-Gateway-Receipt"] == first.headers["X-Gateway-Receipt"]
        assert lab.sent() == 1

    run(play)


def call_of(lab: Lab, path: str, body: Any) -> Call:
    endpoint = endpoints.find(path)
    assert endpoint is not None
    return endpoint.parse(orjson.dumps(body), "", parse_config(lab.settings))


async def moved(lab: Lab, call: Call) -> None:
    """The answer to this call lies where the release before would have put it."""
    asked = CacheDirectives(namespace="paper")
    plan = cache_plan.namespace_plan(call, cache_config(lab.settings, MASTER), "paper", False, asked)
    store, key = lab.memory.namespace_store, sealing_keys(MASTER).records
    assert plan.cache_key is not None
    assert plan.former_key is not None
    blob = await store.get("paper", plan.cache_key)
    entry = None if blob is None else namespace_entry.decode(key, f"paper {plan.cache_key}", blob)
    assert entry is not None
    await store.remove("paper", plan.cache_key)
    await store.put("paper", plan.former_key, namespace_entry.encode(key, f"paper {plan.former_key}", entry, b"n" * 12))
    await lab.memory.namespace_store.touch()
    await lab.flow.poller.poll()
    lab.memory.clock.advance(1.0)  # what was sent before an entry was removed is not stored in its place


@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("case", CASES[:4])
def test_an_entry_from_before_the_present_form_is_found_by_its_own_spelling_and_by_no_other(
    case: str, frozen: bool
) -> None:
    async def play(lab: Lab) -> None:
        lab.memory.upstream.answer = answering(case)
        await lab.namespace("paper")
        first = await ask(lab, "341", case)
        path, body, _ = recorded("341", case)
        await moved(lab, call_of(lab, path, body))
        await lab.namespace("paper", frozen=frozen)
        for _ in range(2):
            assert serial(await ask(lab, "341", case)) == serial(first)
            other = await ask(lab, "321", case)
            if frozen:
                assert slug(other) == "not-recorded"
            else:
                assert serial(other) != serial(first)
        # Whatever came meanwhile, the first answer to this spelling stays what it was.
        assert serial(await ask(lab, "341", case)) == serial(first)

    run(play)


def former(lab: Lab, lines: list[ExportRow]) -> list[ExportRow]:
    """The file as the release before wrote it: calls named by the former digest."""
    paths = [f"/api/v1/{line.entry.endpoint}" for line in lines]
    calls = [call_of(lab, path, orjson.loads(line.entry.body)) for path, line in zip(paths, lines, strict=True)]
    return [replace(line, call_digest=call.former_digest) for line, call in zip(lines, calls, strict=True)]


def test_a_file_from_before_the_present_form_is_imported_with_every_spelling_in_it() -> None:
    async def play(lab: Lab) -> None:
        case = "fold"
        lab.memory.upstream.answer = answering(case)
        await lab.namespace("paper")
        answers = []
        for release in ("341", "321"):
            answers.append(await ask(lab, release, case))
            path, body, _ = recorded(release, case)
            await moved(lab, call_of(lab, path, body))
        assert serial(answers[0]) != serial(answers[1])
        await lab.namespace("paper", frozen=True)
        file = await lab.exported()
        there = Lab(settings=MODELS)
        await there.loaded(rewritten(file, lambda lines: former(lab, lines)))
        await there.flow.poller.poll()
        assert [(await ask(there, release, case)).body for release in ("341", "321")] == [
            answer.body for answer in answers
        ]
        again = await there.exported()
        third = await Lab(settings=MODELS).loaded(again)
        assert third.carried.entries == 2

    run(play)


def test_a_call_that_is_twice_in_a_file_of_the_present_form_is_refused() -> None:
    async def play(lab: Lab) -> None:
        lab.memory.upstream.answer = answering("fold")
        await lab.namespace("paper")
        await ask(lab, "341", "fold")
        await lab.namespace("paper", frozen=True)
        file = rewritten(await lab.exported(), lambda lines: [*lines, lines[0]])
        with pytest.raises(InvalidArgument, match="twice"):
            await Lab(settings=MODELS).loaded(file)

    run(play)
