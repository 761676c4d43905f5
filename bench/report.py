"""From measurements to what is said of them: ratios within a round, their medians, the bars, a table and JSON.

A ratio is taken between two sides that were measured one after the other; the median over rounds is what is shown.
The bars are those that the project has set itself. A bar that is not met is said to be so, and nothing else happens.
"""

import os
import platform
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from itertools import groupby
from statistics import median
from typing import Any

from bench.load import Figures
from bench.rounds import BESIDE, CacheStats, Scope

SHAPE = 1
HIT_CPU, HIT_MS, MISS_MS = 1.5, 1.0, 2.0
STORES_AND_UPSTREAM = ("worker", "state", "cache", "sandbox", "bare")
SERVER = {"hit": "worker", "miss": "worker", "bare": "bare", "sandbox": "sandbox"}


@dataclass(frozen=True, slots=True)
class Cell:
    """One side of a comparison: medians over rounds. `cpu_us` is per request, by process; `astray` the share of
    answers that were not what they were meant to be: refusals, hits that were misses, misses that were not stored."""

    what: str
    body: str
    connections: int
    cpu_us: dict[str, float]
    requests_per_s: float
    p50_ms: float
    p99_ms: float
    astray: float
    first_astray: str


@dataclass(frozen=True, slots=True)
class Ratio:
    """The gateway against what stood beside it, by rounds; the medians."""

    what: str
    beside: str
    body: str
    connections: int
    cpu: float
    cpu_low: float
    cpu_high: float
    requests_per_s: float
    added_p50_ms: float
    added_p99_ms: float


@dataclass(frozen=True, slots=True)
class Bar:
    """A promise, what was measured, and whether it holds. `connections` is the worst case that was measured."""

    promise: str
    body: str
    connections: int
    limit: float
    measured: float

    @property
    def met(self) -> bool:
        return self.measured <= self.limit


def cells(seen: Iterable[CacheStats]) -> list[Cell]:
    def place(one: CacheStats) -> tuple[str, int, str]:
        return one.body, one.connections, one.what

    return [_cell(list(group)) for _, group in groupby(sorted(seen, key=place), key=place)]


def _cell(group: Sequence[CacheStats]) -> Cell:
    first, all_figures = group[0], [one.figures for one in group]
    names = ("worker", "state", "cache", "sandbox") if first.what in BESIDE else (SERVER[first.what],)
    return Cell(
        what=first.what,
        body=first.body,
        connections=first.connections,
        cpu_us={name: round(median(_cpu_us(figures, name) for figures in all_figures), 1) for name in (*names, "load")},
        requests_per_s=round(median(figures.requests / figures.seconds for figures in all_figures), 1),
        p50_ms=round(median(figures.p50_ms for figures in all_figures), 3),
        p99_ms=round(median(figures.p99_ms for figures in all_figures), 3),
        astray=round(sum(figures.astray for figures in all_figures) / sum(f.requests for f in all_figures), 4),
        first_astray=next((figures.first_astray for figures in all_figures if figures.first_astray), ""),
    )


def _cpu_us(figures: Figures, name: str) -> float:
    return figures.cpu_s[name] / figures.requests * 1e6


def ratios(seen: Iterable[CacheStats]) -> list[Ratio]:
    by_place = {(one.body, one.connections, one.what, one.round): one.figures for one in seen}
    places = dict.fromkeys((body, connections, what) for body, connections, what, _ in by_place if what in BESIDE)
    numbers = sorted({number for *_, number in by_place})
    return [
        _ratio(place, [(by_place[*place, n], by_place[*place[:2], BESIDE[place[2]], n]) for n in numbers])
        for place in places
    ]


def _ratio(place: tuple[str, int, str], pairs: Sequence[tuple[Figures, Figures]]) -> Ratio:
    body, connections, what = place
    cpu = [_cpu_us(mine, "worker") / _cpu_us(other, BESIDE[what]) for mine, other in pairs]
    speed = [(mine.requests / mine.seconds) / (other.requests / other.seconds) for mine, other in pairs]
    return Ratio(
        what=what,
        beside=BESIDE[what],
        body=body,
        connections=connections,
        cpu=round(median(cpu), 2),
        cpu_low=round(min(cpu), 2),
        cpu_high=round(max(cpu), 2),
        requests_per_s=round(median(speed), 2),
        added_p50_ms=round(median(mine.p50_ms - other.p50_ms for mine, other in pairs), 3),
        added_p99_ms=round(median(mine.p99_ms - other.p99_ms for mine, other in pairs), 3),
    )


