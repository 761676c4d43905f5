"""One gateway per data directory: a file lock that the kernel releases when its process ends, even by `kill -9`.

The lock file also holds the gateway's process id and URL, for `esm-gateway health` and for the error of a second start.
"""

import fcntl
import json
import os
from contextlib import suppress
from pathlib import Path

FILE = "gateway.lock"


class DataDirLocked(Exception):
    """Another gateway runs on this directory."""


class DataDirLock:
    """Holds the lock of a data directory until `release` or the end of the process."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._file = os.open(directory / FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._file)
            content = _read(directory)
            who = f" (process {content['pid']}, {content.get('url') or 'starting'})" if "pid" in content else ""
            raise DataDirLocked(
                f"Another gateway{who} runs on {directory}; stop it, or choose another data_dir."
            ) from None
        self.publish_url(None)

    def publish_url(self, url: str | None) -> None:
        """Write this process's id and URL into the lock file."""
        text = json.dumps({"pid": os.getpid(), "url": url}).encode()
        os.pwrite(self._file, text + b"\n", 0)
        os.ftruncate(self._file, len(text) + 1)

    def release(self) -> None:
        os.ftruncate(self._file, 0)
        os.close(self._file)


def served_url(directory: Path) -> str | None:
    """The URL of the gateway that runs on a data directory, if one does and is ready."""
    with suppress(OSError):
        file = os.open(directory / FILE, os.O_RDONLY | os.O_CLOEXEC)
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            url = _read(directory).get("url")
            return str(url) if url else None
        finally:
            os.close(file)
    return None


def _read(directory: Path) -> dict[str, object]:
    try:
        content = json.loads((directory / FILE).read_bytes())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
