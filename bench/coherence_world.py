"""Four workers in this process on two real servers, an upstream that waits when told to, and an administrator."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from bench.store import CacheServer
from gateway import endpoints
from gateway.adapters.access_log import NoAccessLog
from gateway.adapters.clock import SystemClock
from gateway.adapters.prometheus import PrometheusMeter
from gateway.adapters.redis_cache import RedisCache
from gateway.adapters.redis_connect import RedisStore, connect
from gateway.adapters.redis_directory import RedisDirectory
from gateway.adapters.redis_ledger import RedisLedger
from gateway.adapters.redis_namespaces import RedisNamespaces
from gateway.adapters.redis_purges import RedisPurges
from gateway.adapters.redis_run_counters import RedisRunCounters
from gateway.adapters.redis_throttle import RedisThrottle
from gateway.core import credentials, sealing
from gateway.core.audit import Event
from gateway.core.cache_plan import plan_for
from gateway.core.problems import Problem
from gateway.core.types import KeyRecord, Limits, Principal, Response
from gateway.core.upstream_key import UpstreamKey
from gateway.flow.context import RequestContext
from gateway.flow.purge import Purger
from gateway.flow.runtime import BackgroundTasks, Runtime
from gateway.ports import BodyRoom, UpstreamReply, UpstreamRequest
from gateway.settings import Settings
from gateway.wiring.assembly import Adapters, assemble, key_pepper
from gateway.wiring.cache_config import cache_config, parse_config

MASTER = b"a secret of this run alone" * 2
MASKS = 8
MODELS = ("esm3-open-2024-03", "esm3-small-2024-08")
PATH = "/api/v1/generate_tensor"


class ShiftedClock(SystemClock):
    """Its monotonic time can be moved on, so that nobody waits for a circuit breaker; the wall's is the machine's."""

    __slots__ = ("ahead_s",)

    def __init__(self) -> None:
        self.ahead_s = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self.ahead_s


class HoldingUpstream:
    """Fills the masks with a number, another one each time; waits before it answers a call that is to be held."""

    def __init__(self, clock: SystemClock) -> None:
        self.sent: dict[int, float] = {}
        self.answered: dict[int, float] = {}
        self.hold_next, self.reached = False, asyncio.Event()
        self.held: list[asyncio.Event] = []
        self._clock = clock

    async def send(self, request: UpstreamRequest) -> UpstreamReply:
        serial = len(self.sent) + 1
        self.sent[serial] = self._clock.now()
        if self.hold_next:
            self.hold_next, gate = False, asyncio.Event()
            self.held.append(gate)
            self.reached.set()
            await gate.wait()
        self.answered[serial] = self._clock.now()
        inputs = orjson.loads(request.body)["inputs"]
        filled = dict.fromkeys(inputs) | {"sequence": [0, *_digits(serial), 2]}
        return UpstreamReply(200, "application/json", None, orjson.dumps({"outputs": filled}))


def _digits(serial: int) -> list[int]:
    return [4 + serial // 20**place % 20 for place in range(MASKS)]


def serial_of(body: bytes) -> int:
    """Which of all answers this is."""
    digits = orjson.loads(body)["outputs"]["sequence"][1:-1]
    return sum((digit - 4) * 20**place for place, digit in enumerate(digits))


class MemoryAudit:
    """Records that nobody reads."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    async def append(self, event: Event) -> int:
        self.events.append(event)
        return len(self.events)


class Asked:
    """A request as the flow reads it."""

    method, query, path = "POST", "", PATH

    def __init__(self, body: bytes, headers: Mapping[str, str]) -> None:
        self._body, self._headers = body, {name.lower(): value for name, value in headers.items()}

    def header(self, name: str) -> str | None:
        return self._headers.get(name.lower())

    async def read(self, max_bytes: int, room: BodyRoom) -> bytes:
        room.try_take(len(self._body))
        return self._body


@dataclass
class Worker:
    """One worker: its flow, the clients of its stores, and its tasks."""

    adapters: Adapters
    cache: RedisCache
    clients: tuple[RedisStore, RedisStore]
    tasks: BackgroundTasks
    settings: Settings

    def __post_init__(self) -> None:
        self.flow = assemble(self.adapters, self.settings, MASTER, [UpstreamKey("lab", "up")])

    async def ask(self, body: bytes, headers: Mapping[str, str]) -> Response:
        context = RequestContext("r", self.adapters.runtime.clock.monotonic)
        try:
            return await self.flow.pipeline.handle(Asked(body, headers), context)
        except Problem as problem:
            return self.flow.responder.problem(problem, context)

    async def close(self) -> None:
        """As when its process ends: what is under way ends with it."""
        await self.tasks.drain(0.0)
        await self.tasks.drain(2.0)  # what was cancelled may settle its reservation
        for client in self.clients:
            await client.close()


