"""Every answer that the gateway gives itself when it refuses, in one table (RFC 9457).

A problem never repeats what the caller sent: it names fields by JSON pointer (RFC 6901) and says what would be right.
The statuses steer the official SDK, which retries 429, 502 and 504 and ignores Retry-After (see docs/decisions/0001).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class ProblemType:
    """One row: the slug of the type, the status, and the sentence that stands as the title."""

    slug: str
    status: int
    title: str
    upstream_down: bool = False
    """Whether it says that the upstream could not answer, so that a stale answer may stand in."""

    @property
    def uri(self) -> str:
        return f"urn:esm-gateway:problem:{self.slug}"


UNKNOWN_PATH = ProblemType("unknown-path", 404, "There is no such endpoint here.")
WRONG_METHOD = ProblemType("wrong-method", 405, "This endpoint does not take that method.")
KEY_REFUSED = ProblemType("key-refused", 401, "The virtual key is missing, malformed, unknown, expired or revoked.")
MODEL_REFUSED = ProblemType("model-refused", 403, "This key may not use that model.")
CONCERN_REFUSED = ProblemType(
    "concern-refused", 403, "Declared sequences of concern need an approval that this user does not have."
)
POLICY_REFUSED = ProblemType("policy-refused", 403, "A policy of this gateway does not permit this call.")
QUOTA_EXHAUSTED = ProblemType("quota-exhausted", 403, "The day's units are spent.")
BODY_UNREADABLE = ProblemType("body-unreadable", 400, "The body is not one well-formed JSON object.")
BODY_TOO_SLOW = ProblemType("body-too-slow", 408, "The body did not arrive in time.")
BODY_TOO_LARGE = ProblemType("body-too-large", 413, "The body is larger than this endpoint accepts.")
MEDIA_TYPE_REFUSED = ProblemType("media-type-refused", 415, "The body must be application/json, not encoded.")
CALL_INVALID = ProblemType("call-invalid", 422, "The call is not valid.")
CACHE_CONTROL_INVALID = ProblemType(
    "cache-control-invalid", 400, "A Cache-Control directive of the gateway says nothing."
)
CACHE_CONTROL_REFUSED = ProblemType("cache-control-refused", 403, "This key may not use that Cache-Control directive.")
UNKNOWN_NAMESPACE = ProblemType("unknown-namespace", 404, "There is no namespace of that name.")
NOT_RECORDED = ProblemType("not-recorded", 404, "The namespace is frozen and holds no answer to this call.")
NAMESPACE_FROZEN = ProblemType("namespace-frozen", 409, "The namespace is frozen: it answers from its record only.")
UNKNOWN_RECEIPT = ProblemType("unknown-receipt", 404, "This gateway made no receipt with that identifier.")
NOT_IN_CACHE = ProblemType("not-in-cache", 504, "only-if-cached was asked and no stored answer exists.")
RATE_EXCEEDED = ProblemType("rate-exceeded", 429, "Too many requests in a short time.")
CONCURRENCY_EXCEEDED = ProblemType("concurrency-exceeded", 429, "Too many calls under way at once.")
STATE_UNAVAILABLE = ProblemType("state-unavailable", 503, "The gateway cannot check keys and quotas just now.")
AUDIT_UNAVAILABLE = ProblemType("audit-unavailable", 503, "The audit record cannot be written, so nothing was done.")
UPSTREAM_UNAVAILABLE = ProblemType(
    "upstream-unavailable", 503, "The upstream is resting after repeated failures.", upstream_down=True
)
NO_UPSTREAM_KEY = ProblemType(
    "no-upstream-key", 503, "No upstream key is fit for this call just now.", upstream_down=True
)
UPSTREAM_BUSY = ProblemType("upstream-busy", 429, "The upstream's own rate limit is reached.", upstream_down=True)
UPSTREAM_FAILED = ProblemType("upstream-failed", 502, "The upstream failed on this call.", upstream_down=True)
UPSTREAM_REFUSED = ProblemType("upstream-refused", 422, "The upstream refused this call.")
UPSTREAM_ANSWER_BAD = ProblemType(
    "upstream-answer-bad", 502, "The upstream's answer was incomplete, too large or not JSON.", upstream_down=True
)
UPSTREAM_TIMEOUT = ProblemType("upstream-timeout", 504, "The upstream did not answer in time.", upstream_down=True)
INTERNAL = ProblemType("internal", 500, "A fault of the gateway's own; it has been recorded under this request's id.")

PROBLEM_TYPES: tuple[ProblemType, ...] = (
    UNKNOWN_PATH,
    WRONG_METHOD,
    KEY_REFUSED,
    MODEL_REFUSED,
    CONCERN_REFUSED,
    POLICY_REFUSED,
    QUOTA_EXHAUSTED,
    BODY_UNREADABLE,
    BODY_TOO_SLOW,
    BODY_TOO_LARGE,
    MEDIA_TYPE_REFUSED,
    CALL_INVALID,
    CACHE_CONTROL_INVALID,
    CACHE_CONTROL_REFUSED,
    UNKNOWN_NAMESPACE,
    NOT_RECORDED,
    NAMESPACE_FROZEN,
    UNKNOWN_RECEIPT,
    NOT_IN_CACHE,
    RATE_EXCEEDED,
    CONCURRENCY_EXCEEDED,
    STATE_UNAVAILABLE,
    AUDIT_UNAVAILABLE,
    UPSTREAM_UNAVAILABLE,
    NO_UPSTREAM_KEY,
    UPSTREAM_BUSY,
    UPSTREAM_FAILED,
    UPSTREAM_REFUSED,
    UPSTREAM_ANSWER_BAD,
    UPSTREAM_TIMEOUT,
    INTERNAL,
)


@dataclass(frozen=True, slots=True)
class FieldError:
    """One faulty field: where (a JSON pointer, "" is the whole body) and what would be right."""

    pointer: str
    detail: str


@dataclass(eq=False)
class Problem(Exception):
    """A refusal on its way to the caller. Raised inside the flow, turned into a response at its one border."""

    type: ProblemType
    detail: str = ""
    errors: Sequence[FieldError] = ()
    headers: Mapping[str, str] = field(default_factory=dict)

    def document(self, request_id: str) -> dict[str, Any]:
        """The RFC 9457 members; the SDK prints this text to a scientist, so it stays short."""
        body: dict[str, Any] = {"type": self.type.uri, "title": self.type.title, "status": self.type.status}
        if self.detail:
            body["detail"] = self.detail
        if self.errors:
            body["errors"] = [{"pointer": error.pointer, "detail": error.detail} for error in self.errors]
        body["instance"] = f"urn:esm-gateway:request:{request_id}"
        return body
