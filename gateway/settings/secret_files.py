"""Secrets live in files: read when they are needed, never kept in the settings, never shown.

A secret file may be readable by its owner and its group (as Kubernetes mounts them), by nobody else, and writable by
its owner alone. This module derives nothing and encrypts nothing.
"""

import os
import stat
from pathlib import Path

from gateway.settings.errors import InvalidSettings, SettingError
from gateway.settings.model import Settings

MASTER_BYTES = 32
_TOO_OPEN = stat.S_IWGRP | stat.S_IXGRP | stat.S_IRWXO


def fault_of(path: Path, least_bytes: int = 1) -> str | None:
    """What is wrong with a secret file, in a sentence; None where it can be used."""
    try:
        info = path.stat()
        if not stat.S_ISREG(info.st_mode):
            return f"{path} is not a file"
        if info.st_mode & _TOO_OPEN:
            return f"{path} is open to others (mode {stat.S_IMODE(info.st_mode):04o}); chmod 0600 or 0640"
        size = len(path.read_bytes().strip())
    except OSError as error:
        return f"{path} cannot be read: {error.strerror}"
    if size < least_bytes:
        return f"{path} is empty" if size == 0 else f"{path} holds {size} bytes; at least {least_bytes} are needed"
    return None


def read_secret(path: Path, least_bytes: int = 1) -> bytes:
    """A secret, without the blanks and newlines around it."""
    fault = fault_of(path, least_bytes)
    if fault is not None:
        raise InvalidSettings([SettingError("secret", fault)])
    return path.read_bytes().strip()


def master_secret(settings: Settings) -> bytes:
    """The gateway's own secret; the generated one is made on first use."""
    path = settings.master_file
    if settings.secrets.master_file is None and not path.exists():
        _refuse_second_master(settings)
        write_secret(path, os.urandom(MASTER_BYTES).hex().encode() + b"\n")
    return read_secret(path, MASTER_BYTES)


def write_secret(path: Path, content: bytes) -> None:
    """Write a file 0600 in a directory 0700, whole or not at all; a file that stands already is kept."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(handle, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(draft, path)
    except FileExistsError:
        return
    finally:
        draft.unlink()


def _refuse_second_master(settings: Settings) -> None:
    """A new secret beside an old record would make every key and record in this place unreadable."""
    record = settings.audit_file
    if record.exists() and record.stat().st_size:
        says = f"is gone, but {record} was written with it; restore it, or start on an empty data_dir"
        raise InvalidSettings([SettingError(str(settings.master_file), says)])