def bars(found: Sequence[Ratio]) -> list[Bar]:
    """CPU is promised at any number of connections, so the worst counts; added time at one connection."""
    made: list[Bar] = []
    for body in dict.fromkeys(ratio.body for ratio in found):
        hits = [ratio for ratio in found if ratio.body == body and ratio.what == "hit"]
        worst = max(hits, key=lambda ratio: ratio.cpu)
        made.append(Bar("a hit's CPU over the bare server's", body, worst.connections, HIT_CPU, worst.cpu))
        for ratio in found:
            if ratio.body == body and ratio.connections == 1:
                limit = HIT_MS if ratio.what == "hit" else MISS_MS
                promise = f"ms that a {ratio.what} adds to the {ratio.beside} server's p50"
                made.append(Bar(promise, body, 1, limit, ratio.added_p50_ms))
    return made


def as_json(seen: Sequence[CacheStats], scope: Scope, began: float) -> dict[str, Any]:
    """The shape is documented in docs/performance.md; `shape` changes when it does."""
    found = ratios(seen)
    sizes = {(one.body, one.what): one.figures.answer_bytes for one in seen}
    return {
        "shape": SHAPE,
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "took_s": round(time.monotonic() - began, 1),
        "machine": machine(),
        "scope": asdict(scope),
        "answer_bytes": {body: sizes[body, "hit"] for body in scope.bodies},
        "bars": [{**asdict(bar), "met": bar.met} for bar in bars(found)],
        "ratios": [asdict(ratio) for ratio in found],
        "cells": [asdict(cell) for cell in cells(seen)],
    }


def machine() -> dict[str, Any]:
    packages = ("aiohttp", "uvloop", "orjson", "pydantic", "redis", "numpy")
    return {
        "cpus": os.cpu_count(),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "load_average": round(os.getloadavg()[0], 2),
        **{name: version(name) for name in packages},
    }


def as_text(result: dict[str, Any]) -> str:
    """Ratios first, then the promises, then the absolute figures of this machine."""
    return "\n\n".join((_ratio_table(result["ratios"]), _bar_lines(result["bars"]), _cell_table(result["cells"])))


def _ratio_table(rows: Iterable[dict[str, Any]]) -> str:
    lines = [
        "The gateway over what stands beside it (medians of rounds)",
        f"{'':6}{'':6}{'conn':>5}  {'beside':8}{'CPU':>6}  {'(low-high)':13}{'req/s':>6}{'p50 +ms':>9}{'p99 +ms':>9}",
    ]
    for row in rows:
        low_high = f"({row['cpu_low']:.2f}-{row['cpu_high']:.2f})"
        lines.append(
            f"{row['what']:6}{row['body']:6}{row['connections']:>5}  {row['beside']:8}{row['cpu']:>6.2f}  {low_high:13}"
            f"{row['requests_per_s']:>6.2f}{row['added_p50_ms']:>9.3f}{row['added_p99_ms']:>9.3f}"
        )
    return "\n".join(lines)


def _bar_lines(rows: Iterable[dict[str, Any]]) -> str:
    lines = ["Promises"]
    for row in rows:
        verdict = "met    " if row["met"] else "NOT MET"
        where = f"{row['body']}, {row['connections']} connection{'s' if row['connections'] > 1 else ''}"
        lines.append(f"{verdict}  {row['promise']}: {row['measured']:g} of at most {row['limit']:g} ({where})")
    return "\n".join(lines)


def _cell_table(rows: Iterable[dict[str, Any]]) -> str:
    named = f"{'server':>9}{'state':>7}{'cache':>7}{'upstr.':>8}{'req/s':>9}{'p50 ms':>9}{'p99 ms':>9}{'astray':>8}"
    lines = ["On this machine: CPU us per request by process", f"{'':9}{'':6}{'conn':>5}{named}"]
    for row in rows:
        cpu = row["cpu_us"]
        mine = cpu[SERVER[row["what"]]]
        rest = [f"{cpu[name]:.0f}" if row["what"] in BESIDE else "" for name in ("state", "cache", "sandbox")]
        lines.append(
            f"{row['what']:9}{row['body']:6}{row['connections']:>5}{mine:>9.0f}{rest[0]:>7}{rest[1]:>7}{rest[2]:>8}"
            f"{row['requests_per_s']:>9.0f}{row['p50_ms']:>9.3f}{row['p99_ms']:>9.3f}"
            f"{row['astray']:>8.1%} {row['first_astray']}".rstrip()
        )
    return "\n".join(lines)
