"""The audit chain: each record carries an HMAC over its own content and its predecessor's HMAC.

Whoever changes, removes, inserts or reorders a line without the audit secret breaks the chain at that line, and
`verify` names the first such line. Cutting whole lines off the end is caught only by comparing with a head kept
elsewhere (`verify(..., head=...)`). A record holds digests of calls, never a sequence, a key or a body.
"""

import hmac
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import orjson

GENESIS = "0" * 64


@dataclass(frozen=True, slots=True)
class Event:
    """What is about to take effect: a kind (closed list below), when, and plain facts (no secrets)."""

    kind: str
    at: float
    facts: Mapping[str, Any]


AUDIT_KINDS = (
    "chain_started",
    "chain_repaired",
    "policy_permitted",
    "policy_refused",
    "policy_answered",
    "key_created",
    "key_revoked",
    "approval_created",
    "approval_revoked",
    "cache_purged",
    "namespace_created",
    "namespace_frozen",
    "namespace_dropped",
    "namespace_exported",
    "namespace_imported",
)


@dataclass(frozen=True, slots=True)
class ChainHead:
    """Where a chain stands: the number and HMAC of its last record. An empty chain is at 0, GENESIS."""

    seq: int = 0
    mac: str = GENESIS


@dataclass(frozen=True, slots=True)
class BrokenLink:
    """The first broken link: line number (from 1) and what is wrong with it."""

    line: int
    reason: str


def link(secret: bytes, head: ChainHead, event: Event) -> tuple[bytes, ChainHead]:
    """The line (with its newline) that continues the chain, and the new head."""
    seq = head.seq + 1
    content = {"seq": seq, "at": event.at, "kind": event.kind, "facts": dict(event.facts), "prev": head.mac}
    mac = _mac(secret, content)
    line = orjson.dumps({**content, "mac": mac}, option=orjson.OPT_SORT_KEYS) + b"\n"
    return line, ChainHead(seq, mac)


def follow(secret: bytes, head: ChainHead, line: bytes) -> ChainHead | str:
    """The head after one line, or a sentence that says how the line breaks the chain."""
    try:
        record = orjson.loads(line)
        written = orjson.dumps(record, option=orjson.OPT_SORT_KEYS)
        mac = record.pop("mac").encode()
    except (ValueError, KeyError, AttributeError, TypeError):
        return "the line is not a record"
    if not hmac.compare_digest(mac, _mac(secret, record).encode()):
        return "the content does not match its HMAC"
    # Spelled otherwise it may read otherwise: of a member that stands there twice, the HMAC sees only the last.
    if line != written:
        return "it is not spelled as the gateway writes it"
    if record.get("prev") != head.mac or record.get("seq") != head.seq + 1:
        return f"it does not follow record {head.seq}"
    return ChainHead(head.seq + 1, mac.decode())


def verify(secret: bytes, lines: Iterable[bytes], head: ChainHead | None = None) -> ChainHead | BrokenLink:
    """Follow the whole chain. With `head` (kept elsewhere) a chain that ends before it is broken too."""
    at = ChainHead()
    number = 0
    witnessed = head is None or head.seq == 0
    for number, line in enumerate(lines, start=1):
        after = follow(secret, at, line.rstrip(b"\n"))
        if isinstance(after, str):
            return BrokenLink(number, after)
        at = after
        witnessed = witnessed or at == head
    if not witnessed:
        return BrokenLink(number + 1, f"records up to {head.seq if head else 0} were written, and are missing")
    return at


def _mac(secret: bytes, content: Mapping[str, Any]) -> str:
    return hmac.new(secret, orjson.dumps(content, option=orjson.OPT_SORT_KEYS), sha256).hexdigest()
