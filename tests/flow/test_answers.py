"""What an answer is worth decides what becomes of it: refused, passed on with a warning, or kept."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any

import orjson
import pytest

from gateway.core import entry_codec, namespace_entry
from gateway.core.types import Answer, Response
from gateway.flow.answer_check import AnswerCheck
from gateway.ports import UpstreamReply, UpstreamRequest
from gateway.wiring.cache_config import sealing_keys
from tests.flow.harness import MASTER, Harness, answer_to, json_reply, slug, status_of

Tree = dict[str, Any]
CODE = "KLUv/SBQUFlMT0FE"
LOGITS: Mapping[str, Any] = {
    "model": "esm3-open-2024-03",
    "inputs": {"sequence": [0, 5, 6, 2]},
    "logits_config": {"sequence": True},
}
NAMED = "namespace=paper"
FAULTS = "esmgw_answer_faults_total"


def run(
    act: Callable[[Harness], Awaitable[None]], settings: Mapping[str, Any] | None = None, *, namespace: bool = False
) -> None:
    async def whole() -> None:
        harness = await Harness(settings).opened()
        if namespace:
            await harness.namespace("paper")
        await act(harness)

    asyncio.run(whole())


def answers(harness: Harness, change: Callable[[Tree], Any] | bytes) -> None:
    """From now on the upstream's good answers come changed, or as these bytes."""

    def answer(request: UpstreamRequest) -> UpstreamReply:
        if isinstance(change, bytes):
            return UpstreamReply(200, "application/json", None, change)
        reply = json_reply(answer_to(request))
        return json_reply(change(orjson.loads(reply.body)))

    harness.memory.upstream.answer = answer


async def logits(harness: Harness, **headers: str) -> Response:
    return await harness.ask(orjson.dumps(LOGITS), "/api/v1/logits", **headers)


def warnings(response: Response) -> list[str]:
    found: list[str] = orjson.loads(response.body).get("warning_messages", [])
    return found


def counted(harness: Harness, *labels: str) -> float:
    return harness.memory.meter.counts[(FAULTS, *labels)]


UNSAFE: Mapping[str, Callable[[Tree], Any] | bytes] = {
    "a text for all logits": lambda tree: {**tree, "logits": CODE},
    "a text for one head": lambda tree: {**tree, "logits": {"sequence": CODE}},
    "a text among embeddings": lambda tree: {**tree, "embeddings": [[[1.5, CODE]]]},
    "sparse features": lambda tree: {**tree, "sae_outputs": CODE},
    "a mean": lambda tree: {**tree, "mean_embedding": [CODE]},
    "lifted out of data": lambda tree: {"data": {**tree, "hidden_states": CODE}},
    "the second of two": b'{"logits":{"sequence":[[[1.5]]]},"logits":"%s"}' % CODE.encode(),
    "an escaped name": b'{"l\\u006fgits":"%s"}' % CODE.encode(),
}


@pytest.mark.parametrize("change", UNSAFE.values(), ids=UNSAFE)
@pytest.mark.parametrize("where", ["", NAMED])
def test_an_answer_with_code_in_it_is_refused_for_good_and_charged_once(change: Any, where: str) -> None:
    async def act(harness: Harness) -> None:
        answers(harness, change)
        response = await logits(harness, **({"cache_control": where} if where else {}))
        await harness.settled()
        assert (response.status, slug(response)) == (422, "answer-unsafe")
        assert CODE.encode() not in response.body
        assert harness.sent() == 1
        units = {key[-1]: value for key, value in harness.memory.meter.counts.items() if key[0] == "esmgw_units_total"}
        assert (units["reserved"], units["settled"], units.get("refunded", 0)) == (4, 4, 0)
        assert counted(harness, "logits", "upstream", "unsafe") == 1
        assert not harness.memory.namespace_store.records["paper"].entries

    run(act, namespace=True)


def test_code_in_a_record_is_refused_and_stays_for_the_administrator() -> None:
    async def act(harness: Harness) -> None:
        assert (await logits(harness, cache_control=NAMED)).status == 200
        spoil_record(harness, lambda tree: {**tree, "logits": CODE})
        response = await logits(harness, cache_control=NAMED)
        assert (response.status, slug(response)) == (422, "answer-unsafe")
        assert harness.sent() == 1
        assert counted(harness, "logits", "namespace", "unsafe") == 1

    run(act, NO_MEMORY, namespace=True)


NO_MEMORY = {"cache": {"local_answers_bytes": 0}}


