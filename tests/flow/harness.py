"""A whole gateway on the memory adapters, for tests that ask what happened and in which order."""

import asyncio
import selectors
from collections.abc import Awaitable, Callable, Mapping
from hashlib import sha512
from typing import Any
from urllib.parse import parse_qsl

import orjson

from gateway.core import credentials, tracks
from gateway.core.problems import Problem
from gateway.core.tracks import TRACKS
from gateway.core.types import (
    Answer,
    Approval,
    Call,
    Determinism,
    DeterminismClass,
    KeyRecord,
    Limits,
    Namespace,
    Principal,
    Response,
)
from gateway.core.upstream_key import UpstreamKey
from gateway.flow.context import RequestContext
from gateway.flow.runtime import BackgroundTasks, Runtime
from gateway.ports import BodyRoom, UpstreamReply, UpstreamRequest
from gateway.sandbox.answers import ENDPOINTS, Asked
from gateway.sandbox.sampler import all_masked
from gateway.settings import Settings
from gateway.wiring.assembly import Adapters, assemble, key_pepper
from gateway.wiring.cache_config import parse_config
from tests.fakes.cache import FakeCache
from tests.fakes.namespaces import FakeNamespaces, FakePurges
from tests.fakes.reader import FakeReader
from tests.fakes.stores import FakeLedger, Journal
from tests.fakes.world import FakeClock
from tests.fakes.world import FakeWorld as FakeWorld

MASTER = b"m" * 32


def background_tasks() -> BackgroundTasks:
    """Work whose errors fail the test that awaits it, and are printed otherwise."""
    return BackgroundTasks(print)


KEY = credentials.mint(bytes(range(44)))
BODY: dict[str, Any] = {
    "model": "esm3-open-2024-03",
    "inputs": {"sequence": [0, 32, 5, 32, 2]},
    "track": "sequence",
    "num_steps": 2,
    "temperature": 0,
    "strategy": "entropy",
    "temperature_annealing": False,
}


class Raw:
    """A request as the flow reads it."""

    def __init__(self, body: bytes, path: str, headers: Mapping[str, str], method: str = "POST") -> None:
        self.body, self.path, self.method, self.query = body, path, method, ""
        self.headers = {name.lower(): value for name, value in headers.items()}
        self.was_read = False

    def header(self, name: str) -> str | None:
        return self.headers.get(name.lower())

    async def read(self, max_bytes: int, room: BodyRoom) -> bytes | None:
        if len(self.body) > max_bytes:
            return None
        if not room.try_take(len(self.body)):
            await room.take(len(self.body))
        self.was_read = True
        return self.body


def answering(request: UpstreamRequest) -> UpstreamReply:
    """A fit answer; a fresh number in each tells them apart."""
    return json_reply({**answer_to(request), "serial": id(request)})


def json_reply(tree: Any) -> UpstreamReply:
    return UpstreamReply(200, "application/json", None, orjson.dumps(tree, option=orjson.OPT_SERIALIZE_NUMPY))


def answer_to(request: UpstreamRequest) -> dict[str, Any]:
    """What a good upstream answers: of tokens every mask filled, of anything else what the sandbox says."""
    body, (path, _, query) = orjson.loads(request.body), request.target.partition("?")
    endpoint = path.rpartition("/")[2]
    if endpoint != "generate_tensor":
        return ENDPOINTS[endpoint](Asked(body, dict(parse_qsl(query)))).answer
    return {"outputs": {**body["inputs"], body["track"]: filled(body)}}


def filled(body: Mapping[str, Any]) -> list[Any]:
    """The generated track with one ordinary token at every mask."""
    track, inputs = TRACKS[body["track"]], body["inputs"]
    token = track.ordinary.start + 1
    given = inputs.get(track.name)
    if given is None or (track.name == "structure" and inputs.get("coordinates") is not None):
        given = all_masked(track, tracks.length(inputs))
    mask: Any = track.mask if track.depth is None else [track.mask] * track.depth
    drawn: Any = token if track.depth is None else [token] * track.depth
    return [given[0], *(drawn if found == mask else found for found in given[1:-1]), given[-1]]


def serial(response: Response) -> int:
    """Which of all answers of the upstream this one is."""
    assert response.status == 200, response.body
    number: int = orjson.loads(response.body)["serial"]
    return number


