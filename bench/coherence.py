"""`python -m bench.coherence`: may what was served be served? Random interleavings against a model.

Four workers on a real state store and a real cache store: callers ask, refresh and follow; answers are purged in every
way; keys are revoked; workers are restarted; stores are killed (`kill -9`) and come back; and somebody who can write to
the cache store puts back what was in it before, whole or in part, or writes leases and junk. Workers look at the stores
when they are told to, so each order of events is tried, and each can be tried again by its seed.

Exit status 1 where one answer was served that the model (`bench.coherence_model`) forbids, where a caller waited for
more than ten seconds, or where the workers do not agree in the end.
"""

import asyncio
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import click

from bench.coherence_interleaving import Interleaving
from bench.coherence_world import opened


async def played(count: int, seed: int, steps: int, tell: Callable[[str], None]) -> tuple[list[str], Counter[str]]:
    """The faults of so many interleavings, the first with this seed; and how often each thing was done."""
    faults: list[str] = []
    done: Counter[str] = Counter()
    with tempfile.TemporaryDirectory(prefix="esmgw-coherence-") as directory:
        async with opened(Path(directory)) as world:
            for number in range(seed, seed + count):
                each = Interleaving(world, number)
                await each.play(steps)
                faults += each.faults
                done += each.done
                if each.faults:
                    tell("\n".join([*each.story, *each.faults]))
    return faults, done


@click.command()
@click.option("--count", default=200, show_default=True, help="How many interleavings.")
@click.option("--seed", default=1, show_default=True, help="Of the first; each has the next.")
@click.option("--steps", default=60, show_default=True, help="What is done in each of them.")
def main(count: int, seed: int, steps: int) -> None:
    """Random interleavings of what changes answers, over four workers, against a model of what may be served."""
    began = time.monotonic()
    faults, done = asyncio.run(played(count, seed, steps, click.echo))
    for fault in faults:
        click.echo(fault)
    click.echo(", ".join(f"{times:,} x {name}" for name, times in sorted(done.items())))
    click.echo(f"{count} interleavings in {time.monotonic() - began:.0f} s: {len(faults)} violations")
    sys.exit(bool(faults))


if __name__ == "__main__":
    main()