@dataclass
class World:
    """The servers, and what is built on them."""

    state: CacheServer
    cache: CacheServer
    clock: ShiftedClock = field(default_factory=ShiftedClock)
    audit: MemoryAudit = field(default_factory=MemoryAudit)

    def __post_init__(self) -> None:
        self.upstream = HoldingUpstream(self.clock)
        self.settings = Settings.model_validate(
            {
                "models": dict.fromkeys(MODELS, 1.0),
                "upstream": {"url": "http://upstream"},
                "cache": {"lease_s": 1.0, "spot_check_fraction": 0.0},
            }
        )

    def worker(self) -> Worker:
        tasks = BackgroundTasks(lambda _: None)
        state = connect(self.state.url, timeout_s=1.0, name="state")
        cache = connect(self.cache.url, timeout_s=0.2, name="cache")
        cache_store = RedisCache(cache, self.clock, sealing.derive_key(MASTER, "leases"))
        return Worker(
            self._adapters(tasks, state, cache, cache_store), cache_store, (state, cache), tasks, self.settings
        )

    async def cache_key(self, worker: Worker, body: bytes, namespace: str | None) -> str:
        """As `cache explain` tells it to an administrator."""
        endpoint = endpoints.find(PATH)
        assert endpoint is not None
        call = endpoint.parse(body, "", parse_config(self.settings))
        purge_store, spaces = worker.adapters.purge_store, await worker.adapters.namespace_store.namespaces()
        state = await purge_store.purge_state(await purge_store.high_water())
        who = Principal(self.key("ada", 0)[0])
        asked = None if namespace is None else f"namespace={namespace}"
        plan = plan_for(call, who, cache_config(self.settings, MASTER), state, spaces.get, True, asked)
        assert plan.cache_key is not None
        return plan.cache_key

    def purger(self, worker: Worker) -> Purger:
        a = worker.adapters
        return Purger(
            purge_store=a.purge_store,
            cache=a.cache,
            namespace_store=a.namespace_store,
            audit=a.audit,
            clock=a.runtime.clock,
            models=tuple(self.settings.models),
        )

    def key(self, user: str, number: int) -> tuple[KeyRecord, str]:
        """A virtual key of this user, and the header that uses it."""
        key = credentials.mint(sealing.derive_key(MASTER, f"{user} {number}") * 2)
        digest = credentials.digest(key_pepper(MASTER), key)
        limits = Limits(requests_per_minute=1_000_000, burst=100_000, concurrent=100, units_per_day=10**9)
        return KeyRecord(key.public_id, digest, user, "lab", 0.0, limits=limits), f"Bearer {key.text}"

    def _adapters(
        self, tasks: BackgroundTasks, state: RedisStore, cache: RedisStore, cache_store: RedisCache
    ) -> Adapters:
        clock, meter = self.clock, PrometheusMeter("bench")
        directory = sealing.derive_key(MASTER, "directory")
        no_reader: Any = None  # no body here is large
        return Adapters(
            directory=RedisDirectory(state, directory, clock, meter),
            ledger=RedisLedger(state),
            cache=cache_store,
            purge_store=RedisPurges(cache, state, sealing.derive_key(MASTER, "purges"), clock, meter),
            namespace_store=RedisNamespaces(state, directory, clock, meter, 2**28),
            throttle=RedisThrottle(cache),
            run_counters=RedisRunCounters(state),
            upstream=self.upstream,
            audit=self.audit,
            access_log=NoAccessLog(),
            reader=no_reader,
            runtime=Runtime(clock, meter, tasks),
        )


@asynccontextmanager
async def opened(directory: Path) -> AsyncIterator[World]:
    """Both servers, until the end; the state store loses nothing when it is killed, the cache store everything."""
    for name in ("state", "cache"):
        (directory / name).mkdir()
    state = CacheServer(directory / "state", "--appendonly", "yes", "--appendfsync", "always", "--save", "")
    cache = CacheServer(directory / "cache")
    await state.start()
    await cache.start()
    try:
        yield World(state, cache)
    finally:
        await state.kill()
        await cache.kill()
