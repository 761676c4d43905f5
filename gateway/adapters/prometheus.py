"""The meter that Prometheus reads: every number of core.metrics, counted here and shown as text on request.

A process keeps its numbers as rows of doubles, named by metric and labels. Alone, it keeps them in its own memory.
Beside other workers it keeps them in two files of its *slot* (its place among the workers, not its process id), so that
whichever process is asked can add up all slots, and a worker that is started again on a slot goes on counting where
the last one ended. Counters never go backwards; gauges of a restarted worker are unknown until it sets them.

The client library's own files are not used: it chooses them from the environment while it is imported, keys them by
process id, knows one way of merging per metric, and costs several times as much per increment. It writes the text.

Never waits, and fails only at the start or for a bug (a metric that is not in the table, a wrong number of labels).
When there is no room for a new set of labels, that set is not counted; all known ones go on. A meter belongs to one
thread. This module serves no HTTP and reads no environment.
"""

import fcntl
import mmap
import os
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from math import isnan, nan
from pathlib import Path
from typing import NamedTuple

import orjson
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.core import Metric as Family
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector

from gateway.core.metrics import (
    BREAKER,
    BUILD_INFO,
    CACHE_STORE_BYTES,
    CACHE_STORE_KEYS,
    METRICS,
    SECONDS,
    UPSTREAM_KEYS,
    Metric,
)

BY_NAME = {metric.name: metric for metric in METRICS}
SUM_AT = len(SECONDS) + 1
"""A histogram's cells: one per bucket (each counts only its own bucket), then the sum of seconds."""
WIDTH = {"counter": 1, "gauge": 1, "histogram": SUM_AT + 1}
CELLS = 65_536
"""Room for about 3,000 histograms. Taken from the disk at the start: a full disk later must not end the process."""
FIRST_CELL = WIDTH["histogram"]
"""The cells before it are a waste heap, for label sets that found no room."""
WORST = {
    (BREAKER.name,): max,
    (BUILD_INFO.name,): max,
    (CACHE_STORE_BYTES.name,): max,
    (CACHE_STORE_KEYS.name,): max,
    (UPSTREAM_KEYS.name, "ready"): min,
    (UPSTREAM_KEYS.name, "cooling_down"): max,
    (UPSTREAM_KEYS.name, "disabled"): max,
}
"""Gauges that every worker has a view of: the worst (or latest) is shown. All other gauges are parts and added up."""


class MetricsSlotTaken(Exception):
    """Another living process keeps its numbers in this slot."""


class Sample(NamedTuple):
    """One set of labels of one metric, and its numbers."""

    metric: Metric
    labels: tuple[str, ...]
    numbers: Sequence[float]


class PrometheusMeter:
    """Implements ports.Meter. Without a directory it is alone; with one it is worker number `slot` of many."""

    def __init__(self, version: str, directory: Path | None = None, slot: int = 0) -> None:
        self._directory = directory
        self._places: dict[str, dict[tuple[str, ...], int]] = {name: {} for name in BY_NAME}
        self._used = FIRST_CELL
        self._names: int | None = None
        if directory is None:
            self._cells = memoryview(bytearray(8 * CELLS)).cast("d")
        else:
            self._cells = _map_values(directory / f"slot-{slot}.values")
            self._names = _open_names(directory / f"slot-{slot}.names")
            self._take_over(directory / f"slot-{slot}.names")
        self._begin(version)

    def count(self, metric: Metric, *labels: str, by: float = 1.0) -> None:
        """Add to a counter. `by=0` makes a series known before its first event, so that its first rise is seen."""
        if by < 0.0:
            raise ValueError(f"{metric.name} can only grow")
        at = self._places[metric.name].get(labels)
        self._cells[at if at is not None else self._place(metric, labels, "counter")] += by

    def observe(self, metric: Metric, seconds: float, *labels: str) -> None:
        """Put one duration into its bucket."""
        at = self._places[metric.name].get(labels)
        if at is None:
            at = self._place(metric, labels, "histogram")
        self._cells[at + bisect_left(metric.bounds, seconds)] += 1.0
        self._cells[at + SUM_AT] += seconds

    def gauge(self, metric: Metric, value: float, *labels: str) -> None:
        """Set what is true now."""
        at = self._places[metric.name].get(labels)
        self._cells[at if at is not None else self._place(metric, labels, "gauge")] = value

    def render(self) -> tuple[bytes, str]:
        """The text for Prometheus and its media type: of all slots where there are many, else of this process."""
        return render_slots(self._directory) if self._directory else _text(self._rows())

    def close(self) -> None:
        """Let go of the slot. Its numbers stay; this meter must not be used again."""
        self._cells.release()
        if self._names is not None:
            os.close(self._names)
            self._names = None

    def _rows(self) -> Iterator[Sample]:
        for metric in METRICS:
            for labels, at in self._places[metric.name].items():
                if at >= FIRST_CELL:
                    yield Sample(metric, labels, self._cells[at : at + WIDTH[metric.kind]].tolist())

    def _take_over(self, path: Path) -> None:
        """Go on where the slot's last worker ended; what was true of it is not known of us."""
        for metric, labels, at in _named(path.read_bytes()):
            self._places[metric.name][labels] = at
            self._used = at + WIDTH[metric.kind]
            if metric.kind == "gauge":
                self._cells[at] = nan

    def _begin(self, version: str) -> None:
        """Counters without labels are there from the start: the first audit failure must be seen as a rise."""
        for metric in METRICS:
            if metric.kind == "counter" and not metric.labels:
                self.count(metric, by=0.0)
        self.gauge(BUILD_INFO, 1.0, version)

    def _place(self, metric: Metric, labels: tuple[str, ...], kind: str) -> int:
        """Cells for a set of labels that is new here; the waste heap where there is no room."""
        if metric.kind != kind or len(labels) != len(metric.labels):
            raise ValueError(f"{metric.name} is a {metric.kind} with the labels {metric.labels}")
        at = self._used
        if at + WIDTH[kind] > CELLS or not self._write_name(metric, labels, at):
            at = 0
        else:
            self._used += WIDTH[kind]
        self._places[metric.name][labels] = at
        return at

    def _write_name(self, metric: Metric, labels: tuple[str, ...], at: int) -> bool:
        """The name goes to the disk before the first number; False where the disk does not take it."""
        if self._names is None:
            return True
        line = orjson.dumps([metric.name, labels, at]) + b"\n"
        end = os.fstat(self._names).st_size
        try:
            if os.write(self._names, line) == len(line):
                return True
        except OSError:
            pass  # a full or lost disk costs numbers, never a request
        os.ftruncate(self._names, end)
        return False


