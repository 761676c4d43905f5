"""Who runs this process, as the operating system knows them: nothing that they can claim."""

import os
import pwd
from pathlib import Path

# (uid_t) -1: nobody has logged in, as in a service or a container (pam_loginuid(8)).
NO_LOGIN = 2**32 - 1
LOGIN_UID = Path("/proc/self/loginuid")


def system_user() -> str:
    """The user of this process."""
    return _name(os.getuid())


def login_user() -> str | None:
    """Who logged in at the start of the session, whatever `su` or `sudo` made of them since; None where unknown.

    The kernel keeps it, and lets nobody without CAP_AUDIT_CONTROL change it.
    """
    try:
        uid = int(LOGIN_UID.read_text())
    except (OSError, ValueError):
        return None
    return None if uid == NO_LOGIN else _name(uid)


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid-{uid}"
