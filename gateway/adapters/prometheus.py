"""The metrics of `core.metrics` for Prometheus: counted here, rendered as text on request.

A process holds each series, one metric with one set of labels, as a row of doubles. A single process has them in its
own memory. A worker has them in two files of its *slot* (its number among the workers, not its process id), so that any
process can add up all slots, and a restarted worker continues its slot's counters. Counters never go backwards; gauges
of a restarted worker are unknown until it sets them.

The client library's own multi-process files are not used: it chooses them from the environment at import, keys them by
process id, has one way of merging per metric, and costs several times as much per increment. It does write the text.

A meter never waits, and fails only at the start or for a bug (an unknown metric, a wrong number of labels). When there
is no room for another series, that series is not counted; all known ones still are. A meter belongs to one thread.
"""

import fcntl
import mmap
import os
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from math import isnan, nan
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import orjson
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.core import Metric as Family
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector

from gateway.core.metric_series import all_series
from gateway.core.metrics import (
    BREAKER,
    BUILD_INFO,
    CACHE_STORE_BYTES,
    CACHE_STORE_KEYS,
    METRICS,
    SECONDS,
    STATE_CLOSED,
    STORE_UNUSABLE,
    UPSTREAM_KEYS,
    Metric,
)

BY_NAME = {metric.name: metric for metric in METRICS}
SUM_AT = len(SECONDS) + 1
"""A histogram's cells: one per bucket (each counts only its own bucket), then the sum of seconds."""
WIDTH = {"counter": 1, "gauge": 1, "histogram": SUM_AT + 1}
CELLS = 65_536
"""Room for about 3,000 histograms. Allocated at the start: a full disk later must not kill the process."""
FIRST_CELL = WIDTH["histogram"]
"""The cells before it absorb the numbers of series that found no room."""
MERGE_BY = {
    (BREAKER.name,): max,
    (BUILD_INFO.name,): max,
    (CACHE_STORE_BYTES.name,): max,
    (CACHE_STORE_KEYS.name,): max,
    (STORE_UNUSABLE.name,): max,
    (STATE_CLOSED.name,): max,
    (UPSTREAM_KEYS.name, "ready"): min,
    (UPSTREAM_KEYS.name, "cooling_down"): max,
    (UPSTREAM_KEYS.name, "disabled"): max,
}
"""Gauges of something that all workers observe: the worst (or latest) value is shown. All others are added up."""


class MetricsSlotTaken(Exception):
    """Another running process uses this slot."""


class Series(NamedTuple):
    """One metric with one set of labels, and its numbers."""

    metric: Metric
    labels: tuple[str, ...]
    numbers: Sequence[float]


class PrometheusMeter:
    """`ports.Meter`: of a single process, or with a directory, of worker number `slot`.

    `known` are the values of labels, such as endpoints, whose series this meter creates at zero. Where several meters
    are added up, one that knows them is enough.
    """

    def __init__(
        self,
        version: str,
        directory: Path | None = None,
        slot: int = 0,
        known: Mapping[str, Iterable[str]] = MappingProxyType({}),
    ) -> None:
        self._directory = directory
        self._offsets: dict[str, dict[tuple[str, ...], int]] = {name: {} for name in BY_NAME}
        self._used = FIRST_CELL
        self._names: int | None = None
        if directory is None:
            self._cells = memoryview(bytearray(8 * CELLS)).cast("d")
        else:
            self._cells = _map_values(directory / f"slot-{slot}.values")
            self._names = _open_names(directory / f"slot-{slot}.names")
            self._resume(directory / f"slot-{slot}.names")
        self._initialise(version, known)

    def count(self, metric: Metric, *labels: str, by: float = 1.0) -> None:
        """Add to a counter. `by=0` creates the series before its first event, so that `increase()` sees that."""
        if by < 0.0:
            raise ValueError(f"{metric.name} can only grow")
        at = self._offsets[metric.name].get(labels)
        self._cells[at if at is not None else self._allocate(metric, labels, "counter")] += by

    def observe(self, metric: Metric, seconds: float, *labels: str) -> None:
        """Put one duration into its bucket."""
        at = self._offsets[metric.name].get(labels)
        if at is None:
            at = self._allocate(metric, labels, "histogram")
        self._cells[at + bisect_left(metric.bounds, seconds)] += 1.0
        self._cells[at + SUM_AT] += seconds

    def gauge(self, metric: Metric, value: float, *labels: str) -> None:
        """Set the current value."""
        at = self._offsets[metric.name].get(labels)
        self._cells[at if at is not None else self._allocate(metric, labels, "gauge")] = value

    def render(self) -> tuple[bytes, str]:
        """The text for Prometheus and its media type: of all slots, or of a single process."""
        return render_slots(self._directory) if self._directory else _text(self._series())

    def close(self) -> None:
        """Release the slot. Its numbers stay; this meter must not be used again."""
        self._cells.release()
        if self._names is not None:
            os.close(self._names)
            self._names = None

    def _series(self) -> Iterator[Series]:
        for metric in METRICS:
            for labels, at in self._offsets[metric.name].items():
                if at >= FIRST_CELL:
                    yield Series(metric, labels, self._cells[at : at + WIDTH[metric.kind]].tolist())

    def _resume(self, path: Path) -> None:
        """Continue the counters of the slot's last worker; its gauges are unknown."""
        for metric, labels, at in _parse_names(path.read_bytes()):
            self._offsets[metric.name][labels] = at
            self._used = at + WIDTH[metric.kind]
            if metric.kind == "gauge":
                self._cells[at] = nan

    def _initialise(self, version: str, known: Mapping[str, Iterable[str]]) -> None:
        """Counters exist from the start: their first event must be seen as an increase."""
        for metric in METRICS:
            if metric.kind == "counter":
                for labels in all_series(metric, known):
                    self.count(metric, *labels, by=0.0)
        self.gauge(BUILD_INFO, 1.0, version)

    def _allocate(self, metric: Metric, labels: tuple[str, ...], kind: str) -> int:
        """Cells for a new series; cell 0, which is never rendered, where there is no room."""
        if metric.kind != kind or len(labels) != len(metric.labels):
            raise ValueError(f"{metric.name} is a {metric.kind} with the labels {metric.labels}")
        at = self._used
        if at + WIDTH[kind] > CELLS or not self._write_name(metric, labels, at):
            at = 0
        else:
            self._used += WIDTH[kind]
        self._offsets[metric.name][labels] = at
        return at

    def _write_name(self, metric: Metric, labels: tuple[str, ...], at: int) -> bool:
        """Write the series' name before its first number; False where that fails."""
        if self._names is None:
            return True
        line = orjson.dumps([metric.name, labels, at]) + b"\n"
        end = os.fstat(self._names).st_size
        try:
            if os.write(self._names, line) == len(line):
                return True
        except OSError:
            pass  # a full or lost disk loses numbers, but fails no request
        os.ftruncate(self._names, end)
        return False