def clear_slots(directory: Path) -> None:
    """Make an empty place for the slots: once, before the first worker of a service starts, never between workers."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    for path in (*directory.glob("slot-*.names"), *directory.glob("slot-*.values")):
        path.unlink(missing_ok=True)


def render_slots(directory: Path) -> tuple[bytes, str]:
    """The text for Prometheus and its media type, all slots merged. Any process may ask, whether it counts or not."""
    merged: dict[tuple[str, ...], Sample] = {}
    for path in sorted(directory.glob("slot-*.names")):
        for row in _slot_rows(path):
            key = (row.metric.name, *row.labels)
            merged[key] = _merge(merged[key], row) if key in merged else row
    return _text(merged.values())


def _merge(one: Sample, two: Sample) -> Sample:
    fold = WORST.get((one.metric.name, *one.labels)) or WORST.get((one.metric.name,))
    if fold is not None:
        return one._replace(numbers=[fold(one.numbers[0], two.numbers[0])])
    return one._replace(numbers=[a + b for a, b in zip(one.numbers, two.numbers, strict=True)])


def _slot_rows(names: Path) -> Iterator[Sample]:
    """Names are read before values: a name without its number would be a lie, a number without its name is not seen."""
    named = list(_named(names.read_bytes()))
    with names.with_suffix(".values").open("rb") as values:
        cells = memoryview(values.read()).cast("d")
    for metric, labels, at in named:
        numbers = cells[at : at + WIDTH[metric.kind]].tolist()
        if not isnan(numbers[0]):
            yield Sample(metric, labels, numbers)


def _named(lines: bytes) -> Iterator[tuple[Metric, tuple[str, ...], int]]:
    """What the complete lines of a names file say. A last line that was cut off by a crash is not there."""
    for line in lines[: lines.rfind(b"\n") + 1].splitlines():
        name, labels, at = orjson.loads(line)
        yield BY_NAME[name], tuple(labels), at


def _open_names(path: Path) -> int:
    """The names file, ours alone, without the unfinished line that a crash may have left."""
    names = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        fcntl.flock(names, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(names)
        raise MetricsSlotTaken(path.stem) from None
    os.ftruncate(names, path.read_bytes().rfind(b"\n") + 1)
    return names


def _map_values(path: Path) -> "memoryview[float]":
    """The values file in memory, with its room taken now: writing to a page that the disk lacks kills a process."""
    values = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        os.posix_fallocate(values, 0, 8 * CELLS)
        return memoryview(mmap.mmap(values, 8 * CELLS)).cast("d")
    finally:
        os.close(values)


class _Rows(Collector):
    """Rows in the shape that the client library writes as text."""

    def __init__(self, rows: Iterable[Sample]) -> None:
        self._rows = rows

    def collect(self) -> Iterator[Family]:
        families = {metric.name: _family(metric) for metric in METRICS}
        for row in self._rows:
            _add(families[row.metric.name], row)
        return iter(families.values())


AnyFamily = CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily


def _family(metric: Metric) -> AnyFamily:
    shapes: dict[str, type[AnyFamily]] = {
        "counter": CounterMetricFamily,
        "gauge": GaugeMetricFamily,
        "histogram": HistogramMetricFamily,
    }
    return shapes[metric.kind](metric.name, metric.help, labels=metric.labels)


def _add(family: AnyFamily, row: Sample) -> None:
    if isinstance(family, HistogramMetricFamily):
        counts = accumulate(row.numbers[:SUM_AT])
        family.add_metric(row.labels, list(zip(_bounds(row.metric), counts, strict=True)), row.numbers[SUM_AT])
    else:
        family.add_metric(row.labels, row.numbers[0])


def _bounds(metric: Metric) -> tuple[str, ...]:
    return (*(str(float(bound)) for bound in metric.bounds), "+Inf")


def _text(rows: Iterable[Sample]) -> tuple[bytes, str]:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Rows(rows))
    return generate_latest(registry), CONTENT_TYPE_LATEST
