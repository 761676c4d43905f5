"""What is on record: every kind of audit record, and what each of its facts means (docs/audit.md)."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace


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
