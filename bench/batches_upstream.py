"""What goes wrong at the upstream while a batch runs, and for how long; and the calls that a batch is made of.

The sandbox's rules have no duration, so this process sets them and takes them back in time.
"""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import orjson

from bench.asking import Line, address_of, request
from bench.batches_client import BatchTask
from bench.bodies import PATH, SERIAL_BYTES, serial, small
from bench.processes import BrokenError

Rule = Mapping[str, Any]
LETTERS: Final = "ACDEFGHIKLMNPQRSTVWY"
RESIDUES: Final = 48
MASKED: Final = 24
KINDS: Final = ("letters", "tensor")
# A refusal takes no computing.
AT_ONCE_S: Final = 0.01
EVERY: Final = 20


@dataclass(frozen=True, slots=True)
class Case:
    """One misfortune. `lasts_s` 0: until its rules are used up. `rules` are made for a number of tasks and a latency
    in seconds."""

    what: str
    lasts_s: float
    rules: Callable[[int, float], Sequence[Rule]]


def _always(**fault: Any) -> Callable[[int, float], Sequence[Rule]]:
    return lambda _tasks, _latency_s: [{"latency_s": AT_ONCE_S, **fault}]


def _every_twentieth(tasks: int, latency_s: float) -> Sequence[Rule]:
    """For more calls than the batch can need."""
    served, refused = {"latency_s": latency_s, "times": EVERY - 1}, {"status": 429, "retry_after": 5, "times": 1}
    return [served, refused] * (2 + 2 * tasks // EVERY)


CASES: Final = {
    "refuses": Case("429 with Retry-After 5, for 5 s", 5, _always(status=429, retry_after=5)),
    "fails-502": Case("502 for 1 s", 1, _always(status=502)),
    "fails-500": Case("500 for 1 s", 1, _always(status=500)),
    "fails-503": Case("503 for 1 s", 1, _always(status=503)),
    "refuses-one": Case("429 with Retry-After 5, once", 0, _always(status=429, retry_after=5, times=1)),
    "loses-key": Case("401 for 10 s", 10, _always(status=401)),
    "fails-six": Case("502 six times", 0, _always(status=502, times=6)),
    "drops": Case("connections dropped for 1 s", 1, _always(drop="before_work")),
    "refuses-silently": Case("429 without Retry-After, for 3 s", 3, _always(status=429)),
    "unpaid": Case("402 for 5 s", 5, _always(status=402)),
    "refuses-some": Case("429 with Retry-After 5, every 20th call", 0, _every_twentieth),
}


class Faults:
    """The sandbox's rules, over HTTP."""

    def __init__(self, url: str) -> None:
        self._url = url

    async def add(self, rules: Sequence[Rule]) -> None:
        await self._ask("POST", json.dumps({"rules": [dict(rule) for rule in rules]}).encode())

    async def clear(self) -> None:
        await self._ask("DELETE")

    async def _ask(self, method: str, body: bytes = b"") -> None:
        line = await Line.open(address_of(self._url))
        reply = await line.ask(request(self._url, "/__sandbox/faults", body=body, method=method))
        line.close()
        if reply is None or reply.status != 200:
            raise BrokenError(f"the sandbox did not take the fault: {reply.body[:300]!r}" if reply else "no sandbox")


@asynccontextmanager
async def happening(url: str, rules: Sequence[Rule], lasts_s: float) -> AsyncIterator[None]:
    """These faults from now on, for as long as they last; none after the block."""
    faults = Faults(url)
    await faults.add(rules)
    ending = asyncio.create_task(_end(faults, lasts_s))
    try:
        yield
    finally:
        ending.cancel()
        await asyncio.gather(ending, return_exceptions=True)
        await faults.clear()


async def _end(faults: Faults, lasts_s: float) -> None:
    if lasts_s:
        await asyncio.sleep(lasts_s)
        await faults.clear()


def batch(tasks: int, kinds: Sequence[str] = KINDS, first: int = 0) -> list[BatchTask]:
    """So many distinct calls, of these kinds in turn: `letters` are drawn and never kept, `tensor` are cold."""
    made = {"letters": letters, "tensor": tensor}
    return [made[kinds[number % len(kinds)]](first + number) for number in range(tasks)]


def letters(number: int, steps: int = 6) -> BatchTask:
    """`generate` at temperature 0.7, as the SDK writes it."""
    chance = random.Random(number)
    known = "".join(chance.choice(LETTERS) for _ in range(RESIDUES - MASKED))
    body = {
        "model": "esm3-open-2024-03",
        "inputs": {"sequence": known + "_" * MASKED, "secondary_structure": None, "sasa": None, "coordinates": None},
        "track": "sequence",
        "invalid_ids": [],
        "schedule": "cosine",
        "num_steps": steps,
        "temperature": 0.7,
        "top_p": 1.0,
        "condition_on_coordinates_only": True,
        "strategy": "random",
        "temperature_annealing": True,
        "potential_sequence_of_concern": False,
    }
    return BatchTask("/api/v1/generate", orjson.dumps(body))


def tensor(number: int) -> BatchTask:
    """`generate_tensor` at temperature 0 with a protein of its own."""
    body = small()
    return BatchTask(PATH, body.text[: body.serial_at] + serial(number) + body.text[body.serial_at + SERIAL_BYTES :])
