"""What an idle gateway costs is measured as it is said: by the CPU and the wake-ups of every process of it."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from bench.idle import spent, table, watch

# A parent that sleeps, and a child that wakes up a hundred times a second or computes.
BUSY = "while True: sum(range(1000))"
WAKING = "import time\nwhile True: time.sleep(0.01)"


def family(child: str) -> str:
    return f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"


@pytest.fixture
def of(request: pytest.FixtureRequest) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([sys.executable, "-c", family(request.param)], start_new_session=True) as parent:
        asyncio.run(_until_it_has_a_child(parent.pid))
        yield parent
        os.killpg(parent.pid, 9)


async def _until_it_has_a_child(pid: int) -> None:
    async with asyncio.timeout(20):
        while not any(row.name == "process" for row in (await watch(pid, 0.01))[1:-1]):
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("of", [WAKING], indirect=True)
def test_a_process_that_wakes_up_is_seen_as_such_below_its_parent(of: "subprocess.Popen[bytes]") -> None:
    rows = asyncio.run(watch(of.pid, 1.0))
    assert len(rows) == 3
    assert 20 < rows[1].wakeups_per_s < 150
    assert rows[-1].wakeups_per_s == pytest.approx(sum(row.wakeups_per_s for row in rows[:-1]))
    assert rows[0].wakeups_per_s < 10


@pytest.mark.parametrize("of", [BUSY], indirect=True)
def test_a_process_that_computes_costs_cpu_and_hardly_wakes_up(of: "subprocess.Popen[bytes]") -> None:
    rows = asyncio.run(watch(of.pid, 1.0))
    assert rows[1].cpu_percent > 10
    assert rows[0].cpu_percent < 5
    assert "all" in list(table(rows))[-1]


def test_what_this_process_spends_grows() -> None:
    before = spent(os.getpid())
    sum(range(1_000_000))
    assert spent(os.getpid()).cpu_s > before.cpu_s
