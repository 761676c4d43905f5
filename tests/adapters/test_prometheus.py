"""The meter: what is counted is shown, across workers, restarts, crashes and full disks."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from math import nan
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from gateway.adapters.prometheus import CELLS, MetricsSlotTaken, PrometheusMeter, clear_slots, render_slots
from gateway.core.metrics import (
    AGES,
    AUDIT_FAILURES,
    AUDIT_RECORDS,
    AUTH_FAILURES,
    BREAKER,
    BUILD_INFO,
    CACHE_AGE,
    CACHE_BAD_ENTRIES,
    CACHE_STORE_BYTES,
    CACHE_STORE_KEYS,
    IN_FLIGHT,
    LATENCY,
    METRICS,
    POLICY,
    REQUESTS,
    SECONDS,
    STORE_ERRORS,
    UPSTREAM_KEYS,
    Metric,
)
from gateway.ports import Meter

Shown = dict[tuple[str, ...], float]


def shown(text: bytes) -> Shown:
    """Samples as a person reads them: (name, label values in the order of their names) -> number."""
    return {
        (sample.name, *(sample.labels[name] for name in sorted(sample.labels))): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


HITS = (REQUESTS.name, "generate_tensor", "hit")


def test_a_request_that_was_counted_is_shown_with_its_labels() -> None:
    meter = PrometheusMeter("1.2.3")
    meter.count(REQUESTS, "generate_tensor", "hit")
    meter.count(REQUESTS, "generate_tensor", "hit", by=2.0)
    meter.count(REQUESTS, "fold", "miss")
    text, media_type = meter.render()
    assert shown(text)[HITS] == 3.0
    assert shown(text)[REQUESTS.name, "fold", "miss"] == 1.0
    assert shown(text)[BUILD_INFO.name, "1.2.3"] == 1.0
    assert media_type.startswith("text/plain; version=")


def test_the_meter_is_the_one_that_the_flow_asks_for() -> None:
    meter: Meter = PrometheusMeter("1")
    meter.gauge(IN_FLIGHT, 4.0, "requests")
    meter.gauge(IN_FLIGHT, 3.0, "requests")
    assert isinstance(meter, PrometheusMeter)
    assert shown(meter.render()[0])[IN_FLIGHT.name, "requests"] == 3.0


def test_every_metric_of_the_table_is_announced_before_anything_has_happened() -> None:
    text = PrometheusMeter("1").render()[0].decode()
    assert all(f"# HELP {metric.name} " in text for metric in METRICS)
    assert all(f"# TYPE {metric.name} {metric.kind}\n" in text for metric in METRICS)


def test_the_first_audit_failure_is_seen_as_a_rise_from_zero() -> None:
    before = shown(PrometheusMeter("1").render()[0])
    assert before[AUDIT_FAILURES.name,] == 0.0
    assert before[CACHE_BAD_ENTRIES.name,] == 0.0


def test_every_series_of_a_counter_stands_at_zero_before_its_first_event(tmp_path: Path) -> None:
    """Eight refusals within one scrape interval are eight to `increase()`, and not the first value of a new series."""
    clear_slots(tmp_path)
    known = {"endpoint": ["fold", "encode"], "policy": ["concern"]}
    supervisor, worker = PrometheusMeter("1", tmp_path, 1, known), PrometheusMeter("1", tmp_path, 0)
    before = shown(render_slots(tmp_path)[0])
    for _ in range(8):
        worker.count(POLICY, "concern", "enforce", "refused")
        worker.count(AUDIT_RECORDS, "policy_refused")
        worker.count(AUTH_FAILURES, "unknown")
        worker.count(STORE_ERRORS, "state", "forged")
        worker.count(REQUESTS, "fold", "internal")
    after = shown(render_slots(tmp_path)[0])
    supervisor.close()
    worker.close()
    assert before.keys() == after.keys()
    rises = {key: after[key] - before[key] for key in after if after[key] != before[key]}
    assert set(rises.values()) == {8.0}
    assert {name for name, *_ in rises} == {
        metric.name for metric in (POLICY, AUDIT_RECORDS, AUTH_FAILURES, STORE_ERRORS, REQUESTS)
    }


@pytest.mark.parametrize(
    ("seconds", "first"), [(0.0, "0.0005"), (0.5, "0.5"), (0.5001, "1.0"), (300.0, "300.0"), (301.0, "+Inf")]
)
def test_a_duration_counts_in_its_bucket_and_every_larger_one(seconds: float, first: str) -> None:
    meter = PrometheusMeter("1")
    meter.observe(LATENCY, seconds, "generate_tensor", "total")
    numbers = shown(meter.render()[0])
    bounds = [*(str(float(bound)) for bound in SECONDS), "+Inf"]
    counts = [numbers[f"{LATENCY.name}_bucket", "generate_tensor", bound, "total"] for bound in bounds]
    assert counts == [0.0] * bounds.index(first) + [1.0] * (len(bounds) - bounds.index(first))
    assert numbers[f"{LATENCY.name}_sum", "generate_tensor", "total"] == seconds
    assert numbers[f"{LATENCY.name}_count", "generate_tensor", "total"] == 1.0


@pytest.mark.parametrize(
    ("seconds", "first"), [(0.2, "1.0"), (3600, "3600.0"), (86_401, "172800.0"), (7_776_001, "+Inf")]
)
def test_ages_have_bounds_of_their_own_from_a_second_to_ninety_days(seconds: float, first: str) -> None:
    meter = PrometheusMeter("1")
    meter.observe(CACHE_AGE, seconds, "exact")
    numbers = shown(meter.render()[0])
    bounds = [*(str(float(bound)) for bound in AGES), "+Inf"]
    # The labels in the order of their names: class, le.
    counts = [numbers[f"{CACHE_AGE.name}_bucket", "exact", bound] for bound in bounds]
    assert counts == [0.0] * bounds.index(first) + [1.0] * (len(bounds) - bounds.index(first))
    assert numbers[f"{CACHE_AGE.name}_sum", "exact"] == seconds


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_a_histogram_s_room_is_the_same_whatever_it_measures(metric: Metric) -> None:
    assert len(metric.bounds) == len(SECONDS)
    assert list(metric.bounds) == sorted(set(metric.bounds))


def test_labels_that_do_not_fit_the_row_are_a_bug_that_shows_at_once() -> None:
    meter = PrometheusMeter("1")
    with pytest.raises(ValueError, match="endpoint"):
        meter.count(REQUESTS, "generate_tensor")
    with pytest.raises(ValueError, match="is a gauge"):
        meter.count(IN_FLIGHT, "requests")
    with pytest.raises(ValueError, match="only grow"):
        meter.count(AUDIT_FAILURES, by=-1.0)
    with pytest.raises(KeyError):
        meter.count(Metric("esmgw_unheard_of_total", "counter", (), ""))
    assert shown(meter.render()[0]).keys() == shown(PrometheusMeter("1").render()[0]).keys()


def test_label_sets_without_room_are_not_counted_and_disturb_no_other() -> None:
    meter = PrometheusMeter("1")
    meter.count(REQUESTS, "generate_tensor", "hit")
    for number in range(CELLS):
        meter.count(REQUESTS, "made-up", str(number))
    meter.observe(LATENCY, 1.0, "generate_tensor", "total")
    meter.count(REQUESTS, "generate_tensor", "hit")
    numbers = shown(meter.render()[0])
    assert numbers[HITS] == 2.0
    assert CELLS - 100 < len(numbers) < CELLS
    assert set(numbers.values()) == {0.0, 1.0, 2.0}
    assert f"{LATENCY.name}_count" not in {name for name, *_ in numbers}


WORKER = """
import sys
from pathlib import Path
from gateway.adapters.prometheus import PrometheusMeter
from gateway.core.metrics import IN_FLIGHT, LATENCY, REQUESTS

