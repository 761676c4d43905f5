"""Files that hold what nobody else may read, written whole or not at all, and read in pieces."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkstemp

from gateway.cli.options import CommandError

PIECE = 2**16


@contextmanager
def write_atomically(path: Path) -> Iterator[Callable[[bytes], object]]:
    """A function that writes. The file appears, on disk and readable by its owner alone, when the block has ended.

    What is there is never written over; where the block fails nothing is left.
    """
    if path.exists():
        raise CommandError(f"{path} is there already.")
    descriptor, temporary = mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mode 0600
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file.write
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
    _settle(path.parent)


def pieces(path: Path) -> Iterator[bytes]:
    """What a file holds, piece by piece."""
    with path.open("rb") as file:
        while piece := file.read(PIECE):
            yield piece


def _settle(directory: Path) -> None:
    """The name, too, on disk."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
