"""A whole demo of two workers whose processes are stopped, killed, and kept from being started again."""

import http.client
import json
import os
import resource
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from gateway.cli.demo_text import BODY
from gateway.core.metrics import WORKER_RESTARTS
from tests.cli.started import Started, fetch, started, until

SERVED_AGAIN_S = 5.0


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Started]:
    with started("demo", "--port", "0", "--data-dir", str(tmp_path / "data"), "--json") as one:
        yield one.ready()


class Caller:
    """One that keeps its connection, and opens another where that one is lost or silent."""

    def __init__(self, demo: Started, patience_s: float) -> None:
        self.address, self.patience_s = urlsplit(demo.told["url"]).netloc, patience_s
        self.headers = {"Authorization": f"Bearer {demo.told['key']}", "Content-Type": "application/json"}
        self.connect()

    def connect(self) -> None:
        self.connection = http.client.HTTPConnection(self.address, timeout=self.patience_s)

    def ask(self) -> int:
        self.connection.request("POST", "/api/v1/generate_tensor", json.dumps(BODY), self.headers)
        answer = self.connection.getresponse()
        answer.read()
        return answer.status

    def served_after(self, began: float) -> float:
        """Seconds from `began` until it has an answer."""
        while True:
            try:
                assert self.ask() == 200
                return time.monotonic() - began
            except (OSError, http.client.HTTPException):
                self.connection.close()
                self.connect()


def workers(demo: Started) -> list[int]:
    return sorted(demo.those(" worker "))


def restarts(demo: Started, reason: str) -> float:
    page = fetch(demo.told["metrics_url"])[2].decode()
    (line,) = (line for line in page.splitlines() if line.startswith(f'{WORKER_RESTARTS.name}{{reason="{reason}"}}'))
    return float(line.split()[1])


def test_callers_of_a_stopped_worker_are_served_again_within_five_seconds(demo: Started) -> None:
    first, second = workers(demo)
    # Those with kept connections never give up by themselves; new ones try again after a second, as clients do.
    kept, new = [Caller(demo, 60.0) for _ in range(12)], [Caller(demo, 1.0) for _ in range(12)]
    assert {caller.ask() for caller in kept} == {200}
    with ThreadPoolExecutor(24) as pool:
        os.kill(first, signal.SIGSTOP)
        began = time.monotonic()
        asking = [pool.submit(caller.served_after, began) for caller in (*kept, *new)]
        waited = [each.result() for each in asking]
    for caller in (*kept, *new):
        caller.connection.close()
    assert max(waited) < SERVED_AGAIN_S
    assert max(waited[:12]) > 1.0, "no kept connection was the stopped worker's"
    until(lambda: len(workers(demo)) == 2 and first not in workers(demo))
    assert second in workers(demo)
    until(lambda: restarts(demo, "stood_still") == 1)
    _, _, err = demo.end()
    assert "worker 0 stands still; new connections go to the others" in err or "worker 1 stands still" in err


def test_a_gateway_that_stood_still_as_a_whole_kills_no_worker(demo: Started) -> None:
    before, everyone = workers(demo), [demo.process.pid, *(pid for pid in demo.tree() if pid != demo.process.pid)]
    for pid in everyone:
        os.kill(pid, signal.SIGSTOP)
    time.sleep(SERVED_AGAIN_S)
    # The supervisor goes on first, when no worker has had a chance to say anything.
    os.kill(demo.process.pid, signal.SIGCONT)
    time.sleep(0.3)
    for pid in everyone:
        os.kill(pid, signal.SIGCONT)
    assert demo.ask()[0] == 200
    time.sleep(1.0)
    assert workers(demo) == before
    assert [line for line in demo.end()[2].splitlines() if not line.startswith("audit head: ")] == []


def limited(pid: int, files: int) -> Callable[[], None]:
    """As `prlimit --nofile` on a process that runs; returns what undoes it."""
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (files, before[1]))

    def undo() -> None:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, before)

    return undo


def test_without_descriptors_for_a_restart_the_other_worker_serves_and_with_them_the_slot_comes_back(
    demo: Started,
) -> None:
    first, second = workers(demo)
    undo = limited(demo.process.pid, 3)
    os.kill(first, signal.SIGKILL)
    caller, began, answered = Caller(demo, 5.0), time.monotonic(), 0
    while time.monotonic() - began < 3.0:
        caller.served_after(time.monotonic())
        caller.connection.close()
        caller.connect()
        answered += 1
        assert workers(demo) == [second]
    assert answered > 10
    caller.connection.close()
    undo()
    until(lambda: len(workers(demo)) == 2)
    assert second in workers(demo)
    assert restarts(demo, "not_started") >= 2
    status, _, err = demo.end()
    assert status == 0
    assert "could not be started (Too many open files)" in err
