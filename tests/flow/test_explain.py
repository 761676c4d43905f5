"""The flow's explanations: who gets one, what it costs (nothing), and that it agrees with what then happens."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import pytest

from gateway.core.nouns import CacheScope, Limits, Namespace
from gateway.core.problems import Problem
from gateway.flow.trace import Trace
from tests.flow.house import BODY, House, Raw

PATH = "/gateway/v1/explain"
Play = Callable[[House], Awaitable[None]]


def play(act: Play, settings: Mapping[str, Any] | None = None, limits: Limits | None = None, **key: Any) -> House:
    house = House(settings, limits)
    if key:
        house.add_key(Limits(), **key)

    async def whole() -> None:
        await house.opened()
        await act(house)
        await house.tasks.drain(5.0)

    asyncio.run(whole())
    return house


def asking(house: House, body: Mapping[str, Any] | bytes | None = None, query: str = "", **headers: str) -> Raw:
    raw = house.raw(body, PATH, **headers)
    raw.query = query
    return raw


async def explained(
    house: House, body: Mapping[str, Any] | bytes | None = None, query: str = "", **headers: str
) -> Mapping[str, Any]:
    return await house.flow.explain.call(asking(house, body, query, **headers), Trace("r1", 0.0))


async def refused(
    house: House, body: Mapping[str, Any] | bytes | None = None, query: str = "", **headers: str
) -> Problem:
    with pytest.raises(Problem) as caught:
        await explained(house, body, query, **headers)
    return caught.value


def test_an_explanation_costs_nothing_and_touches_nothing_but_the_directory() -> None:
    async def act(house: House) -> None:
        for body in (None, {"potential_sequence_of_concern": True}, {"temperature": 1}):
            for _ in range(5):
                await explained(house, body)
        assert {name for name in await house.settled() if not name.startswith("meter.")} == {"directory.find"}
        assert (await house.ask()).status == 200

    play(act, limits=Limits(requests_per_minute=1, units_per_day=10))


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
    async def act(house: House) -> None:
        await house.memory.archive.create(Namespace("live", 1.0))
        await house.flow.watch.look()
        about = await explained(house, changes, **headers)
        status = (await house.ask(changes, **headers)).headers["Cache-Status"]
        assert about["kept"] == ("; stored" in status)
        assert about["class"] in status or not about["kept"]

    play(act, settings, **key)


def test_an_unapproved_caller_is_told_about_a_declared_sequence_without_a_record() -> None:
    async def act(house: House) -> None:
        assert (await explained(house, {"potential_sequence_of_concern": True}))["flagged"] is True
        assert house.memory.audit.events == []
        assert (await house.ask({"potential_sequence_of_concern": True})).status == 403

    play(act)


def test_the_same_is_refused_as_at_the_endpoint_itself() -> None:
    async def act(house: House) -> None:
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
            problem = await refused(house, body, **headers)
            response = await house.ask(body, **headers)
            assert problem.kind.slug == slug
            assert response.status == problem.kind.status
        assert [fault.pointer for fault in (await refused(house, {"num_steps": 0})).faults] == ["/num_steps"]

    scope = CacheScope(directives=("pool", "sample", "namespace"))
    play(act, {"request": {"max_body_bytes": 4000}}, cache=scope)


def test_a_key_hears_of_its_own_models_only() -> None:
    async def act(house: House) -> None:
        problem = await refused(house)
        assert (problem.kind.slug, problem.detail) == ("model-refused", "this key may use: other")

    play(act, models=("other",))


def test_the_query_names_the_endpoint_and_leaves_the_rest_to_it() -> None:
    async def act(house: House) -> None:
        model = BODY["model"]
        about = await explained(house, b'{"model":"%s","sequence":"MKT"}' % model.encode(), "endpoint=fold")
        assert (about["endpoint"], about["class"], about["kept"]) == ("fold", "unknown", False)
        about = await explained(house, b"{}", "sequence=MKT&endpoint=msa&use_env=false")
        assert about["endpoint"] == "msa"
        assert (await refused(house, None, "sequence=MKT")).kind.slug == "call-invalid"
        assert "generate_tensor" in (await refused(house, None, "endpoint=none")).faults[0].detail
        assert "true or false" in (await refused(house, None, "canonical=1")).faults[0].detail

    play(act)


def test_coordinates_are_told_in_full_where_the_query_says_so() -> None:
    async def act(house: House) -> None:
        inputs = {**BODY["inputs"], "coordinates": [[[1.5, None, 0.0]] * 3] * 5}
        told = [
            (await explained(house, {"inputs": inputs}, query))["canonical"]["inputs"]["coordinates"]
            for query in ("", "canonical=false", "canonical=true")
        ]
        assert told[0] == told[1] != told[2] == inputs["coordinates"]

    play(act)


def test_without_the_cache_store_a_call_is_explained_as_not_kept() -> None:
    async def act(house: House) -> None:
        house.lose_cache()
        await house.flow.watch.look()
        about = await explained(house)
        assert (about["kept"], about["why"]) == (False, "the cache store is out of reach just now")

    play(act)


def test_a_receipt_says_the_same_for_the_miss_and_for_every_hit_and_names_the_call_as_explained() -> None:
    async def act(house: House) -> None:
        answers = [await house.ask(), await house.ask()]
        assert len({answer.headers["X-Gateway-Receipt"] for answer in answers}) == 1
        identifier = answers[0].headers["X-Gateway-Receipt"]
        told = await house.flow.explain.receipt(asking(house), Trace("r1", 0.0), identifier)
        about = await explained(house)
        assert told["call_sha256"] == about["call_sha256"]
        assert (told["receipt"], told["determinism"], told["model"]) == (identifier, "exact", BODY["model"])

    play(act)


def test_receipts_need_a_key_and_unknown_ones_are_unknown() -> None:
    async def act(house: House) -> None:
        for headers, identifier, slug in (
            ({}, "nothing", "unknown-receipt"),
            ({}, "", "unknown-receipt"),
            ({"authorization": ""}, (await house.ask()).headers["X-Gateway-Receipt"], "key-refused"),
        ):
            with pytest.raises(Problem) as caught:
                await house.flow.explain.receipt(asking(house, None, "", **headers), Trace("r1", 0.0), identifier)
            assert caught.value.kind.slug == slug

    play(act)
