"""The types that every layer shares: call, answer, response, limits, virtual key, approval, principal, namespace.

All are frozen. Nothing here knows HTTP servers, stores or clocks; times are seconds since the epoch.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class DeterminismClass(StrEnum):
    """Whether a repeat of the same call gets the same answer, by the rules of the published sampler."""

    EXACT = "exact"
    PINNED = "pinned"
    SAMPLED = "sampled"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Determinism:
    """A class, the rule that decided it, and what the caller could change to make the call `exact`."""

    cls: DeterminismClass
    reason: str
    remedy: str | None = None


@dataclass(frozen=True, slots=True)
class Call:
    """What a caller asked for, validated and normalised.

    `body` is what goes upstream, `canonical_digest` the SHA-256 of its canonical form: equal for calls with the same
    meaning. `units` is the cost (model weight x effective steps x tokens), `length` the number of tokens.

    At `cache.level = "sampler"`, calls with the same `sharing_digest` share an answer, and `template_track` names the
    generated track; each call's own inputs are filled into the shared answer (`core/echo_template.py`).

    `former_digest` is the digest by an earlier canonical form, where that is another one (`core/canonical_form.py`).
    `drawn` stands for the class where that is unknown: `exact` draws nothing, `sampled` is meant to differ.
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
    former_digest: bytes = field(default=b"", repr=False)
    drawn: DeterminismClass = DeterminismClass.EXACT

    @property
    def draws(self) -> DeterminismClass:
        """What a repeat draws anew: nothing (`exact`), what temperature 0 leaves to chance, or a whole sample."""
        return self.drawn if self.determinism.cls is DeterminismClass.UNKNOWN else self.determinism.cls

    @property
    def cache_digest(self) -> bytes:
        """The digest that all calls which share an answer have in common."""
        return self.sharing_digest or self.canonical_digest

    @property
    def spelling_digest(self) -> bytes:
        """The finest digest: calls that an earlier canonical form told apart have different ones."""
        return self.former_digest or self.canonical_digest


@dataclass(frozen=True, slots=True)
class Imported:
    """Which file an answer was read from, and what vouches for it.

    `file` is the SHA-256 of the file, `signer` the public key that it is signed with (empty: it is not signed), and
    `trusted` whether whoever imported it trusted that key. `issued` is the short form of the receipt that the exporting
    gateway had issued for the answer (empty: the file has none).
    """

    file: bytes
    at: float
    by: str
    signer: bytes = b""
    trusted: bool = False
    issued: str = ""

    @property
    def signature(self) -> str:
        """`trusted`, `untrusted` or `none`."""
        return "none" if not self.signer else "trusted" if self.trusted else "untrusted"


@dataclass(frozen=True, slots=True)
class Answer:
    """A complete JSON success of the upstream, as bytes that are never unpickled.

    `created` is when its call was sent (RFC 9111 section 4.2.3 counts the age from there), in seconds since the epoch.
    `upstream` computed it in `compute_s`; with `no_store` it forbids to keep it. `compressed` is the body in zstd, if
    that is worth it. `etag` and `receipt` are set when an answer is rendered for a caller. An `imported` one was read
    from a file: what it says of its upstream and its time is what the file says.

    At `cache.level = "sampler"`: an `is_template` body lacks the caller's inputs and is never sent as it is; an answer
    with `only_for` is for calls with that canonical digest alone.

    A `doubtful` one is hollow or implausible (`core/answer_model.py`): it is passed on and never kept.
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
    only_for: bytes = field(default=b"", repr=False)
    no_store: bool = False
    imported: Imported | None = None
    doubtful: bool = False


@dataclass(frozen=True, slots=True)
class Response:
    """What is sent to the caller."""

    status: int
    body: bytes = field(repr=False)
    headers: Mapping[str, str]
    media_type: str = "application/json"


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of one user or one key. None: no limit of this kind."""

    requests_per_minute: int | None = None
    burst: int | None = None
    concurrent: int | None = None
    units_per_day: int | None = None


@dataclass(frozen=True, slots=True)
class CacheScope:
    """How one key may use the cache. None: as the settings say; for `directives`: all of them."""

    classes: tuple[str, ...] | None = None
    share: str | None = None
    directives: tuple[str, ...] | None = None
    namespace: str | None = None


@dataclass(frozen=True, slots=True)
class Namespace:
    """A named set of calls and answers, kept for good; once `frozen` it answers only from what it holds."""

    name: str
    created: float
    frozen: float | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """A virtual key as it is stored: not the secret, only an HMAC of it (hex)."""

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
    """Permission for one user to send declared sequences of concern: for a time, and perhaps for some models only."""

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
    """The holder of a virtual key, with all that decides what they may do."""

    key: KeyRecord
    approvals: tuple[Approval, ...] = ()

    @property
    def user(self) -> str:
        return self.key.user

    @property
    def team(self) -> str:
        return self.key.team
