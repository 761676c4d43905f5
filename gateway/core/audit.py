"""The audit chain: each record carries an HMAC over its own content and its predecessor's HMAC.

Changing, removing, inserting or reordering a line without the audit secret breaks the chain at that line, and `verify`
names the first such line. Cutting whole lines off the end is detected only by comparing with a head that is stored
elsewhere, under the chain's own random identity. A chain may run through several files (segments): each begins with a
record that names the chain, and links to the last record of the one before. A record holds digests of calls, never a
sequence, a key or a body.
"""

import hmac
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import orjson

from gateway.core.sealing import every

GENESIS = "0" * 64


@dataclass(frozen=True, slots=True)
class Event:
    """What is about to take effect: a kind (a row of `AUDIT_KINDS`), when, and plain facts (no secrets)."""

    kind: str
    at: float
    facts: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ChainHead:
    """The number and HMAC of a chain's last record; 0 and GENESIS for an empty chain."""

    seq: int = 0
    mac: str = GENESIS


@dataclass(frozen=True, slots=True)
class BrokenLink:
    """The first broken link: line number (from 1) and what is wrong with it."""

    line: int
    reason: str


@dataclass(frozen=True, slots=True)
class StoredHead:
    """A head as it is kept elsewhere: with the file that the chain was last written to, and when (Unix time)."""

    head: ChainHead
    place: str
    at: float


def link(secret: bytes, head: ChainHead, event: Event) -> tuple[bytes, ChainHead]:
    """The line (with its newline) that continues the chain, and the new head."""
    seq = head.seq + 1
    content = {"seq": seq, "at": event.at, "kind": event.kind, "facts": dict(event.facts), "prev": head.mac}
    mac = _mac(secret, content)
    line = orjson.dumps({**content, "mac": mac}, option=orjson.OPT_SORT_KEYS) + b"\n"
    return line, ChainHead(seq, mac)


def follow(secret: bytes, head: ChainHead, line: bytes) -> ChainHead | str:
    """The head after one line, or a sentence that says how the line breaks the chain."""
    record = read_record(secret, line)
    if isinstance(record, str):
        return record
    if record.get("prev") != head.mac or record.get("seq") != head.seq + 1:
        return f"it does not follow record {head.seq}"
    return ChainHead(head.seq + 1, record["mac"])


def read_record(secret: bytes, line: bytes) -> dict[str, Any] | str:
    """A record that was written under this secret, wherever it belongs, or a sentence that says why it is none.

    A line may be linked under any of the secret's others: the chain goes on when the master secret is replaced.
    """
    try:
        record: dict[str, Any] = orjson.loads(line)
        written = orjson.dumps(record, option=orjson.OPT_SORT_KEYS)
        mac = record.pop("mac")
        proof = mac.encode()
    except (ValueError, KeyError, AttributeError, TypeError):
        return "the line is not a record"
    if not sum(hmac.compare_digest(proof, _mac(each, record).encode()) for each in every(secret)):
        return "the content does not match its HMAC"
    # Another spelling may be read differently: of a repeated member, the HMAC covers only the last.
    if line != written:
        return "it is not serialised as the gateway writes it"
    return {**record, "mac": mac}


def chain_of(record: Mapping[str, Any]) -> str:
    """The identity of the chain that a file's first record begins or goes on with.

    Chains from before identities were given have the HMAC of their first record in its place.
    """
    return str(record["facts"].get("chain") or record["mac"][:32])


def verify(
    secret: bytes, lines: Iterable[bytes], head: ChainHead | None = None, start: ChainHead | None = None
) -> ChainHead | BrokenLink:
    """Verify a chain from `start` (its beginning). One that ends before `head` (stored elsewhere) is broken too."""
    at = start or ChainHead()
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
