"""The nouns of a request's path: call, answer, response, principal, grant.

All frozen. Nothing here knows HTTP servers, stores or clocks; times are seconds since the epoch, given by the caller.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class DeterminismClass(StrEnum):
    """What a repeat of the same call would answer, by the rules of the published sampler."""

    EXACT = "exact"
    PINNED = "pinned"
    SAMPLED = "sampled"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Determinism:
    """A class, the one rule that decided it, and what the caller could change to make the call `exact`."""

    cls: DeterminismClass
    reason: str
    remedy: str | None = None


@dataclass(frozen=True, slots=True)
class Call:
    """What was asked, validated and normalised.

    `body` is what goes upstream, `canonical_digest` the SHA-256 of the canonical form: two calls with the same meaning have
    the same one. `sharing_digest` is the digest under the rule set in force, by which answers are
    shared; empty: `canonical_digest` is. With `template_track` (the generated track) what is shared is a frame, and each caller's inputs go around it.
    `units` is the cost (model weight x effective steps x tokens), `length` the number of tokens.
    """

    endpoint: str
    target: str
    model: str
    flagged: bool
    body: bytes = field(repr=False)
    canonical_digest: bytes = field(repr=False)
    units: int
    length: int
    determinism: Determinism
    sharing_digest: bytes = field(default=b"", repr=False)
    template_track: str | None = None

    @property
    def cache_digest(self) -> bytes:
        """The digest that calls have in common which share an answer."""
        return self.sharing_digest or self.canonical_digest


@dataclass(frozen=True, slots=True)
class Answer:
    """A complete JSON success of the upstream, as bytes that are never unpickled.

    `compute_s` is how long the upstream worked, `upstream` which one it was. `compressed` is the body in zstd, where it is
    stored so. A `is_template` body lacks the caller's inputs and goes to nobody as it is. `etag` and `receipt` are made
    when an answer is presented to a caller.
    """

    body: bytes = field(repr=False)
    created: float
    cls: DeterminismClass
    compute_s: float = 0.0
    upstream: str = ""
    compressed: bytes | None = field(default=None, repr=False)
    is_template: bool = False
    etag: str = ""
    receipt: str = ""


@dataclass(frozen=True, slots=True)
class Response:
    """What goes back to the caller."""

    status: int
    body: bytes = field(repr=False)
    headers: Mapping[str, str]
    media_type: str = "application/json"


@dataclass(frozen=True, slots=True)
class Limits:
    """Ceilings for one holder (a user, or one key). None means: no ceiling of this kind."""

    requests_per_minute: int | None = None
    burst: int | None = None
    concurrent: int | None = None
    units_per_day: int | None = None


@dataclass(frozen=True, slots=True)
class CacheScope:
    """What one key may do with the cache. None: as the settings say; for directives: all of them."""

    classes: tuple[str, ...] | None = None
    share: str | None = None
    directives: tuple[str, ...] | None = None
    namespace: str | None = None


@dataclass(frozen=True, slots=True)
class Namespace:
    """A named record of calls and answers; from `frozen` on it answers from what it holds and from nothing else."""

    name: str
    created: float
    frozen: float | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """A virtual key as it is stored: never the secret, only an HMAC of it (hex)."""

    public_id: str
    digest: str = field(repr=False)
    user: str
    team: str
    created: float
    expires: float | None = None
    revoked: float | None = None
    models: tuple[str, ...] | None = None
    limits: Limits = Limits()
    label: str = ""
    cache: CacheScope | None = None


@dataclass(frozen=True, slots=True)
class Approval:
    """An approval for one user to send declared sequences of concern: for a time, perhaps for some models only."""

    approval_id: str
    user: str
    approved_by: tuple[str, ...]
    reason: str
    created: float
    expires: float
    models: tuple[str, ...] | None = None
    revoked: float | None = None


@dataclass(frozen=True, slots=True)
class Principal:
    """The holder of a virtual key, with everything that decides what they may do."""

    key: KeyRecord
    approvals: tuple[Approval, ...] = ()

    @property
    def user(self) -> str:
        return self.key.user

    @property
    def team(self) -> str:
        return self.key.team