meter = PrometheusMeter("1", Path(sys.argv[1]), int(sys.argv[2]))
print("ready", flush=True)
for line in sys.stdin:
    word, number = line.split()
    if word == "count":
        for _ in range(int(number)):
            meter.count(REQUESTS, "generate_tensor", "hit")
            meter.observe(LATENCY, 0.003, "generate_tensor", "total")
    else:
        meter.gauge(IN_FLIGHT, float(number), "requests")
    print("done", flush=True)
"""


class Worker:
    """A real process that counts on a slot, one command after the other."""

    def __init__(self, directory: Path, slot: int) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", WORKER, str(directory), str(slot)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.wait()

    def start(self, command: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()

    def wait(self) -> None:
        assert self.process.stdout is not None
        assert self.process.stdout.readline() in ("ready\n", "done\n")

    def do(self, command: str) -> None:
        self.start(command)
        self.wait()

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        with self.process:
            self.process.wait()


@contextmanager
def workers(directory: Path, *slots: int) -> Iterator[list[Worker]]:
    crew = [Worker(directory, slot) for slot in slots]
    try:
        yield crew
    finally:
        for worker in crew:
            if worker.process.returncode is None:
                worker.kill()


def hits(directory: Path) -> float:
    return shown(render_slots(directory)[0]).get(HITS, 0.0)


def test_workers_on_two_slots_add_up_and_a_killed_one_goes_on_where_it_ended(tmp_path: Path) -> None:
    clear_slots(tmp_path)
    with workers(tmp_path, 0, 1) as crew:
        for worker, in_flight in zip(crew, (5, 7), strict=True):
            worker.do("count 100")
            worker.do(f"gauge {in_flight}")
        assert hits(tmp_path) == 200.0
        assert shown(render_slots(tmp_path)[0])[IN_FLIGHT.name, "requests"] == 12.0
        crew[1].kill()
        assert hits(tmp_path) == 200.0
        with workers(tmp_path, 1) as (again,):
            numbers = shown(render_slots(tmp_path)[0])
            assert numbers[HITS] == 200.0
            assert numbers[IN_FLIGHT.name, "requests"] == 5.0
            again.do("count 1")
            again.do("gauge 1")
            numbers = shown(render_slots(tmp_path)[0])
    assert numbers[HITS] == 201.0
    assert numbers[f"{LATENCY.name}_count", "generate_tensor", "total"] == 201.0
    assert numbers[f"{LATENCY.name}_bucket", "generate_tensor", "0.002", "total"] == 0.0
    assert numbers[IN_FLIGHT.name, "requests"] == 6.0
    assert numbers[BUILD_INFO.name, "1"] == 1.0


def test_a_scrape_in_the_middle_of_counting_never_sees_a_counter_drop(tmp_path: Path) -> None:
    clear_slots(tmp_path)
    with workers(tmp_path, 0, 1) as crew:
        for worker in crew:
            worker.start("count 20000")
        seen = [hits(tmp_path) for _ in range(20)]
        crew[0].kill()
        with workers(tmp_path, 0) as (again,):
            again.start("count 20000")
            seen += [hits(tmp_path) for _ in range(20)]
            again.wait()
        crew[1].wait()
    seen.append(hits(tmp_path))
    assert seen == sorted(seen)
    assert seen[-1] >= 40000.0


def test_a_slot_has_one_worker_at_a_time(tmp_path: Path) -> None:
    clear_slots(tmp_path)
    first = PrometheusMeter("1", tmp_path, 3)
    with pytest.raises(MetricsSlotTaken, match="slot-3"):
        PrometheusMeter("1", tmp_path, 3)
    first.count(AUDIT_FAILURES)
    first.close()
    second = PrometheusMeter("1", tmp_path, 3)
    assert shown(second.render()[0])[AUDIT_FAILURES.name,] == 1.0
    second.close()


def test_the_worst_workers_view_of_the_upstream_is_shown(tmp_path: Path) -> None:
    clear_slots(tmp_path)
    views = {0: (3, 0, 0, 0.0), 1: (1, 1, 1, 1.0), 2: (2, 1, 0, 0.5)}
    meters = [PrometheusMeter("1", tmp_path, slot) for slot in views]
    for meter, (ready, resting, dead, breaker) in zip(meters, views.values(), strict=True):
        for state, number in (("ready", ready), ("cooling_down", resting), ("disabled", dead)):
            meter.gauge(UPSTREAM_KEYS, number, state)
        meter.gauge(BREAKER, breaker)
    numbers = shown(meters[0].render()[0])
    for meter in meters:
        meter.close()
    assert numbers[UPSTREAM_KEYS.name, "ready"] == 1.0
    assert numbers[UPSTREAM_KEYS.name, "cooling_down"] == 1.0
    assert numbers[UPSTREAM_KEYS.name, "disabled"] == 1.0
    assert numbers[BREAKER.name,] == 1.0


def test_what_every_worker_asks_the_cache_server_is_shown_once_and_not_added_up(tmp_path: Path) -> None:
    clear_slots(tmp_path)
    meters = [PrometheusMeter("1", tmp_path, slot) for slot in range(3)]
    for meter, keys in zip(meters, (40.0, 42.0, nan), strict=True):
        meter.gauge(CACHE_STORE_KEYS, keys, "stored")
        meter.gauge(CACHE_STORE_BYTES, 1000.0)
    numbers = shown(meters[0].render()[0])
    for meter in meters:
        meter.gauge(CACHE_STORE_KEYS, nan, "stored")
    later = shown(meters[0].render()[0])
    for meter in meters:
        meter.close()
    assert numbers[CACHE_STORE_KEYS.name, "stored"] == 42.0
    assert numbers[CACHE_STORE_BYTES.name,] == 1000.0
    assert (CACHE_STORE_KEYS.name, "stored") not in later, "what nobody knows is not shown"


def test_a_name_that_a_crash_cut_off_is_forgotten_and_the_rest_stands(tmp_path: Path) -> None:
    clear_slots(tmp_path)
    meter = PrometheusMeter("1", tmp_path, 0)
    meter.count(REQUESTS, "generate_tensor", "hit")
    meter.close()
    with (tmp_path / "slot-0.names").open("ab") as names:
        names.write(b'["esmgw_requests_total",["fo')
    before = shown(render_slots(tmp_path)[0])
    assert before[HITS] == 1.0
    again = PrometheusMeter("1", tmp_path, 0)
    again.count(REQUESTS, "fold", "miss")
    again.count(REQUESTS, "generate_tensor", "hit")
    numbers = shown(again.render()[0])
    again.close()
    assert numbers == before | {HITS: 2.0, (REQUESTS.name, "fold", "miss"): 1.0}


FULL_DISK = """
import resource, sys
from pathlib import Path
from gateway.adapters.prometheus import PrometheusMeter
from gateway.core.metrics import REQUESTS

