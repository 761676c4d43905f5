"""End a child process with its parent: standard input is a pipe that the parent holds open for as long as it lives.

The kernel closes the pipe however the parent ends, even by `kill -9`. Then this process sends itself SIGTERM, and exits
by force after a while. A thread watches the pipe, so that a busy event loop cannot miss it.
"""

import os
import signal
import sys
import threading
import time


def read_settings_line() -> bytes:
    """The first line that the parent wrote into the pipe."""
    line = bytearray()
    while not line.endswith(b"\n"):
        part = os.read(sys.stdin.fileno(), 65_536)
        if not part:
            raise EOFError("the parent process has ended")
        line += part
    return bytes(line)


def exit_with_parent(kill_after_s: float) -> None:
    """When the parent ends: SIGTERM to this process at once, and exit by force after `kill_after_s`."""
    threading.Thread(target=_watch, args=(sys.stdin.fileno(), kill_after_s), name="parent-watch", daemon=True).start()


def _watch(pipe: int, kill_after_s: float) -> None:
    while os.read(pipe, 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(kill_after_s)
    os._exit(1)
