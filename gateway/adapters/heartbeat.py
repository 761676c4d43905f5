"""The sign of life of a worker: a byte twice a second, out of its event loop, on a pipe to the supervisor.

The first byte says that the worker is ready. A loop that is held writes none: by a computation, a lock, a disk that
does not answer, or because the process was stopped. A worker that only waits goes on writing.
"""

import asyncio
import contextlib
import os
from dataclasses import dataclass

BEAT_S = 0.5
BEAT = b"."


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a silent worker is borne with, in seconds since the look that last heard of it.

    Pipes are looked at every `look_s`, so a worker was silent for up to `look_s` longer. With two workers, callers of a
    stopped one are to be served again within five seconds, also those with open connections, which only its end resets.
    """

    look_s: float = 0.5
    turned_away_s: float = 2.0
    replaced_s: float = 3.5
    # Workers that fell silent within this time of each other have one cause, more likely the machine than themselves.
    apart_s: float = 1.0
    # Then none is touched until this long after; it may be a disk that comes back.
    all_silent_s: float = 30.0
    # A look that comes later than it was due by this much: it was the supervisor that stood still.
    late_s: float = 1.0


def start_beating(pipe: int, beat_s: float = BEAT_S) -> None:
    """Say that this worker is ready, and go on to say that its event loop runs."""
    # A supervisor that does not read (stopped by a debugger) must not stop its workers, too.
    os.set_blocking(pipe, False)
    loop = asyncio.get_running_loop()

    def beat() -> None:
        loop.call_later(beat_s, beat)
        with contextlib.suppress(OSError):
            os.write(pipe, BEAT)

    beat()
