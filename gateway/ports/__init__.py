"""What the flow needs from the world: small protocols, each method saying what happens when its part is lost.

Adapters implement them (`gateway/adapters`; for tests, `tests/fakes`). Foreign exceptions never cross this border: a
lost store is `StoreUnavailable`, a lost audit file `AuditUnavailable`.
"""

from gateway.ports.cache_stores import CacheStore, LeaseClaim, NamespaceContents, NamespaceStore, NotStored, PurgeStore
from gateway.ports.process import AccessLog, BodyRoom, Clock, Meter, RawRequest
from gateway.ports.reader import Reader
from gateway.ports.state_stores import (
    AuditLog,
    AuditUnavailable,
    Directory,
    Ledger,
    SealedRecord,
    SealedRecords,
    StoreUnavailable,
    Throttle,
    Usage,
)
from gateway.ports.upstream import Upstream, UpstreamLoss, UpstreamReply, UpstreamRequest

__all__ = [
    "AccessLog",
    "AuditLog",
    "AuditUnavailable",
    "BodyRoom",
    "CacheStore",
    "Clock",
    "Directory",
    "LeaseClaim",
    "Ledger",
    "Meter",
    "NamespaceContents",
    "NamespaceStore",
    "NotStored",
    "PurgeStore",
    "RawRequest",
    "Reader",
    "SealedRecord",
    "SealedRecords",
    "StoreUnavailable",
    "Throttle",
    "Upstream",
    "UpstreamLoss",
    "UpstreamReply",
    "UpstreamRequest",
    "Usage",
]
