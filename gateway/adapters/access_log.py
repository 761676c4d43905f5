"""The access log: one JSON line a request, gathered for a tenth of a second and written in whole lines.

The standard library's logging would double the CPU of a request. A crash may lose the last tenth of a second; a reader
that does not keep up loses lines, and a line says how many.
"""

import asyncio
import os
from collections.abc import Iterator, Mapping
from stat import S_ISREG
from typing import Any

import orjson

GATHER_S = 0.1
PIPE_ATOMIC = 4096
MOST_HELD = 4 * 2**20


class StreamAccessLog:
    """Writes to a file descriptor. Pieces stay under PIPE_BUF where lines allow, so that workers do not mix lines."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        # Whole to a file, which the kernel appends to by one writer at a time; a pipe may mix what is longer than this.
        self._most = MOST_HELD if S_ISREG(os.fstat(descriptor).st_mode) else PIPE_ATOMIC
        self._lines: list[bytes] = []
        self.held = 0
        self._dropped = 0
        self._writing = False

    def write(self, fields: Mapping[str, Any]) -> None:
        if self.held > MOST_HELD:
            self._dropped += 1
            return
        line = orjson.dumps(fields) + b"\n"  # a copy of the right size: orjson leaves room at the end of its own
        self._lines.append(line)
        self.held += len(line)
        if not self._writing:
            self._writing = True
            asyncio.get_running_loop().call_later(GATHER_S, self._start)

    def _start(self) -> None:
        future = asyncio.get_running_loop().run_in_executor(None, self._flush)
        future.add_done_callback(self._ended)

    def _ended(self, _: "asyncio.Future[None]") -> None:
        self._writing = False
        if self._lines:
            self._writing = True
            asyncio.get_running_loop().call_later(GATHER_S, self._start)

    def _flush(self) -> None:
        lines, self._lines, self.held = self._lines, [], 0
        if self._dropped:
            lines.append(orjson.dumps({"dropped_lines": self._dropped}) + b"\n")
            self._dropped = 0
        for piece in _pieces(lines, self._most):
            self._put(piece)

    def _put(self, piece: bytes) -> None:
        try:
            while piece:
                piece = piece[os.write(self._descriptor, piece) :]
        except OSError:
            self._dropped += piece.count(b"\n")

    def close(self) -> None:
        """Write what is left; called when the worker stops."""
        self._flush()


def _pieces(lines: list[bytes], most: int) -> Iterator[bytes]:
    """The lines in their order, as many together as `most` bytes hold."""
    first, size = 0, 0
    for at, line in enumerate(lines):
        if size and size + len(line) > most:
            yield b"".join(lines[first:at])
            first, size = at, 0
        size += len(line)
    yield b"".join(lines[first:])


class NoAccessLog:
    """For `log.access = false`."""

    def write(self, fields: Mapping[str, Any]) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""
