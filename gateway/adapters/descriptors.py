"""File descriptors of this process: the soft limit is raised, and what is left for callers is known.

A shell's default soft limit (1,024) is there for programs that use select(), which this one does not
(https://0pointer.net/blog/file-descriptor-limits.html). A child inherits the raised limit.
"""

import errno
import os
import resource

AT_MOST = 65_536


def raise_soft_limit() -> int:
    """Raise the soft limit to the hard one, at most 65,536; returns the soft limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = AT_MOST if hard == resource.RLIM_INFINITY else min(hard, AT_MOST)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return soft_limit()


def soft_limit() -> int:
    """How many descriptors this process may have now; it can be changed from outside (`prlimit`)."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return AT_MOST if soft == resource.RLIM_INFINITY else soft


def none_left() -> bool:
    """Whether this process can open nothing more."""
    try:
        os.close(os.dup(0))
    except OSError as error:
        return error.errno in (errno.EMFILE, errno.ENFILE)
    return False


class Descriptors:
    """Whether there were none left at the last look."""

    def __init__(self) -> None:
        self.none_left = False

    def look(self) -> bool:
        self.none_left = none_left()
        return self.none_left


def left_for_callers(reserve: int) -> int:
    """What the reserve leaves, and at least half: under a low limit not everybody can have what they may need."""
    limit = soft_limit()
    return max(limit - reserve, limit // 2)
