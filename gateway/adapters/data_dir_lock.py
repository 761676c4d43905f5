"""One gateway per data directory: a lock that lasts exactly as long as the process that took it, `kill -9` included.

The lock's file also says where that gateway is reached, for `esm-gateway health` and for whoever comes second.
"""

import fcntl
import json
import os
from contextlib import suppress
from pathlib import Path

FILE = "gateway.lock"


class DataDirLocked(Exception):
    """Another gateway lives on this directory."""


class DataDirLock:
    """A data directory that is ours until `leave` or the end of the process."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._file = os.open(directory / FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._file)
            said = _said(directory)
            who = f" (process {said['pid']}, {said.get('url') or 'starting'})" if "pid" in said else ""
            raise DataDirLocked(
                f"Another gateway{who} runs on {directory}; stop it, or choose another data_dir."
            ) from None
        self.say(None)

    def say(self, url: str | None) -> None:
        """Write down where we are reached."""
        text = json.dumps({"pid": os.getpid(), "url": url}).encode()
        os.pwrite(self._file, text + b"\n", 0)
        os.ftruncate(self._file, len(text) + 1)

    def leave(self) -> None:
        os.ftruncate(self._file, 0)
        os.close(self._file)


def served_url(directory: Path) -> str | None:
    """The address of the gateway that lives on a data directory, if one does and serves."""
    with suppress(OSError):
        file = os.open(directory / FILE, os.O_RDONLY | os.O_CLOEXEC)
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            url = _said(directory).get("url")
            return str(url) if url else None
        finally:
            os.close(file)
    return None


def _said(directory: Path) -> dict[str, object]:
    try:
        said = json.loads((directory / FILE).read_bytes())
    except (OSError, ValueError):
        return {}
    return said if isinstance(said, dict) else {}
