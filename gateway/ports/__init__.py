"""What the flow needs from the world: small protocols, each method saying what happens when its part is lost.

Adapters implement them (`gateway/adapters`); `local_cache.py` implements all of them with a journal for tests. Foreign
exceptions never cross this border: a lost store is `StoreUnavailable`, a lost audit `AuditUnavailable`.
"""

from gateway.ports.cache_stores import CacheStore, LeaseClaim, NamespaceContents, NamespaceStore, NotStored, PurgeStore
from gateway.ports.runtime import AccessLog, Clock, Meter, Promise, RawRequest, Tasks
from gateway.ports.state_stores import AuditLog, AuditUnavailable, Directory, Ledger, StoreUnavailable, Throttle, Usage
from gateway.ports.upstream import Upstream, UpstreamLoss, UpstreamReply, UpstreamRequest

__all__ = [
    "AccessLog",
    "AuditLog",
    "AuditUnavailable",
    "CacheStore",
    "Clock",
    "Directory",
    "LeaseClaim",
    "Ledger",
    "Meter",
    "NamespaceContents",
    "NamespaceStore",
    "NotStored",
    "Promise",
    "PurgeStore",
    "RawRequest",
    "StoreUnavailable",
    "Tasks",
    "Throttle",
    "Upstream",
    "UpstreamLoss",
    "UpstreamReply",
    "UpstreamRequest",
    "Usage",
]
