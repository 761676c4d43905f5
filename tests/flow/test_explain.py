"""The flow's explanations: who gets one, what it costs (nothing), and that it agrees with what then happens."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import pytest

from gateway.core.problems import Problem
from gateway.core.types import CacheScope, Limits, Namespace
from gateway.flow.context import RequestContext
from tests.flow.harness import BODY, Harness, Raw

PATH = "/gateway/v1/explain"
Play = Callable[[Harness], Awaitable[None]]


def play(act: Play, settings: Mapping[str, Any] | None = None, limits: Limits | None = None, **key: Any) -> Harness:
    harness = Harness(settings, limits)
    if key:
        harness.add_key(Limits(), **key)

    async def whole() -> None:
        await harness.opened()
        await act(harness)
        await harness.tasks.drain(5.0)

    asyncio.run(whole())
    return harness


def asking(harness: Harness, body: Mapping[str, Any] | bytes | None = None, query: str = "", **headers: str) -> Raw:
    raw = harness.raw(body, PATH, **headers)
    raw.query = query
    return raw


async def explained(
    harness: Harness, body: Mapping[str, Any] | bytes | None = None, query: str = "", **headers: str
) -> Mapping[str, Any]:
    raw, context = asking(harness, body, query, **headers), RequestContext("r1", lambda: 0.0)
    who, _ = await harness.flow.explainer.admit(raw, context)
    return await harness.flow.explainer.call(raw, who, context)


async def refused(
    harness: Harness, body: Mapping[str, Any] | bytes | None = None, query: str = "", **headers: str
) -> Problem:
    with pytest.raises(Problem) as caught:
        await explained(harness, body, query, **headers)
    return caught.value


def test_an_explanation_costs_a_request_alone_and_touches_nothing_but_directory_and_rate() -> None:
    async def act(harness: Harness) -> None:
        for body in (None, {"potential_sequence_of_concern": True}, {"temperature": 1}):
            for _ in range(5):
                await explained(harness, body)
        assert set(await harness.settled()) == {"directory.find", "ledger.charge_rate"}
        assert (await harness.ask()).status == 200
        assert (await harness.ask()).status == 429

    play(act, limits=Limits(requests_per_minute=16, units_per_day=10))


@pytest.mark.parametrize(
    "settings, key, headers",
    [
        ({}, {}, {}),
        ({"cache": {"enabled": False}}, {}, {}),
        ({"cache": {"classes": ["pinned"]}}, {}, {}),
        ({}, {"cache": CacheScope(classes=("pinned",))}, {}),
        ({}, {}, {"cache_control": "no-store"}),
        ({}, {}, {"cache_control": "pool=lab"}),
        ({}, {}, {"cache_control": "namespace=live"}),
        ({}, {"cache": CacheScope(namespace="live")}, {}),
        ({"cache": {"level": "sampler"}}, {}, {}),
    ],
)
@pytest.mark.parametrize("changes", [{}, {"strategy": "random"}, {"temperature": 0.5}, {"num_steps": 3}])
def test_what_is_said_to_be_kept_is_kept_and_nothing_else(
    settings: Mapping[str, Any], key: Mapping[str, Any], headers: Mapping[str, str], changes: Mapping[str, Any]
) -> None:
    async def act(harness: Harness) -> None:
        await harness.memory.namespace_store.create(Namespace("live", 1.0))
        await harness.flow.poller.poll()
        about = await explained(harness, changes, **headers)
        status = (await harness.ask(changes, **headers)).headers["Cache-Status"]
        assert about["stored"] == ("; stored" in status)
        assert about["class"] in status or not about["stored"]

    play(act, settings, **key)


def test_an_unapproved_caller_is_told_about_a_declared_sequence_without_a_record() -> None:
    async def act(harness: Harness) -> None:
        assert (await explained(harness, {"potential_sequence_of_concern": True}))["flagged"] is True
        assert harness.memory.audit.events == []
        assert (await harness.ask({"potential_sequence_of_concern": True})).status == 403

    play(act)


def test_the_same_is_refused_as_at_the_endpoint_itself() -> None:
    async def act(harness: Harness) -> None:
        for body, headers, slug in (
            (None, {"authorization": "Bearer nobody"}, "key-refused"),
            (b"{", {}, "body-unreadable"),
            (b" " * 5000, {}, "body-too-large"),
            (None, {"content_type": "text/plain"}, "media-type-refused"),
            (None, {"content_encoding": "gzip"}, "media-type-refused"),
            ({"num_steps": 0}, {}, "call-invalid"),
            (None, {"cache_control": "pool="}, "cache-control-invalid"),
            (None, {"cache_control": "no-store"}, "cache-control-refused"),
            (None, {"cache_control": "namespace=none"}, "unknown-namespace"),
        ):
            problem = await refused(harness, body, **headers)
            response = await harness.ask(body, **headers)
            assert problem.type.slug == slug
            assert response.status == problem.type.status
        assert [error.pointer for error in (await refused(harness, {"num_steps": 0})).errors] == ["/num_steps"]

    scope = CacheScope(directives=("pool", "sample", "namespace"))
    play(act, {"request": {"max_body_bytes": 4000}}, cache=scope)


def test_a_key_hears_of_its_own_models_only() -> None:
    async def act(harness: Harness) -> None:
        problem = await refused(harness)
        assert (problem.type.slug, problem.detail) == ("model-refused", "this key may use: other")

    play(act, models=("other",))


def test_the_query_names_the_endpoint_and_leaves_the_rest_to_it() -> None:
    async def act(harness: Harness) -> None:
        model = BODY["model"]
        about = await explained(harness, b'{"model":"%s","sequence":"MKT"}' % model.encode(), "endpoint=fold")
        assert (about["endpoint"], about["class"], about["stored"]) == ("fold", "unknown", False)
        about = await explained(harness, b"{}", "sequence=MKT&endpoint=msa&use_env=false")
        assert about["endpoint"] == "msa"
        assert (await refused(harness, None, "sequence=MKT")).type.slug == "call-invalid"
        assert "generate_tensor" in (await refused(harness, None, "endpoint=none")).errors[0].detail
        assert "true or false" in (await refused(harness, None, "canonical=1")).errors[0].detail

    play(act)


def test_coordinates_are_told_in_full_where_the_query_says_so() -> None:
    async def act(harness: Harness) -> None:
        inputs = {**BODY["inputs"], "coordinates": [[[1.5, None, 0.0]] * 3] * 5}
        told = [
            (await explained(harness, {"inputs": inputs}, query))["canonical"]["inputs"]["coordinates"]
            for query in ("", "canonical=false", "canonical=true")
        ]
        assert told[0] == told[1] != told[2] == inputs["coordinates"]

    play(act)


def test_without_the_cache_store_a_call_is_explained_as_not_kept() -> None:
    async def act(harness: Harness) -> None:
        harness.lose_cache()
        await harness.flow.poller.poll()
        about = await explained(harness)
        assert (about["stored"], about["why"]) == (False, "the cache store is unreachable")

    play(act)


def test_a_receipt_says_the_same_for_the_miss_and_for_every_hit_and_names_the_call_as_explained() -> None:
    async def act(harness: Harness) -> None:
        answers = [await harness.ask(), await harness.ask()]
        assert len({answer.headers["X-Gateway-Receipt"] for answer in answers}) == 1
        identifier = answers[0].headers["X-Gateway-Receipt"]
        told = harness.flow.explainer.receipt(identifier, RequestContext("r1", lambda: 0.0))
        about = await explained(harness)
        assert told["call_sha256"] == about["call_sha256"]
        assert (told["receipt"], told["determinism"], told["model"]) == (identifier, "exact", BODY["model"])

    play(act)


def test_receipts_need_a_key_and_unknown_ones_are_unknown() -> None:
    async def act(harness: Harness) -> None:
        async def read_receipt(raw: Raw, identifier: str) -> None:
            context = RequestContext("r1", lambda: 0.0)
            await harness.flow.explainer.admit(raw, context)
            harness.flow.explainer.receipt(identifier, context)

        for headers, identifier, slug in (
            ({}, "nothing", "unknown-receipt"),
            ({}, "", "unknown-receipt"),
            ({"authorization": ""}, (await harness.ask()).headers["X-Gateway-Receipt"], "key-refused"),
        ):
            with pytest.raises(Problem) as caught:
                await read_receipt(asking(harness, None, "", **headers), identifier)
            assert caught.value.type.slug == slug

    play(act)
