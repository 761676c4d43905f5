"""What this machine remembers of the state store, in a file of the data directory: sealed, shared by its processes.

The file outlives the store, so an older copy of the store cannot undo what is in it. Whoever restores the whole data
directory restores this file, too: docs/backup.md says what to keep out of a back-up.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any

import orjson

from gateway.core.decisions import FinalDecision, Marks
from gateway.core.sealing import NONCE_BYTES, seal, unseal
from gateway.ports import Clock

FORMAT = 1


class DecisionFile:
    """`ports.DecisionMemory`. `sealing_key` is `sealing.derive_key(secret, "directory")`."""

    def __init__(self, path: Path, sealing_key: bytes, clock: Clock) -> None:
        self._path, self._key, self._clock = path, sealing_key, clock
        self._seen: tuple[int, int] | None = None

    def load(self) -> Marks | None:
        """None where there is no file, or none that was sealed here. OSError where it cannot be read."""
        self._seen = self._version()
        try:
            blob = self._path.read_bytes()
        except FileNotFoundError:
            return None
        content = unseal(self._key, "decisions", blob)
        return None if content is None else _decode(content)

    def changed(self) -> bool:
        return self._version() != self._seen

    def merge(self, marks: Marks) -> Marks:
        """Add to the file what `marks` has besides; returns what the file then holds. It is on the disk (fsync)."""
        with self._locked():
            before = self.load()
            joined = marks if before is None else before.join(marks)
            if joined != before:
                self._replace(seal(self._key, "decisions", _encode(joined), self._clock.token(NONCE_BYTES)))
            self._seen = self._version()
            return joined

    def _version(self) -> tuple[int, int] | None:
        """Each change is another file in its place."""
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_ino, found.st_mtime_ns

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(self._path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

    def _replace(self, blob: bytes) -> None:
        temporary = self._path.with_suffix(".new")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(blob)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, self._path)
        directory = os.open(self._path.parent, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)


def _encode(marks: Marks) -> bytes:
    rows = [[decision.subject, decision.at, decision.number] for decision in marks.decisions.values()]
    rest = {each.name: getattr(marks, each.name) for each in fields(marks) if each.name != "decisions"}
    return orjson.dumps({"format": FORMAT, "decisions": rows, **rest})


def _decode(content: bytes) -> Marks | None:
    row: dict[str, Any] = orjson.loads(content)
    if row.pop("format") != FORMAT:
        return None
    decisions = {subject: FinalDecision(subject, at, number) for subject, at, number in row.pop("decisions")}
    return Marks(decisions, **row)