def spoil_record(harness: Harness, change: Callable[[Tree], Any]) -> None:
    """The one record holds another answer, as a release before this one might have left it."""
    entries, key = harness.memory.namespace_store.records["paper"].entries, sealing_keys(MASTER).records
    ((cache_key, (number, blob)),) = entries.items()
    entry = namespace_entry.decode(key, f"paper {cache_key}", blob)
    assert entry is not None
    spoiled = replace(entry, answer=changed(entry.answer, change))
    entries[cache_key] = number, namespace_entry.encode(key, f"paper {cache_key}", spoiled, b"n" * 12)


def changed(answer: Answer, change: Callable[[Tree], Any]) -> Answer:
    return replace(answer, body=orjson.dumps(change(orjson.loads(answer.body))), compressed=None)


def spoil_entry(harness: Harness, change: Callable[[Tree], Any]) -> None:
    """The same of the one entry of the cache."""
    entries, key = harness.memory.cache.entries, sealing_keys(MASTER).entries
    ((cache_key, (blob, until)),) = entries.items()
    answer = entry_codec.decode(key, cache_key, blob)
    assert answer is not None
    entries[cache_key] = (entry_codec.encode(key, cache_key, changed(answer, change), b"n" * 12), until)


def outputs(**changes: Any) -> Callable[[Tree], Any]:
    return lambda tree: {**tree, "outputs": {**tree["outputs"], **changes}}


def without(tree: Tree, name: str) -> Tree:
    return {**tree, "outputs": {track: value for track, value in tree["outputs"].items() if track != name}}


# BODY asks for the masks in [0, 32, 5, 32, 2] to be filled.
HOLLOW: Mapping[str, tuple[str, Callable[[Tree], Any]]] = {
    "nothing": ("hollow", lambda _: {"outputs": {}, "error": 5}),
    "no generated track": ("hollow", lambda tree: without(tree, "sequence")),
    "null": ("hollow", outputs(sequence=None)),
    "an empty track": ("hollow", outputs(sequence=[])),
    "text": ("text", outputs(sequence="oops")),
    "texts": ("text", outputs(sequence=["0", "7", "5", "7", "2"])),
    "still masked": ("masked", outputs(sequence=[0, 7, 5, 32, 2])),
    "short": ("length", outputs(sequence=[0, 7, 5, 2])),
    "long": ("length", outputs(sequence=[0, 7, 5, 7, 7, 2])),
    "ids that do not exist": ("ids", outputs(sequence=[0, 7, 5, 9999, 2])),
    "a special token": ("ids", outputs(sequence=[0, 7, 5, 31, 2])),
    "negative": ("ids", outputs(sequence=[0, 7, 5, -1, 2])),
    "fractions": ("form", outputs(sequence=[0, 7, 5, 7.5, 2])),
    "unmasked changed": ("changed", outputs(sequence=[0, 7, 6, 7, 2])),
    "an end changed": ("changed", outputs(sequence=[1, 7, 5, 7, 2])),
    "a number that is a mask of structure alone": ("changed", outputs(sequence=[0, 7, -1, 7, 2])),
    "another track made up": ("echo", outputs(structure=[4098, 1, 2, 3, 4097])),
    "annotations of another length": ("echo", outputs(residue_annotation=[[0] * 16] * 4)),
    "coordinates made up": ("echo", outputs(coordinates=[[[1.0, 2.0, 3.0]] * 37] * 5)),
}


@pytest.mark.parametrize(("fault", "change"), HOLLOW.values(), ids=HOLLOW)
@pytest.mark.parametrize("where", ["", "pool=lab, sample=1", NAMED])
def test_a_hollow_answer_is_passed_on_with_a_warning_and_never_kept(fault: str, change: Any, where: str) -> None:
    async def act(harness: Harness) -> None:
        good = harness.memory.upstream.answer
        answers(harness, change)
        headers = {"cache_control": where} if where else {}
        response = await harness.ask(**headers)
        assert response.status == 200
        assert any(text.startswith("esm-gateway: do not rely on this answer") for text in warnings(response))
        assert "stored" not in status_of(response)
        assert counted(harness, "generate_tensor", "upstream", fault) == 1
        assert not harness.memory.cache.entries
        assert not harness.memory.namespace_store.records["paper"].entries
        harness.memory.upstream.answer = good
        for expected in ("fwd=miss; stored", "hit"):
            again = await harness.ask(**headers)
            assert not warnings(again)
            assert status_of(again).startswith(expected)
        assert harness.sent() == 2

    run(act, namespace=True)


