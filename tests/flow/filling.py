"""A process of its own that fills one memory of a worker and says what it takes: `python -m tests.flow.filling WHAT N`.

Prints, as JSON, the bytes that the memory says it has, and by how much the process has grown. What is put in comes
from where it comes from in a worker: bodies from the parser, answers from the codec and the renderer, keys decoded.
"""

import asyncio
import gc
import json
import os
import random
import sys
from collections.abc import Callable
from hashlib import sha512
from itertools import count
from pathlib import Path

import orjson

from gateway import endpoints
from gateway.adapters import directory_codec
from gateway.adapters.clock import SystemClock
from gateway.core import cache_plan, credentials, entry_codec
from gateway.core.cache_plan import CacheConfig
from gateway.core.endpoint import ParseConfig
from gateway.core.purge_state import PurgeState
from gateway.core.types import Answer, Approval, DeterminismClass, KeyRecord, Principal
from gateway.flow.authenticate import KNOWN_BYTES, UNKNOWN_BYTES, Authenticator
from gateway.flow.local_cache import PLANS_BYTES, LocalCache
from gateway.flow.render import Renderer
from gateway.flow.runtime import BackgroundTasks, Runtime
from tests.fakes.stores import FakeDirectory
from tests.fakes.world import FakeMeter

LIMIT, LARGE_LIMIT = 16 * 2**20, 64 * 2**20
PEPPER, SECRET, MODEL = b"p" * 32, b"s" * 32, "esm3-medium-multimer-2024-09"
CHANCE = random.Random(1)
CONFIG = ParseConfig({MODEL: 1.0})
PLANS = CacheConfig(SECRET, "https://forge.example.org")
FOUND = endpoints.find("/api/v1/generate_tensor")
assert FOUND is not None
ENDPOINT = FOUND


def body(size: int) -> bytes:
    """A body of about this many bytes: tokens only, or from 100 kB on with coordinates."""
    residues = max(1, size // 1300 if size >= 100_000 else (size - 250) // 3)
    sequence = [0, *CHANCE.choices(range(4, 24), k=residues), 32, 2]
    inputs: dict[str, object] = {"sequence": sequence}
    if size >= 100_000:
        inputs["coordinates"] = [[[round(CHANCE.random() * 99, 3)] * 3 for _ in range(37)] for _ in sequence]
    plain = {"track": "sequence", "num_steps": 1, "temperature": 0, "strategy": "entropy"}
    return exactly(orjson.dumps({"model": MODEL, "inputs": inputs, **plain, "temperature_annealing": False}))


def exactly(content: bytes) -> bytes:
    """As a network library hands it out: in a buffer of its own length."""
    return bytes(bytearray(content))


class Calls:
    def __init__(self, size: int) -> None:
        self.size, self.limit = size, LIMIT if size < 100_000 else LARGE_LIMIT
        self.cache = LocalCache(FakeMeter(), self.limit, self.limit)

    def put(self) -> None:
        raw = body(self.size)
        self.cache.put_call("generate_tensor", "", raw, ENDPOINT.parse(raw, "", CONFIG))

    def said(self) -> int:
        return self.cache.sizes()["calls"]


class Plans(Calls):
    def __init__(self, size: int) -> None:
        super().__init__(size)
        self.limit = PLANS_BYTES

    def put(self) -> None:
        call = ENDPOINT.parse(body(self.size), "", CONFIG)
        who = Principal(KeyRecord("k", "d", f"user {CHANCE.random()}", "lab", 0.0))
        plan = cache_plan.plan_for(call, who, PLANS, PurgeState(1), lambda _: None, True, None)
        self.cache.put_plan(call, cache_plan.plan_scope(who, PLANS), plan)

    def said(self) -> int:
        return self.cache.sizes()["plans"]


class Answers(Calls):
    """Answers that this worker has computed and stored; with `read`, those that it has read from the store."""

    read = False

    def put(self) -> None:
        call = ENDPOINT.parse(body(600), "", CONFIG)
        tokens = [CHANCE.randrange(4096) for _ in range(self.size // 5)]
        content = exactly(orjson.dumps({"outputs": {"structure": tokens}}))
        answer = entry_codec.compress(Answer(content, CHANCE.random(), DeterminismClass.EXACT, 1.5, "upstream"))
        if self.read:
            answer = entry_codec.from_bytes(entry_codec.to_bytes(answer)) or answer
        who = Principal(KeyRecord("k", "d", "ada", "lab", 0.0))
        plan = cache_plan.plan_for(call, who, PLANS, PurgeState(1), lambda _: None, True, None)
        asyncio.run(Renderer(self.cache, SECRET).render(plan, call, answer, self.cache.moment()))

    def said(self) -> int:
        return self.cache.sizes()["answers"]


class AnswersRead(Answers):
    read = True


class Keys:
    """Known keys, each with `size` approvals; 0 of them, and every second key is unknown."""

    def __init__(self, size: int) -> None:
        self.size, self.limit = size, KNOWN_BYTES + (0 if size else UNKNOWN_BYTES)
        self.directory = _Decoding([])
        runtime = Runtime(SystemClock(), FakeMeter(), BackgroundTasks(print))
        self.authenticator = Authenticator(self.directory, runtime, PEPPER)
        self.numbers = count()

    def put(self) -> None:
        number = next(self.numbers)
        key = credentials.mint(sha512(b"%d" % number).digest()[:44])
        record = KeyRecord(key.public_id, credentials.digest(PEPPER, key), f"person{number}@lab.org", "lab", 0.0)
        by, reason = ("bea@lab.org", "carl@lab.org"), "toxin panel of the second half of the year"
        grants = [Approval(f"g{number}.{i}", record.user, by, reason, 0.0, 4e9, (MODEL,)) for i in range(self.size)]
        known = self.size > 0 or number % 2 == 0
        self.directory.rows = directory_codec.encode_key(record), directory_codec.encode_approvals(grants)
        self.directory.known = known
        try:
            asyncio.get_event_loop().run_until_complete(self.authenticator.authenticate(f"Bearer {key.text}"))
        except Exception:
            assert not known

    def said(self) -> int:
        return self.authenticator.bytes


class _Decoding(FakeDirectory):
    """Each look-up decodes anew, as from a store."""

    rows = b"", b""
    known = True

    async def find(self, public_id: str) -> tuple[KeyRecord, tuple[Approval, ...]] | None:
        record, grants = directory_codec.decode_key(self.rows[0]), directory_codec.decode_approvals(self.rows[1])
        assert record is not None
        assert grants is not None
        return (record, grants) if self.known else None


MEMORIES: dict[str, Callable[[int], Calls | Keys]] = {
    "calls": Calls,
    "plans": Plans,
    "answers": Answers,
    "answers_read": AnswersRead,
    "keys": Keys,
}


def rss() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def main(what: str, size: int) -> None:
    asyncio.set_event_loop(asyncio.new_event_loop())
    warm = MEMORIES[what](size)
    warm.put()
    del warm
    memory = MEMORIES[what](size)
    gc.collect()
    before, entries = rss(), 0
    while memory.said() < 0.97 * memory.limit:
        memory.put()
        entries += 1
    for _ in range(entries // 4):
        memory.put()  # others have to go
    gc.collect()
    print(json.dumps({"limit": memory.limit, "said": memory.said(), "grown": rss() - before}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