def clear_slots(directory: Path) -> None:
    """Delete all slots: once, before the first worker starts, never between workers."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    for path in (*directory.glob("slot-*.names"), *directory.glob("slot-*.values")):
        path.unlink(missing_ok=True)


def render_slots(directory: Path) -> tuple[bytes, str]:
    """The text for Prometheus and its media type, all slots merged. Any process may call this."""
    merged: dict[tuple[str, ...], Series] = {}
    for path in sorted(directory.glob("slot-*.names")):
        for series in _slot_series(path):
            key = (series.metric.name, *series.labels)
            merged[key] = _merge(merged[key], series) if key in merged else series
    return _text(merged.values())


def _merge(one: Series, two: Series) -> Series:
    worst = MERGE_BY.get((one.metric.name, *one.labels)) or MERGE_BY.get((one.metric.name,))
    if worst is not None:
        return one._replace(numbers=[worst(one.numbers[0], two.numbers[0])])
    return one._replace(numbers=[a + b for a, b in zip(one.numbers, two.numbers, strict=True)])


def _slot_series(names: Path) -> Iterator[Series]:
    """The series of one slot. Names are read before values, so that each name read has its number."""
    named = list(_parse_names(names.read_bytes()))
    with names.with_suffix(".values").open("rb") as values:
        cells = memoryview(values.read()).cast("d")
    for metric, labels, at in named:
        numbers = cells[at : at + WIDTH[metric.kind]].tolist()
        if not isnan(numbers[0]):
            yield Series(metric, labels, numbers)


def _parse_names(lines: bytes) -> Iterator[tuple[Metric, tuple[str, ...], int]]:
    """The complete lines of a names file; a last line that a crash left incomplete is ignored."""
    for line in lines[: lines.rfind(b"\n") + 1].splitlines():
        name, labels, at = orjson.loads(line)
        yield BY_NAME[name], tuple(labels), at


def _open_names(path: Path) -> int:
    """The names file, locked, without the incomplete line that a crash may have left."""
    names = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        fcntl.flock(names, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(names)
        raise MetricsSlotTaken(path.stem) from None
    os.ftruncate(names, path.read_bytes().rfind(b"\n") + 1)
    return names


def _map_values(path: Path) -> "memoryview[float]":
    """The values file in memory, fully allocated: writing to a page that the disk has no room for kills the process."""
    values = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        os.posix_fallocate(values, 0, 8 * CELLS)
        return memoryview(mmap.mmap(values, 8 * CELLS)).cast("d")
    finally:
        os.close(values)


class _SeriesCollector(Collector):
    """Hands the series to the client library, which renders them."""

    def __init__(self, series: Iterable[Series]) -> None:
        self._series = series

    def collect(self) -> Iterator[Family]:
        families = {metric.name: _family(metric) for metric in METRICS}
        for series in self._series:
            _add(families[series.metric.name], series)
        return iter(families.values())


AnyFamily = CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily


def _family(metric: Metric) -> AnyFamily:
    shapes: dict[str, type[AnyFamily]] = {
        "counter": CounterMetricFamily,
        "gauge": GaugeMetricFamily,
        "histogram": HistogramMetricFamily,
    }
    return shapes[metric.kind](metric.name, metric.help, labels=metric.labels)


def _add(family: AnyFamily, series: Series) -> None:
    if isinstance(family, HistogramMetricFamily):
        counts = accumulate(series.numbers[:SUM_AT])
        family.add_metric(series.labels, list(zip(_bounds(series.metric), counts, strict=True)), series.numbers[SUM_AT])
    else:
        family.add_metric(series.labels, series.numbers[0])


def _bounds(metric: Metric) -> tuple[str, ...]:
    return (*(str(float(bound)) for bound in metric.bounds), "+Inf")


def _text(series: Iterable[Series]) -> tuple[bytes, str]:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_SeriesCollector(series))
    return generate_latest(registry), CONTENT_TYPE_LATEST