def slug(response: Response) -> str:
    """The name of the problem that this response is."""
    assert response.media_type == "application/problem+json", response.status
    return str(orjson.loads(response.body)["type"]).rsplit(":", 1)[-1]


def status_of(response: Response) -> str:
    """What Cache-Status says before the detail."""
    return response.headers["Cache-Status"].removeprefix("esm-gateway; ").partition("; detail=")[0]


class Harness:
    """The gateway with one user, one key, two upstream keys (one for sequences of concern)."""

    def __init__(
        self,
        settings: Mapping[str, Any] | None = None,
        limits: Limits | None = None,
        memory: FakeWorld | None = None,
    ) -> None:
        self.settings = Settings.model_validate({"upstream": {"url": "http://upstream"}, **(settings or {})})
        self.memory = memory or FakeWorld()
        self.memory.upstream.answer = answering
        self.tasks = background_tasks()
        self.add_key(limits or Limits())
        self.upstream_keys = [UpstreamKey("plain", "up-plain"), UpstreamKey("marked", "up-marked", concern=True)]
        m = self.memory
        self.reader = FakeReader(parse_config(self.settings))
        adapters = Adapters(
            directory=m.directory,
            ledger=m.ledger,
            cache=m.cache,
            purge_store=m.purge_store,
            namespace_store=m.namespace_store,
            throttle=m.throttle,
            run_counters=m.run_counters,
            upstream=m.upstream,
            audit=m.audit,
            access_log=m.access,
            reader=self.reader,
            runtime=Runtime(m.clock, m.meter, self.tasks),
        )
        self.flow = assemble(adapters, self.settings, MASTER, self.upstream_keys)

    def add_key(self, limits: Limits, **changes: Any) -> None:
        digest = credentials.digest(key_pepper(MASTER), KEY)
        record = KeyRecord(KEY.public_id, digest, "ada", "proteins", created=0.0, limits=limits, **changes)
        self.memory.directory.records[KEY.public_id] = record
        self.memory.directory.changes += 1

    def person(self, user: str, team: str = "proteins", **changes: Any) -> dict[str, str]:
        """A key of somebody else, or a second one of Ada's; answers the header that uses it."""
        key = credentials.mint(sha512(f"{user} {team} {changes!r}".encode()).digest())
        digest = credentials.digest(key_pepper(MASTER), key)
        self.memory.directory.records[key.public_id] = KeyRecord(key.public_id, digest, user, team, 0.0, **changes)
        self.memory.directory.changes += 1
        return {"authorization": f"Bearer {key.text}"}

    def approval(self, **changes: Any) -> None:
        values: dict[str, Any] = {"approved_by": ("bea", "carl"), "reason": "r", "created": 0.0, "expires": 4e9}
        approval = Approval("g1", "ada", **{**values, **changes})
        self.memory.directory.granted["ada"] = {"g1": approval}
        self.memory.directory.changes += 1

    async def ask(
        self, body: Mapping[str, Any] | bytes | None = None, path: str = "/api/v1/generate_tensor", /, **headers: str
    ) -> Response:
        """One request, as `web.proxy` would handle it; `cache_control="no-cache"` becomes that header."""
        raw = self.raw(body, path, **headers)
        context = RequestContext("r1", self.memory.clock.monotonic)
        try:
            response = await self.flow.pipeline.handle(raw, context)
        except Problem as problem:
            response = self.flow.responder.problem(problem, context)
        self.flow.responder.account(context, response)
        return response

    def raw(self, body: Mapping[str, Any] | bytes | None, path: str, **headers: str) -> Raw:
        content = body if isinstance(body, bytes) else orjson.dumps({**BODY, **(body or {})})
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return Raw(content, path, {"authorization": f"Bearer {KEY.text}", "content-type": "application/json", **named})

    async def later(self, seconds: float) -> None:
        """Time goes on, and the watch has looked."""
        self.memory.clock.advance(seconds)
        await self.flow.poller.poll()

    async def namespace(self, name: str, *, frozen: bool = False) -> None:
        """A namespace as it is now; it is made where it is missing."""
        namespace_store, now = self.memory.namespace_store, self.memory.clock.now()
        await namespace_store.create(Namespace(name, now))
        if frozen:
            await namespace_store.freeze(name, now)
        await self.flow.poller.poll()

    def sent(self) -> int:
        """How many calls have gone upstream."""
        return len(self.memory.upstream.requests)

    def lose_cache(self) -> None:
        """The cache store is gone, with all that lies in it."""
        for part in (self.memory.cache, self.memory.purge_store):
            part.lost.add("*")

    async def opened(self) -> "Harness":
        await self.flow.poller.poll()
        self.memory.journal.clear()
        return self

    async def settled(self) -> list[str]:
        """Wait for what goes on behind the answer, then the names of all effects so far, in order."""
        await self.tasks.drain(5.0)
        return [name for name in self.memory.effects() if not name.startswith("clock.")]


