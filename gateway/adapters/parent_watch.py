"""What ties a process to the one that started it: a pipe on standard input, open for as long as that one lives.

The kernel closes the pipe however the starter ends, `kill -9` included. Then this process asks itself to stop, as
SIGTERM would, and ends by force after a while. A thread watches, so that a busy loop cannot miss it.
"""

import os
import signal
import sys
import threading
import time


def read_settings_line() -> bytes:
    """The first line that the starter wrote into the pipe."""
    line = bytearray()
    while not line.endswith(b"\n"):
        part = os.read(sys.stdin.fileno(), 65_536)
        if not part:
            raise EOFError("the process that started this one is gone")
        line += part
    return bytes(line)


def exit_with_parent(patience_s: float) -> None:
    """End with the starter: SIGTERM to ourselves at once, and the end by force after `patience_s`."""
    threading.Thread(target=_watch, args=(sys.stdin.fileno(), patience_s), name="tether", daemon=True).start()


def _watch(pipe: int, patience_s: float) -> None:
    while os.read(pipe, 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(patience_s)
    os._exit(1)