@pytest.mark.parametrize(("fault", "change"), HOLLOW.values(), ids=HOLLOW)
def test_what_an_earlier_release_has_kept_is_computed_anew(fault: str, change: Any) -> None:
    async def act(harness: Harness) -> None:
        await harness.ask()
        spoil_entry(harness, change)
        response = await harness.ask()
        assert (status_of(response), warnings(response)) == ("fwd=miss; stored", [])
        assert harness.sent() == 2
        assert counted(harness, "generate_tensor", "cache", fault) == 1
        assert status_of(await harness.ask()).startswith("hit")

    run(act, NO_MEMORY)


def test_a_doubtful_record_is_replayed_with_a_warning_and_a_frozen_one_to_the_byte() -> None:
    async def act(harness: Harness) -> None:
        await harness.ask(cache_control=NAMED)
        spoil_record(harness, outputs(sequence=[0, 7, 6, 7, 2]))
        harness.flow.pipeline._lookup._local_cache.clear()
        for _ in range(2):
            live = await harness.ask(cache_control=NAMED)
            assert len(warnings(live)) == 1
        await harness.namespace("paper", frozen=True)
        frozen = await harness.ask(cache_control=NAMED)
        assert orjson.loads(frozen.body)["outputs"]["sequence"] == [0, 7, 6, 7, 2]
        assert warnings(frozen) == []
        assert harness.sent() == 1
        assert counted(harness, "generate_tensor", "namespace", "changed") == 3

    run(act, namespace=True)


ATOMS = [[[1.2345678, -2.0, 0.5], [2.0, 3.0, 4.0], [3.0, 4.0, 5.0]]] * 5
GIVEN: Mapping[str, Any] = {
    "inputs": {
        "sequence": [0, 32, 5, 32, 2],
        "secondary_structure": [0, 3, 4, 0, 0],
        "coordinates": ATOMS,
        "structure": [4098, 1, 2, 3, 4097],
        "residue_annotation": None,
    }
}
SAME: Mapping[str, Callable[[Tree], Any]] = {
    "as it was sent": lambda tree: tree,
    "annotations as zeros": outputs(residue_annotation=[[0] * 16] * 5),
    "other digits": outputs(coordinates=[[[1.235, -2, 0.505], [2, 3.0, 4.0], [3.0, 4.0, 5]]] * 5),
    "more atoms, unknown": outputs(coordinates=[[*ATOMS[0], *[[None] * 3] * 34]] * 5),
    "tokens spelled as fractions": outputs(sequence=[0, 7.0, 5.0, 7, 2], secondary_structure=[0, 3.0, 4, 0, 0]),
    "structure discarded": outputs(structure=None),
    "absent track written out as masks": outputs(sasa=[0] * 5),
    "null left out": lambda tree: without(tree, "function"),
    "wrapped": lambda tree: {"data": tree},
    "one member more": lambda tree: {**tree, "took_ms": 12, "parts": {"gpu": [1, 2]}},
}


@pytest.mark.parametrize("change", SAME.values(), ids=SAME)
def test_an_echo_in_other_words_is_kept_as_before(change: Any) -> None:
    async def act(harness: Harness) -> None:
        answers(harness, change)
        assert status_of(await harness.ask(GIVEN)) == "fwd=miss; stored"
        assert status_of(await harness.ask(GIVEN)).startswith("hit")

    run(act)


@pytest.mark.parametrize(
    "change",
    [
        outputs(secondary_structure=[0, 3, 5, 0, 0]),
        outputs(secondary_structure=None),
        outputs(coordinates=[[[9.0, 9.0, 9.0]] * 37] * 5),
        outputs(coordinates=None),
        outputs(sequence=[0, 7, 6, 7, 2]),
    ],
)
@pytest.mark.parametrize("checked", [True, False])
def test_whether_the_echo_is_compared_is_a_setting(change: Any, checked: bool) -> None:
    async def act(harness: Harness) -> None:
        answers(harness, change)
        response = await harness.ask(GIVEN)
        assert bool(warnings(response)) is checked
        assert ("stored" in status_of(response)) is not checked

    run(act, {"cache": {"check_echo": checked}})