class LoopClock(FakeClock):
    """The clock of a loop below: sleepers and the loop's own timers live in one time."""

    def __init__(self, journal: Journal) -> None:
        super().__init__(journal, automatic=False)

    async def sleep(self, seconds: float) -> None:
        self.journal.append(("clock.sleep", f"{seconds:g}"))
        await asyncio.sleep(max(0.0, seconds))


class _Jumping(selectors.DefaultSelector):
    """Where everybody waits, time goes on to the next timer; where nobody will ever be woken, the test ends."""

    def __init__(self, clock: LoopClock) -> None:
        super().__init__()
        self._clock = clock

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise AssertionError("everybody waits, and nothing will ever happen")
        self._clock.advance(timeout)
        return super().select(0)


class _Loop(asyncio.SelectorEventLoop):
    def __init__(self, clock: LoopClock) -> None:
        self._clock = clock
        super().__init__(_Jumping(clock))
        # A float of seconds since the epoch is no finer than this; asyncio would wait for ever for a smaller step.
        self._clock_resolution = 1e-6

    def time(self) -> float:
        return self._clock.time


class Parts(FakeWorld):
    """The memory adapters around single parts of the flow, in a time in which hours pass at once and in order."""

    clock: LoopClock

    def __init__(self) -> None:
        super().__init__()
        self.clock = LoopClock(self.journal)
        self.ledger = FakeLedger(self.journal, self.clock.now)
        self.cache = FakeCache(self.journal, self.clock.now)
        self.purge_store = FakePurges(self.journal, self.clock.now)
        self.namespace_store = FakeNamespaces(self.journal, now=self.clock.now)

    def play(self, act: Callable[[BackgroundTasks], Awaitable[None]]) -> None:
        """Run `act`, then all that goes on behind it; none of that may be left an hour later."""

        async def whole() -> None:
            tasks = background_tasks()
            await act(tasks)
            assert await tasks.drain(3600.0) == 0

        with asyncio.Runner(loop_factory=lambda: _Loop(self.clock)) as runner:
            runner.run(whole())

    def runtime(self, tasks: BackgroundTasks | None = None) -> Runtime:
        """What every part of the flow gets; tasks of its own where none are given."""
        return Runtime(self.clock, self.meter, tasks or background_tasks())

    def details(self, effect: str) -> list[tuple[str, ...]]:
        """What was written down of every effect of this name, in order."""
        return [entry[1:] for entry in self.journal if entry[0] == effect]


async def turns(count: int = 20) -> None:
    """Let everybody who can go on do so; no time passes."""
    for _ in range(count):
        await asyncio.sleep(0)


FIT = b'{"outputs":{"sequence":[0,7,5,7,2]}}'
"""An answer to `a_call()`."""


def a_call(
    units: int = 10, *, flagged: bool = False, name: str = "call", cls: DeterminismClass = DeterminismClass.EXACT
) -> Call:
    target, canonical = "/api/v1/generate_tensor", name.encode().ljust(32, b".")
    body = b'{"track":"sequence","condition_on_coordinates_only":true,"inputs":{"sequence":[0,32,5,32,2]}}'
    return Call("generate_tensor", target, "esm3", flagged, body, canonical, units, 5, Determinism(cls, "rule"))


def an_answer(
    body: bytes = FIT, created: float = 1_800_000_000.0, cls: DeterminismClass = DeterminismClass.EXACT
) -> Answer:
    return Answer(body, created, cls)


def a_principal(limits: Limits | None = None, *, user: str = "ada", public_id: str = "k1", **more: Any) -> Principal:
    approvals = more.pop("approvals", ())
    return Principal(KeyRecord(public_id, "0" * 64, user, "lab", 0.0, limits=limits or Limits(), **more), approvals)
