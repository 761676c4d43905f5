"""What a gateway costs that nobody uses: CPU and wake-ups of each of its processes while no request comes.

`python -m bench.idle` starts a demo (sandbox, two embedded stores, two workers), lets it settle, watches it for a
while and prints a row for each process. A wake-up is a voluntary context switch: the process slept and was woken, by
a timer or by another process. Both numbers come from /proc (Linux only), those of all threads together; reading them
wakes nobody. `--pid` watches a gateway that runs already.
"""

import asyncio
import os
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click

from bench.processes import Child, command_line, descendants

SETTLE_S, WATCH_S = 5.0, 20.0
ROLES = {" worker ": "worker", " sandbox ": "sandbox", "valkey-server": "store", " demo ": "supervisor"}


@dataclass(frozen=True, slots=True)
class Spent:
    """What a process used since it was started."""

    cpu_s: float
    wakeups: int


@dataclass(frozen=True, slots=True)
class Row:
    """One process over the time it was watched: its role, its share of one core, its wake-ups a second."""

    name: str
    cpu_percent: float
    wakeups_per_s: float

    def __str__(self) -> str:
        return f"{self.name:<28} {self.cpu_percent:8.3f} {self.wakeups_per_s:14.1f}"


async def watch(pid: int, seconds: float) -> list[Row]:
    """A row for each process below `pid` and for itself, and one for their sum."""
    names = {each: _name(each) for each in (pid, *descendants(pid))}
    before = {each: spent(each) for each in names}
    began = asyncio.get_running_loop().time()
    await asyncio.sleep(seconds)
    took_s = asyncio.get_running_loop().time() - began
    after = {each: spent(each) for each in names}
    rows = [
        Row(
            name,
            100 * (after[each].cpu_s - before[each].cpu_s) / took_s,
            (after[each].wakeups - before[each].wakeups) / took_s,
        )
        for each, name in names.items()
    ]
    return [*rows, Row("all", sum(row.cpu_percent for row in rows), sum(row.wakeups_per_s for row in rows))]


def spent(pid: int) -> Spent:
    """Of all threads that live: CPU as the scheduler counts it (nanoseconds, proc_pid_schedstat(5)), and wake-ups."""
    threads = list(Path(f"/proc/{pid}/task").iterdir())
    nanoseconds = sum(int((thread / "schedstat").read_text().split()[0]) for thread in threads)
    return Spent(nanoseconds / 1e9, sum(map(_wakeups, threads)))


def _wakeups(thread: Path) -> int:
    lines = (thread / "status").read_text().splitlines()
    (count,) = (line.split()[1] for line in lines if line.startswith("voluntary_ctxt_switches:"))
    return int(count)


def _name(pid: int) -> str:
    words = command_line(pid)
    role = next((role for mark, role in ROLES.items() if mark in words), "process")
    return f"{role} {os.path.basename(os.readlink(f'/proc/{pid}/cwd'))}" if role == "store" else role


def table(rows: list[Row]) -> Iterator[str]:
    yield f"{'process':<28} {'% of a core':>8} {'wake-ups a second':>14}"
    yield from map(str, rows)


async def _demo(workers: int, seconds: float) -> list[Row]:
    with tempfile.TemporaryDirectory() as directory:
        words = ("-m", "gateway", "demo", "--json", "--port", "0", "--workers", str(workers), "--data-dir")
        child = await Child.start(*words, f"{directory}/demo", log=Path(directory) / "demo.log")
        try:
            await asyncio.sleep(SETTLE_S)
            return await watch(child.pid, seconds)
        finally:
            await child.stop()


@click.command()
@click.option(
    "--seconds", default=WATCH_S, show_default=True, type=click.FloatRange(min=0.1), help="How long to watch."
)
@click.option("--workers", default=2, show_default=True, type=click.IntRange(1, 64), help="Workers of the demo.")
@click.option("--pid", type=int, help="Watch this gateway instead of starting a demo.")
def main(seconds: float, workers: int, pid: int | None) -> None:
    """What an idle gateway costs."""
    if not sys.platform.startswith("linux"):
        raise click.ClickException("Wake-ups can be read on Linux only (/proc).")
    rows = asyncio.run(_demo(workers, seconds) if pid is None else watch(pid, seconds))
    for line in table(rows):
        click.echo(line)


if __name__ == "__main__":
    main()
