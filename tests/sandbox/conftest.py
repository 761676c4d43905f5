"""A sandbox that listens on a free port for as long as a scenario takes, and the few words to talk to it."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from gateway.sandbox.app import create_app, start

KEY = "upstream-key-0001"
WIRE = Path(__file__).parent.parent / "wire"


@dataclass(frozen=True)
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        def refuse(word: str) -> None:
            raise AssertionError(f"{word} is not JSON")

        return json.loads(self.body, parse_constant=refuse)


@dataclass(frozen=True)
class Upstream:
    session: aiohttp.ClientSession
    url: str

    async def post(self, endpoint: str, body: Any, *, key: str | None = KEY, fault: Any = None) -> Reply:
        headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        if fault is not None:
            headers["X-Sandbox-Fault"] = json.dumps(fault)
        return await self.send("POST", f"/api/v1/{endpoint}", body, headers)

    async def send(self, method: str, target: str, body: Any = None, headers: Any = None) -> Reply:
        data = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        async with self.session.request(method, self.url + target, data=data, headers=headers) as response:
            return Reply(response.status, dict(response.headers), await response.read())

    async def outputs(self, body: Any, endpoint: str = "generate_tensor") -> Any:
        reply = await self.post(endpoint, body)
        assert reply.status == 200, reply.body
        return reply.json["outputs"]

    async def calls(self, since: int = 0) -> Any:
        return (await self.send("GET", f"/__sandbox/calls?since={since}")).json

    async def add_faults(self, *rules: Any) -> Reply:
        return await self.send("POST", "/__sandbox/faults", {"rules": list(rules)})

    async def until(self, condition: Callable[[Any], bool]) -> Any:
        """The record of calls, as soon as it fulfils the condition."""
        async with asyncio.timeout(10):
            while not condition(calls := await self.calls()):
                await asyncio.sleep(0.005)
        return calls


@asynccontextmanager
async def listening(**options: Any) -> AsyncIterator[Upstream]:
    running = await start(create_app(**options))
    try:
        # Longer than any scenario waits on purpose, so that a call that never ends is a failure and no hang.
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session:
            yield Upstream(session, running.url)
    finally:
        await running.stop()


Scenario = Callable[[Upstream], Awaitable[Any]]
Play = Callable[..., Any]


@pytest.fixture
def play() -> Play:
    """Run a scenario against a sandbox of its own and hand back what it returns."""

    def run(scenario: Scenario, **options: Any) -> Any:
        async def whole() -> Any:
            async with listening(**options) as upstream:
                return await scenario(upstream)

        return asyncio.run(whole())

    return run


@pytest.fixture
def wire() -> Callable[[str], list[Any]]:
    """The exchanges of one recorded case."""
    return lambda case: json.loads((WIRE / f"{case}.json").read_text())["exchanges"]


@pytest.fixture
def request_for() -> Callable[..., dict[str, Any]]:
    """A generate_tensor request on eight positions: known ends, a mix of masks and tokens between them."""

    def build(track: str = "sequence", inputs: dict[str, Any] | None = None, **params: Any) -> dict[str, Any]:
        return {
            "model": "esm3-open-2024-03",
            "track": track,
            "inputs": {**dict.fromkeys(_NAMES), **(_PARTLY_MASKED if inputs is None else inputs)},
            "invalid_ids": [],
            "schedule": "cosine",
            "strategy": "entropy",
            "num_steps": 4,
            "temperature": 0,
            "temperature_annealing": track == "function",
            "top_p": 1,
            "condition_on_coordinates_only": True,
            **params,
        }

    return build


_NAMES = (
    *("sequence", "structure", "secondary_structure", "sasa", "function"),
    *("coordinates", "residue_annotation"),
)
_M = [0] * 8
_PARTLY_MASKED: dict[str, Any] = {
    "sequence": [0, 5, 32, 32, 7, 32, 32, 2],
    "structure": [4098, 17, 4096, 4096, 99, 4096, 4096, 4097],
    "secondary_structure": [0, 4, 0, 0, 10, 0, 0, 0],
    "sasa": [0, 18, 0, 0, 3, 0, 0, 0],
    "function": [_M, [4] * 8, _M, _M, [259] * 8, _M, _M, _M],
}
