"""Secrets are files: read when they are needed, never part of the settings, never shown.

A secret file may be readable by its owner and group (as Kubernetes mounts them), but by nobody else, and writable only
by its owner.
"""

import os
import stat
from pathlib import Path

from gateway.core.sealing import Secret
from gateway.core.signatures import KEY_BYTES, Signer, private_key_pem, read_private_key
from gateway.settings.errors import InvalidSettings, SettingError
from gateway.settings.model import Settings

MASTER_BYTES = 32
_TOO_OPEN = stat.S_IWGRP | stat.S_IXGRP | stat.S_IRWXO


def secret_file_error(path: Path, min_bytes: int = 1) -> str | None:
    """Why a secret file cannot be used, in a sentence; None if it can."""
    try:
        info = path.stat()
        if not stat.S_ISREG(info.st_mode):
            return f"{path} is not a file"
        if info.st_mode & _TOO_OPEN:
            return f"{path} is accessible to others (mode {stat.S_IMODE(info.st_mode):04o}); chmod 0600 or 0640"
        size = len(path.read_bytes().strip())
    except OSError as error:
        return f"{path} cannot be read: {error.strerror}"
    if size < min_bytes:
        return f"{path} is empty" if size == 0 else f"{path} has {size} bytes; at least {min_bytes} are needed"
    return None


def read_secret(path: Path, min_bytes: int = 1) -> bytes:
    """A secret, without surrounding whitespace."""
    error = secret_file_error(path, min_bytes)
    if error is not None:
        raise InvalidSettings([SettingError("secret", error)])
    return path.read_bytes().strip()


def master_secret(settings: Settings) -> Secret:
    """The master secret, with the others that read; without `secrets.master_file`, it is generated on first use."""
    path = settings.master_file
    if settings.secrets.master_file is None and not path.exists():
        _refuse_second_master(settings)
        write_secret(path, os.urandom(MASTER_BYTES).hex().encode() + b"\n")
    return Secret(read_secret(path, MASTER_BYTES), _others(settings))


def _others(settings: Settings) -> list[bytes]:
    return [read_secret(path, MASTER_BYTES) for path in settings.secrets.other_master_files]


def signing_key(settings: Settings) -> Signer:
    """The key that signs exports and statements; without `secrets.signing_file`, it is generated on first use."""
    path = settings.signing_file
    if settings.secrets.signing_file is None and not path.exists():
        write_secret(path, private_key_pem(os.urandom(KEY_BYTES)))
    pem = read_secret(path)
    try:
        return read_private_key(pem)
    except ValueError:
        reason = f"{path} is not an Ed25519 private key in PEM (`openssl genpkey -algorithm ed25519` makes one)"
        raise InvalidSettings([SettingError("secrets.signing_file", reason)]) from None


def write_secret(path: Path, content: bytes) -> None:
    """Atomically write a file of mode 0600 in a directory of mode 0700. An existing file is not replaced."""
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
    """With a new secret, existing keys and audit records could not be read any more."""
    record = settings.audit_file
    if record.exists() and record.stat().st_size:
        reason = f"is missing, but {record} was written with it; restore it, or use an empty data_dir"
        raise InvalidSettings([SettingError(str(settings.master_file), reason)])
