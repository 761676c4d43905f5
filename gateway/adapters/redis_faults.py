"""Which of the known reasons (`core/store_faults.py`) an error of a store's client is.

The client wraps what happened once or twice; the first known reason on the way to the cause counts. The text of an
error is read only here, for codes and words that servers use, and goes no further: it may quote a value.
"""

import errno
import socket
import ssl
from collections.abc import Iterator, Mapping

from redis import exceptions as redis_errors
from redis.asyncio.sentinel import MasterNotFoundError

from gateway.core.store_faults import StoreFault

BY_TYPE: tuple[tuple[type[BaseException], StoreFault], ...] = (
    (ssl.SSLError, "tls"),
    (ConnectionRefusedError, "refused"),
    (FileNotFoundError, "refused"),  # of a Unix socket
    (socket.gaierror, "unreachable"),
    (PermissionError, "unreachable"),
    (ConnectionError, "disconnected"),
    (TimeoutError, "timeout"),
    (redis_errors.AuthenticationError, "authentication"),
    (redis_errors.AuthorizationError, "permission"),
    (redis_errors.NoPermissionError, "permission"),
    (redis_errors.BusyLoadingError, "loading"),
    (redis_errors.OutOfMemoryError, "full"),
    (redis_errors.ReadOnlyError, "read_only"),
    (redis_errors.TimeoutError, "timeout"),
    (redis_errors.InvalidResponse, "protocol"),
    (redis_errors.ClusterError, "cluster"),
    (redis_errors.AskError, "cluster"),
    (redis_errors.TryAgainError, "cluster"),
    (redis_errors.ClusterCrossSlotError, "cluster"),
)
BY_ERRNO: Mapping[int, StoreFault] = {
    errno.EMFILE: "descriptors",
    errno.ENFILE: "descriptors",
    errno.EHOSTUNREACH: "unreachable",
    errno.ENETUNREACH: "unreachable",
    errno.ENETDOWN: "unreachable",
    errno.EADDRNOTAVAIL: "unreachable",
    errno.ETIMEDOUT: "timeout",
}
# The first word of an error reply.
BY_CODE: Mapping[str, StoreFault] = {
    "MISCONF": "disk",
    "NOREPLICAS": "replicas",
    "BUSY": "busy",
    "UNKILLABLE": "busy",
    "DENIED": "authentication",
    "WRONGTYPE": "foreign",
    "NOPERM": "permission",
    "READONLY": "read_only",
    "OOM": "full",
    "CLUSTERDOWN": "cluster",
    "MASTERDOWN": "read_only",
}
# Errors of scripts and commands have no code of their own, and are worded differently by Redis 7 and Valkey 8 and 9.
BY_WORDS: tuple[tuple[str, StoreFault], ...] = (
    ("max number of clients", "clients"),
    ("ACL failure in script", "permission"),
    ("can't run this command", "permission"),
    ("no permissions to", "permission"),
    ("can't access at least one of the keys", "permission"),
    ("unknown command", "permission"),
    ("Unknown Redis command", "permission"),
    ("wrong kind of value", "foreign"),
    ("is not an integer", "foreign"),
    ("is not a float", "foreign"),
    ("is not a valid float", "foreign"),
    ("attempt to ", "foreign"),  # Lua's arithmetic on what is no number
    ("a damaged ", "foreign"),  # the scripts' own words for what is no record of theirs
    ("that was not written here", "foreign"),
    ("Slot ", "cluster"),
)
# Only where nothing on the way to the cause says more; the one nearest to the cause.
WRAPPERS: tuple[tuple[type[BaseException], StoreFault], ...] = (
    (MasterNotFoundError, "no_primary"),
    (redis_errors.RedisClusterException, "cluster"),
    (redis_errors.ConnectionError, "disconnected"),
)


class UnsuitableServer(redis_errors.ConnectionError):
    """The server must not be used; the text is for the operator. Raised while connecting, so nothing is sent to it."""


def fault_of(error: BaseException) -> StoreFault:
    """The reason; "error" for what is not known."""
    chain = tuple(_chain(error))
    known = next((fault for fault in map(_fault, chain) if fault is not None), None)
    if known is not None:
        return known
    return next((fault for each in reversed(chain) for kind, fault in WRAPPERS if isinstance(each, kind)), "error")


def fault_of_reply(text: str) -> StoreFault:
    """The reason in an error reply as a script sees it: code and words."""
    return _worded(text) or "error"


def detail_of(error: BaseException) -> str:
    """What is to be told the operator about the server beside the reason, if anything."""
    return next((str(each) for each in _chain(error) if isinstance(each, UnsuitableServer)), "")


def _fault(error: BaseException) -> StoreFault | None:
    if isinstance(error, UnsuitableServer):
        return "unsuitable"
    if isinstance(error, ssl.SSLCertVerificationError) and error.verify_message.lower().find("mismatch") >= 0:
        return "tls_name"  # of a host name or an IP address (X509_V_ERR_HOSTNAME_MISMATCH and its siblings)
    if isinstance(error, OSError) and not isinstance(error, ssl.SSLError) and (error.errno or 0) in BY_ERRNO:
        return BY_ERRNO[error.errno or 0]
    named = next((fault for kind, fault in BY_TYPE if isinstance(error, kind)), None)
    return named if named is not None or not isinstance(error, redis_errors.RedisError) else _worded(str(error))


def _worded(text: str) -> StoreFault | None:
    by_code = BY_CODE.get(text.partition(" ")[0])
    return by_code or next((fault for words, fault in BY_WORDS if words in text), None)


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error, then what it was raised from or during."""
    seen: set[int] = set()
    at: BaseException | None = error
    while at is not None and id(at) not in seen:
        seen.add(id(at))
        yield at
        at = at.__cause__ or (None if at.__suppress_context__ else at.__context__)