def test_texts_in_unknown_members_are_dropped_and_counted_and_the_answer_is_kept() -> None:
    async def act(harness: Harness) -> None:
        answers(harness, lambda tree: {**tree, "node": CODE, "run": {"id": CODE, "ms": 5}, "list": [CODE, 1]})
        for _ in range(2):
            response = await harness.ask()
            tree = orjson.loads(response.body)
            assert CODE.encode() not in response.body
            assert ("node" in tree, tree["run"], tree["list"]) == (False, {"ms": 5}, [1])
        assert status_of(response).startswith("hit")
        assert counted(harness, "generate_tensor", "upstream", "strings") == 1

    run(act)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (["fine"], ["fine"]),
        (["\x1b[2J\x1b]0;x\x07over"], ["[2J]0;xover"]),
        (["two\nlines", "a\u202eb\u200bc\x9b"], ["two lines", "abc"]),
        ("\x1b[2J", []),
        (["a", 5, {"\x1b": "\x1b"}, ["\x07"]], ["a"]),
        ({"\x1b[2J": 1}, []),
    ],
)
@pytest.mark.parametrize("wrapped", [True, False])
def test_control_characters_in_warnings_reach_no_terminal(given: Any, told: list[str], wrapped: bool) -> None:
    async def act(harness: Harness) -> None:
        def warned(tree: Tree) -> Any:
            warning = {**tree, "warning_messages": given}
            return {"data": warning} if wrapped else warning

        answers(harness, warned)
        response = await harness.ask()
        tree = orjson.loads(response.body)
        assert tree.get("data", tree).get("warning_messages", []) == told
        assert "stored" in status_of(response)

    run(act)


def test_of_a_repeated_member_the_one_that_counts_is_left() -> None:
    async def act(harness: Harness) -> None:
        good = b'{"outputs":{"sequence":[0,7,5,7,2]},"outputs":{"sequence":[0,8,5,8,2],"sequence":[0,9,5,9,2]}}'
        answers(harness, good)
        response = await harness.ask()
        assert response.body == b'{"outputs":{"sequence":[0,9,5,9,2]}}'
        assert counted(harness, "generate_tensor", "upstream", "repeated") == 1

    run(act)


def test_a_hit_from_memory_is_not_judged_again(monkeypatch: pytest.MonkeyPatch) -> None:
    judged: list[str] = []
    real = AnswerCheck.judge

    async def judge(self: AnswerCheck, call: Any, body: bytes, source: Any, **more: Any) -> Any:
        judged.append(source)
        return await real(self, call, body, source, **more)

    monkeypatch.setattr(AnswerCheck, "judge", judge)

    async def act(harness: Harness) -> None:
        for _ in range(5):
            assert (await harness.ask()).status == 200
        assert judged == ["upstream"]
        harness.flow.pipeline._lookup._local_cache.clear()
        for _ in range(5):
            assert status_of(await harness.ask()).startswith("hit")
        assert judged == ["upstream", "cache"]

    run(act)


def test_what_another_worker_has_left_meanwhile_is_judged_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """The entry comes between the look-up and the lease, as it does when a flight of another process lands."""

    async def act(harness: Harness) -> None:
        await harness.ask()
        spoil_entry(harness, outputs(sequence=None))
        cache = harness.memory.cache

        async def misses(_: str) -> None:
            return None

        monkeypatch.setattr(cache, "get", misses)
        response = await harness.ask()
        assert orjson.loads(response.body)["outputs"]["sequence"] == [0, 5, 5, 5, 2]
        assert harness.sent() == 2

    run(act, NO_MEMORY)


def test_a_first_answer_that_is_hollow_does_not_stand_in_the_way_of_a_good_one() -> None:
    """`pinned`: the first write wins, unless what was written first is no answer."""

    async def act(harness: Harness) -> None:
        pinned = {"strategy": "random"}
        await harness.ask(pinned)
        spoil_entry(harness, outputs(sequence=None))
        for _ in range(2):
            response = await harness.ask(pinned)
            assert orjson.loads(response.body)["outputs"]["sequence"] == [0, 5, 5, 5, 2]
        assert harness.sent() == 2

    run(act, NO_MEMORY)


def test_a_spot_check_that_gets_a_hollow_answer_says_nothing_about_the_entry() -> None:
    async def act(harness: Harness) -> None:
        await harness.ask()
        answers(harness, b'{"outputs":{}}')
        await harness.ask()
        await harness.settled()
        assert harness.memory.meter.counts[("esmgw_cache_spot_checks_total", "failed")] == 1
        assert len(harness.memory.cache.entries) == 1
        assert status_of(await harness.ask()).startswith("hit")

    run(act, {"cache": {"spot_check_fraction": 1.0, "spot_check_interval_s": 0.0}})
