"""The audit chain: each record carries an HMAC over its own content and its predecessor's HMAC.

Changing, removing, inserting or reordering a line without the audit secret breaks the chain at that line, and `verify`
names the first such line. Cutting whole lines off the end is detected only by comparing with a head that is stored
elsewhere, under the chain's own random identity. A chain may run through several files (segments): each begins with a
record that names the chain, and links to the last record of the one before. A record holds digests of calls, never a
sequence, a key or a body.
"""

import hmac
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
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
class AuditKind:
    """One row: when such a record is written, its facts, and those that it has only if there is something to say."""

    written: str
    facts: Mapping[str, str]
    optional: Mapping[str, str] = field(default_factory=dict)


_BY = {"by": "who did it, as they said"}
_COMMAND = {
    "ran_by": "the operating system's user who ran the command",
    "logged_in_as": "who had logged in, where that is known and somebody else (`sudo`)",
}
"""Facts of a change that a command made. `by` may be any name; these are the operating system's."""
_CALL = {
    "request": "id of the request",
    "user": "user of the key",
    "team": "team of the key",
    "key": "id of the virtual key",
    "endpoint": "endpoint",
    "model": "model",
    "call": "SHA-256 of the canonical form of the call; never the sequence itself",
}
_DECISION = {
    **_CALL,
    "policy": "name of the policy",
    "mode": "`enforce`, or `observe`: a refusal is recorded and the call goes on",
    "reason": "the reason given to the caller",
}
_REFUSALS = {
    "policy": "name of the policy; `key`: calls that waited while their key ended",
    "mode": "`enforce`",
    "reason": "the reason given to the caller",
    "refused": "how many calls were refused and have no record of their own",
    "first_at": "when the first of them was refused",
    "last_at": "when the last of them was refused",
    "user": "user of the keys; null: several users, see `users`",
    "team": "team of the last key; null: several users",
    "keys": "ids of the first few virtual keys",
    "different_keys": "how many virtual keys; at most 32 are told apart",
    "endpoints": "the first few endpoints",
    "models": "the first few models",
    "calls": "SHA-256 of the first few different calls, as `call` elsewhere",
    "different_calls": "how many different calls; at most 32 are told apart",
}
_DETAILS = {"details": "facts of the policy's own; of `concern`: `approval`, the id of the approval in force"}
_NAMESPACE = {**_BY, "namespace": "its name"}
_NUMBER = {"number": "number of the decision; so many had been made by then, or more"}
_KINDS: Mapping[str, AuditKind] = {
    "chain_started": AuditKind("A new chain begins.", {"file": "name of the file", "chain": "its identity, at random"}),
    "segment_started": AuditKind(
        "The chain goes on in a new file: the one before was full, or is not there any more.",
        {"file": "name of the file", "chain": "identity of the chain"},
    ),
    "chain_accepted": AuditKind(
        "An administrator accepts that this record and the heads in the state store do not fit together.",
        {
            **_BY,
            "why": "what did not fit",
            "chains": "where another chain was begun: identities of those last written to this path, here or elsewhere",
        },
    ),
    "chain_repaired": AuditKind(
        "A last line without its end (a crash while writing) was cut off; it was never confirmed to anybody.",
        {"bytes": "length of what was cut off", "sha256": "SHA-256 of it"},
    ),
    "policy_permitted": AuditKind(
        "An audited policy permitted a call; written before the call goes on.",
        _DECISION,
        _DETAILS,
    ),
    "policy_refused": AuditKind(
        "An audited policy refused a call; of the refusals of one user, the first few only.", _DECISION, _DETAILS
    ),
    "policy_refusals": AuditKind(
        "More calls of a user were refused than are recorded one by one; written when the window in which they were "
        "counted ends (after a minute; up to an hour while it goes on), and when the worker stops.",
        _REFUSALS,
        {
            "users": "instead of `user`: the first few of those who were too many to be counted one by one",
            "different_users": "how many users; at most 32 are told apart",
        },
    ),
    "permission_ended": AuditKind(
        "A call that had been permitted does not go on: while it waited, the caller's key or approval ended. Nothing "
        "more was sent for it, and nothing is charged. Of calls about which no audited policy decides, the first few "
        "of a user only.",
        {
            **_CALL,
            "ended": "`key`, or the name of the policy that permits the call no longer",
            "reason": "the reason given to the caller",
        },
    ),
    "policy_answered": AuditKind(
        "A call about which an audited policy had decided ended.",
        {**_CALL, "outcome": "`hit`, `stale`, `miss`, `collapsed`, `bypass`, `hung_up` (the caller) or a problem type"},
    ),
    "key_created": AuditKind(
        "A virtual key is issued.",
        {
            **_BY,
            "key": "id of the key",
            "user": "its user",
            "team": "the user's team",
            "models": "models it may use; null: all",
            "expires": "when it expires (Unix time); null: never",
            "limits": "its own limits; null: none",
            "label": "a remark",
            "cache": "what it may do with the cache; null: what the settings say",
        },
    ),
    "key_revoked": AuditKind("A virtual key is revoked.", {**_BY, "key": "id of the key", "user": "its user"}, _NUMBER),
    "approval_created": AuditKind(
        "A user is approved to declare sequences of concern.",
        {
            "by": "the two or more people who approve",
            "approval": "id of the approval",
            "user": "who is approved",
            "reason": "why",
            "expires": "when it expires (Unix time)",
            "models": "models it covers; null: all",
        },
    ),
    "approval_revoked": AuditKind(
        "An approval is revoked.", {**_BY, "approval": "id of the approval", "user": "whose it was"}, _NUMBER
    ),
    "cache_purged": AuditKind(
        "Cached answers are purged; without an optional fact, all of them.",
        {**_BY, "namespace": "whose answers; `default`: those in no named namespace"},
        {
            "model": "only answers of this model",
            "older_than_s": "only answers older than this many seconds",
            "key": "only the entry with this cache key",
            "soft": "true: the answers remain usable as stale-if-error",
        },
    ),
    "secrets_moved": AuditKind(
        "What another master secret had sealed is sealed with the present one; nothing else about it changes.",
        {**_BY, "secret": "id of the present master secret"},
    ),
    "namespace_created": AuditKind("A namespace is created.", {**_NAMESPACE, "note": "a remark"}),
    "namespace_frozen": AuditKind(
        "A namespace is frozen.", _NAMESPACE, {**_NUMBER, "created": "when it was created (Unix time)"}
    ),
    "namespace_dropped": AuditKind(
        "A namespace is deleted with all its entries.",
        {**_NAMESPACE, "entries": "how many entries it held", "frozen": "when it was frozen (Unix time); null: live"},
    ),
    "namespace_exported": AuditKind(
        "A namespace is written into a file.", {**_NAMESPACE, "flagged": "whether with declared sequences of concern"}
    ),
    "namespace_imported": AuditKind(
        "A file is read into a new namespace.",
        {
            **_NAMESPACE,
            "sha256": "SHA-256 of the file",
            "entries": "how many entries it has",
            "signature": "`trusted`, `untrusted` (by an unknown key) or `none`",
        },
        {"signed_by": "the public key that the file is signed with"},
    ),
    "decisions_reapplied": AuditKind(
        "The state store had undone decisions (an older copy was put back, or somebody wrote to it); they hold.",
        {"decisions": "the first few: `key:`, `approval:` or `namespace:` and what it is about", "count": "how many"},
    ),
    "state_accepted": AuditKind(
        "An administrator accepts a state store that has lost keys or decisions; new requests are admitted again.",
        {
            **_BY,
            "why": "why nothing new was admitted; empty: it was",
            "number": "decisions up to this number may be missing",
            "keys": "how many virtual keys the store held when it was last in order",
            "held": "how many it holds",
        },
    ),
}
AUDIT_KINDS: Mapping[str, AuditKind] = {
    name: replace(kind, optional={**kind.optional, **_COMMAND}) if "by" in kind.facts else kind
    for name, kind in _KINDS.items()
}
"""Every kind of record and what it says, for docs/audit.md. The tests' audit log refuses an event that is not so."""


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
