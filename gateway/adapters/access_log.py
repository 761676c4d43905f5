"""The access log: one JSON line per request, buffered for a tenth of a second and written in whole lines.

The standard library's logging would double the CPU time of a request. A crash may lose the last tenth of a second. If
the reader does not keep up, lines are dropped, and a line says how many.
"""

import asyncio
import os
from collections.abc import Iterator, Mapping
from stat import S_ISREG
from typing import Any

import orjson

FLUSH_S = 0.1
PIPE_ATOMIC = 4096
MAX_BUFFERED = 4 * 2**20


class StreamAccessLog:
    """Writes to a file descriptor, to a pipe at most PIPE_BUF at once, so that the lines of workers do not mix."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        # The kernel appends to a file one write at a time, however long; to a pipe only up to PIPE_BUF (pipe(7)).
        self._max_write = MAX_BUFFERED if S_ISREG(os.fstat(descriptor).st_mode) else PIPE_ATOMIC
        self._lines: list[bytes] = []
        self.buffered = 0
        self._dropped = 0
        self._writing = False

    def write(self, fields: Mapping[str, Any]) -> None:
        if self.buffered > MAX_BUFFERED:
            self._dropped += 1
            return
        line = orjson.dumps(fields) + b"\n"  # a copy of the exact size: orjson's own has spare room at its end
        self._lines.append(line)
        self.buffered += len(line)
        if not self._writing:
            self._writing = True
            asyncio.get_running_loop().call_later(FLUSH_S, self._start_flush)

    def _start_flush(self) -> None:
        future = asyncio.get_running_loop().run_in_executor(None, self._flush)
        future.add_done_callback(self._flushed)

    def _flushed(self, _: "asyncio.Future[None]") -> None:
        self._writing = False
        if self._lines:
            self._writing = True
            asyncio.get_running_loop().call_later(FLUSH_S, self._start_flush)

    def _flush(self) -> None:
        lines, self._lines, self.buffered = self._lines, [], 0
        if self._dropped:
            lines.append(orjson.dumps({"dropped_lines": self._dropped}) + b"\n")
            self._dropped = 0
        for chunk in _chunks(lines, self._max_write):
            self._write(chunk)

    def _write(self, chunk: bytes) -> None:
        try:
            while chunk:
                chunk = chunk[os.write(self._descriptor, chunk) :]
        except OSError:
            self._dropped += chunk.count(b"\n")

    def close(self) -> None:
        """Write what is buffered; called when the worker stops."""
        self._flush()


def _chunks(lines: list[bytes], max_bytes: int) -> Iterator[bytes]:
    """The lines in order, joined up to `max_bytes`; a longer line is a chunk of its own."""
    first, size = 0, 0
    for at, line in enumerate(lines):
        if size and size + len(line) > max_bytes:
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
