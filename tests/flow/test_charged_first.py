"""Nothing is for free: every request with a key is one of its user's rate, before it is read and whatever it is."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import pytest

from gateway.core.problems import Problem
from gateway.core.quota import LimitConfig
from gateway.core.types import Limits
from gateway.flow.context import RequestContext
from gateway.web.gateway_api import PREFIX, GatewayApi
from tests.flow.harness import BODY, KEY, Harness, Raw, slug

PATH = "/api/v1/generate_tensor"
NARROW = Limits(requests_per_minute=2, burst=2)


def run(play: Callable[[Harness], Awaitable[None]], **harness: Any) -> Harness:
    made = Harness(**harness)

    async def whole() -> None:
        await play(await made.opened())
        await made.tasks.drain(5.0)

    asyncio.run(whole())
    return made


async def told(harness: Harness, raw: Raw) -> int:
    """The status of what the proxy would answer: the API's paths, or the pipeline's."""
    context = RequestContext("r1", harness.memory.clock.monotonic)
    try:
        if raw.path.startswith(PREFIX):
            return (await GatewayApi(harness.flow.explainer).handle(raw, context)).status
        return (await harness.flow.pipeline.handle(raw, context)).status
    except Problem as problem:
        return problem.type.status


def spent(harness: Harness) -> int:
    limits = LimitConfig().of_key(harness.memory.directory.records[KEY.public_id])[:1]
    assert limits[0].kind == "rate"
    return limits[0].burst - harness.memory.ledger.rules.usage("ada", limits)[0].used


GOOD: Mapping[str, Any] = {}
FAULTY: list[tuple[str, str, bytes | Mapping[str, Any], dict[str, str], int]] = [
    ("POST", PATH, b"{", {}, 400),
    ("POST", PATH, b" " * 5000, {}, 413),
    ("POST", PATH, GOOD, {"content_type": "text/plain"}, 415),
    ("POST", PATH, GOOD, {"content_encoding": "gzip"}, 415),
    ("POST", PATH, {"inputs": {"sequence": [0, 99, 2]}}, {}, 422),
    ("POST", PATH, {"potential_sequence_of_concern": True}, {}, 403),
    ("POST", PATH, GOOD, {"cache_control": "namespace=nothing"}, 404),
    ("POST", PATH, GOOD, {"cache_control": "sample=0, pool=lab"}, 400),
    ("POST", PATH, GOOD, {"cache_control": "only-if-cached"}, 412),
    ("POST", "/gateway/v1/explain", GOOD, {}, 200),
    ("POST", "/gateway/v1/explain", b"[]", {}, 400),
    ("GET", "/gateway/v1/receipts/nothing", b"", {}, 404),
    ("GET", "/gateway/v1/explain", b"", {}, 405),
    ("GET", "/gateway/v1/nothing", b"", {}, 404),
    ("GET", PATH, b"", {}, 405),
    ("POST", "/api/v1/nothing", GOOD, {}, 404),
]


@pytest.mark.parametrize("method, path, body, headers, status", FAULTY)
def test_whatever_is_asked_costs_one_request(
    method: str, path: str, body: Any, headers: dict[str, str], status: int
) -> None:
    async def play(harness: Harness) -> None:
        for times in (1, 2):
            raw = harness.raw(body, path, **headers)
            raw.method = method
            assert await told(harness, raw) == status
            assert spent(harness) == times

    settings = {"request": {"max_body_bytes": 4000}}
    run(play, limits=Limits(requests_per_minute=10, burst=10), settings=settings)


@pytest.mark.parametrize("method, path, body, headers, _", FAULTY)
def test_over_the_rate_nothing_of_it_is_read_and_all_of_it_is_a_429(
    method: str, path: str, body: Any, headers: dict[str, str], _: int
) -> None:
    async def play(harness: Harness) -> None:
        for _ in range(2):
            await harness.ask()
        raw = harness.raw(body, path, **headers)
        raw.method = method
        harness.memory.journal.clear()
        assert await told(harness, raw) == 429
        assert not raw.was_read
        assert {name for name in await harness.settled() if not name.startswith("ledger.charge")} == set()

    run(play, limits=NARROW)


@pytest.mark.parametrize("path", [PATH, "/api/v1/nothing", "/gateway/v1/explain", "/gateway/v1/receipts/x"])
def test_a_stranger_costs_nobody_anything_and_a_path_unknown_to_all_is_a_404(path: str) -> None:
    async def play(harness: Harness) -> None:
        for key in ("Bearer esmgw_abc", ""):
            raw = harness.raw(None, path, authorization=key)
            raw.method = "GET" if "receipts" in path else "POST"
            assert await told(harness, raw) == 401
        raw = harness.raw(None, path)
        raw.method = "GET" if "receipts" in path else "POST"
        del raw.headers["authorization"]
        assert await told(harness, raw) == (404 if path.endswith("nothing") else 401)
        assert await harness.settled() == []

    run(play, limits=NARROW)


def test_who_is_over_the_rate_is_nobody_else() -> None:
    async def play(harness: Harness) -> None:
        for _ in range(4):
            await harness.ask()
        assert (await harness.ask()).status == 429
        assert (await harness.ask(**harness.person("bob"))).status == 200
        # A second key of the same user has a rate of its own; it was the key's that is spent.
        assert (await harness.ask(**harness.person("ada", limits=Limits(requests_per_minute=3)))).status == 200
        harness.add_key(Limits(requests_per_minute=60, burst=60))
        await harness.later(0.1)
        assert (await harness.ask()).status == 200

    run(play, limits=NARROW)


class SlowRaw(Raw):
    """A body that takes its time; meanwhile something happens."""

    def __init__(self, raw: Raw, seconds: float, meanwhile: Callable[[float], Awaitable[None]]) -> None:
        super().__init__(raw.body, raw.path, raw.headers)
        self._seconds, self._meanwhile = seconds, meanwhile

    async def read(self, max_bytes: int, *more: Any) -> bytes | None:
        await self._meanwhile(self._seconds)
        return await super().read(max_bytes, *more)


@pytest.mark.parametrize(
    "seconds, body",
    [
        (0.3, GOOD),
        (0.9, {"potential_sequence_of_concern": True}),
        (1.5, GOOD),
        (20.0, GOOD),
        (20.0, {"potential_sequence_of_concern": True}),
    ],
)
def test_a_key_that_was_revoked_while_the_body_came_is_refused(seconds: float, body: Any) -> None:
    async def play(harness: Harness) -> None:
        harness.approval()

        async def revoked(after: float) -> None:
            harness.add_key(Limits(), revoked=harness.memory.clock.now())
            await harness.later(after)

        raw = SlowRaw(harness.raw({**BODY, **body}, PATH), seconds, revoked)
        assert await told(harness, raw) == 401
        assert harness.sent() == 0
        assert harness.memory.audit.events == []

    run(play)


@pytest.mark.parametrize("seconds", [0.3, 5.0])
def test_an_approval_that_was_revoked_while_the_body_came_permits_nothing(seconds: float) -> None:
    async def play(harness: Harness) -> None:
        harness.approval()

        async def revoked(after: float) -> None:
            harness.approval(revoked=harness.memory.clock.now())
            await harness.later(after)

        raw = SlowRaw(harness.raw({"potential_sequence_of_concern": True}, PATH), seconds, revoked)
        assert await told(harness, raw) == 403
        assert [event.kind for event in harness.memory.audit.events] == ["policy_refused"]
        assert harness.sent() == 0

    run(play)


def test_nothing_is_explained_with_a_key_that_was_revoked_while_the_body_came() -> None:
    async def play(harness: Harness) -> None:
        async def revoked(after: float) -> None:
            harness.add_key(Limits(), revoked=harness.memory.clock.now())
            await harness.later(after)

        assert await told(harness, SlowRaw(harness.raw(None, "/gateway/v1/explain"), 0.3, revoked)) == 401

    run(play)


def test_a_429_is_a_problem_document_that_the_sdk_can_print() -> None:
    async def play(harness: Harness) -> None:
        answers = [await harness.ask() for _ in range(3)]
        assert slug(answers[-1]) == "rate-exceeded"
        assert harness.memory.meter.counts[("esmgw_quota_refusals_total", "key-requests")] == 1

    run(play, limits=NARROW)
