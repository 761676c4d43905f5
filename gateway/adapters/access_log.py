"""The access log: one JSON line a request, gathered for a tenth of a second and written in whole lines.

The standard library's logging would double the CPU of a request. A crash may lose the last tenth of a second; a reader
that does not keep up loses lines, and a line says how many.
"""

import asyncio
import os
from collections.abc import Mapping
from typing import Any

import orjson

GATHER_S = 0.1
PIPE_ATOMIC = 4096
MOST_HELD = 4 * 2**20


class StreamAccessLog:
    """Writes to a file descriptor. Pieces stay under PIPE_BUF where lines allow, so that workers do not mix lines."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
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
        piece = b""
        for line in lines:
            if len(piece) + len(line) > PIPE_ATOMIC:
                self._put(piece)
                piece = b""
            piece += line
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


class NoAccessLog:
    """For `log.access = false`."""

    def write(self, fields: Mapping[str, Any]) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""
