"""What the workers take while they are attacked: memory, descriptors, CPU, and whether they are still the same ones."""

import asyncio
import contextlib
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from bench.served import Served

EVERY_S: Final = 0.25
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")
# A heap that is used as before still moves by this much.
SLACK_MB: Final = 8.0
GROWS: Final = 1.1


@dataclass(frozen=True, slots=True)
class Sample:
    """At one moment, by worker: resident memory in MiB and open descriptors."""

    at: float
    rss_mb: dict[int, float]
    descriptors: dict[int, int]


def sample(workers: Sequence[int]) -> Sample:
    rss: dict[int, float] = {}
    descriptors: dict[int, int] = {}
    for pid in workers:
        # A worker may end between being found and being looked at.
        with contextlib.suppress(OSError):
            pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
            rss[pid], descriptors[pid] = pages * _PAGE / 2**20, len(os.listdir(f"/proc/{pid}/fd"))
    return Sample(time.monotonic(), rss, descriptors)


@dataclass(slots=True)
class Resources:
    """Samples of a gateway's workers, four a second, while `watching` runs."""

    gateway: Served
    samples: list[Sample] = field(default_factory=list)
    first: frozenset[int] = frozenset()

    async def watching(self) -> None:
        self.first = frozenset(self.gateway.workers)
        while True:
            self.samples.append(sample(self._workers()))
            await asyncio.sleep(EVERY_S)

    def _workers(self) -> list[int]:
        try:
            return self.gateway.workers
        except OSError:  # one ended while its children were read
            return []

    def as_json(self) -> dict[str, Any]:
        """Memory of the largest worker at any time, of all of them at the end, and whether it stopped growing."""
        totals = [sum(one.rss_mb.values()) for one in self.samples]
        return {
            "rss_mb_first": round(totals[0], 1),
            "rss_mb_last": round(totals[-1], 1),
            "rss_mb_most_of_one": round(max(max(one.rss_mb.values(), default=0.0) for one in self.samples), 1),
            "rss_mb_by_second": [round(total) for total in totals[:: int(1 / EVERY_S)]],
            "flat": flat(totals),
            "descriptors_most_of_one": max(max(one.descriptors.values(), default=0) for one in self.samples),
            "descriptors_last": sum(self.samples[-1].descriptors.values()),
            "workers_died": len(self.first - set(self.samples[-1].rss_mb)),
        }


def flat(totals: Sequence[float]) -> bool:
    """Whether the last third of the time needed no more than the time before it had, but for a tenth and 8 MiB."""
    third = max(1, len(totals) // 3)
    return max(totals[-third:]) <= GROWS * max(totals[:-third] or totals) + SLACK_MB
