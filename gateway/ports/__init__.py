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
    DecisionMemory,
    Decisions,
    DecisionStore,
    Directory,
    Ledger,
    RunCounters,
    SealedRecord,
    SealedRecords,
    StateClosed,
    StoreProbe,
    StoreUnavailable,
    Throttle,
    Usage,
)
from gateway.ports.upstream import AnswerPlace, Upstream, UpstreamLoss, UpstreamReply, UpstreamRequest

__all__ = [
    "AccessLog",
    "AnswerPlace",
    "AuditLog",
    "AuditUnavailable",
    "BodyRoom",
    "CacheStore",
    "Clock",
    "DecisionMemory",
    "DecisionStore",
    "Decisions",
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
    "RunCounters",
    "SealedRecord",
    "SealedRecords",
    "StateClosed",
    "StoreProbe",
    "StoreUnavailable",
    "Throttle",
    "Upstream",
    "UpstreamLoss",
    "UpstreamReply",
    "UpstreamRequest",
    "Usage",
]
