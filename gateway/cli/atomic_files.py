"""Private files, written atomically and read in chunks."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkstemp

from gateway.cli.options import CommandError

CHUNK = 2**16


@contextmanager
def write_atomically(path: Path) -> Iterator[Callable[[bytes], object]]:
    """A function that writes. When the block has ended the file appears: synced, and readable by its owner alone.

    An existing file is never overwritten; if the block fails, nothing is left behind.
    """
    if path.exists():
        raise CommandError(f"{path} already exists.")
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
    _sync_directory(path.parent)


def read_chunks(path: Path) -> Iterator[bytes]:
    """The content of a file, chunk by chunk."""
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            yield chunk


def _sync_directory(directory: Path) -> None:
    """A new file is only found after a crash if its directory was synced, too."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