resource.setrlimit(resource.RLIMIT_FSIZE, (8 * 65536, resource.RLIM_INFINITY))
meter = PrometheusMeter("1", Path(sys.argv[1]), 0)
for round in range(2):
    for number in range(20_000):
        meter.count(REQUESTS, "generate_tensor", f"made-up-{number}")
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
meter.count(REQUESTS, "generate_tensor", "after", by=2.0)
"""


def test_a_disk_that_takes_no_more_costs_numbers_and_never_the_worker(tmp_path: Path) -> None:
    clear_slots(tmp_path)
    subprocess.run([sys.executable, "-c", FULL_DISK, str(tmp_path)], check=True)
    numbers = shown(render_slots(tmp_path)[0])
    counted = [value for (name, *_), value in numbers.items() if name == REQUESTS.name]
    assert 5_000 < len(counted) < 20_000
    assert set(counted) == {2.0}
    assert (REQUESTS.name, "generate_tensor", "after") in numbers


def test_a_new_service_starts_from_nothing_and_touches_no_strange_file(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    meter = PrometheusMeter("1", tmp_path, 7)
    meter.count(AUDIT_FAILURES)
    meter.close()
    clear_slots(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]
    assert AUDIT_FAILURES.name not in {name for name, *_ in shown(render_slots(tmp_path)[0])}


def test_only_the_service_can_read_its_numbers(tmp_path: Path) -> None:
    directory = tmp_path / "metrics"
    clear_slots(directory)
    PrometheusMeter("1", directory, 0).close()
    assert directory.stat().st_mode & 0o077 == 0
    assert all(path.stat().st_mode & 0o077 == 0 for path in directory.iterdir())
