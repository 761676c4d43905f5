"""What the flow needs from the world: small protocols, each method saying what happens when its part is lost.

Adapters implement them (`gateway/adapters`); `memory.py` implements all of them with a journal for tests. Foreign
exceptions never cross this border: a lost store is `StoreUnavailable`, a lost audit `AuditUnavailable`.
"""

from gateway.ports.answers import Archive, CacheStore, Claim, Held, NotKept, Purges
from gateway.ports.process import AccessLog, Clock, Meter, Promise, RawRequest, Tasks
from gateway.ports.records import AuditLog, AuditUnavailable, Directory, Ledger, Notices, StoreUnavailable, Usage
from gateway.ports.upstream import Upstream, UpstreamLoss, UpstreamReply, UpstreamRequest

__all__ = [
    "AccessLog",
    "Archive",
    "AuditLog",
    "AuditUnavailable",
    "CacheStore",
    "Claim",
    "Clock",
    "Directory",
    "Held",
    "Ledger",
    "Meter",
    "NotKept",
    "Notices",
    "Promise",
    "Purges",
    "RawRequest",
    "StoreUnavailable",
    "Tasks",
    "Upstream",
    "UpstreamLoss",
    "UpstreamReply",
    "UpstreamRequest",
    "Usage",
]
