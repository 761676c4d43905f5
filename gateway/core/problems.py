"""Every problem type (RFC 9457) with which the gateway refuses a request, one row each.

A problem never repeats what the caller sent: it names fields by JSON pointer (RFC 6901) and says what would be right.
The statuses steer the official SDK, which retries 429, 502 and 504 and ignores Retry-After (see docs/decisions/0001).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class ProblemType:
    """One row: the slug of the type, the status, the title, and what the caller can do about it (docs/problems.md)."""

    slug: str
    status: int
    title: str
    remedy: str
    upstream_down: bool = False
    """Whether the upstream could not answer, so that a stale answer may be sent instead (stale-if-error)."""

    @property
    def uri(self) -> str:
        return f"urn:esm-gateway:problem:{self.slug}"


# fmt: off
UNKNOWN_PATH = ProblemType("unknown-path", 404, "There is no such endpoint.",
    "Check the path; `GET /` lists the endpoints.")
WRONG_METHOD = ProblemType("wrong-method", 405, "This endpoint does not accept that method.",
    "`Allow` names those that it accepts: the endpoints take POST.")
UNKNOWN_METHOD = ProblemType("unknown-method", 501, "That request method is not known here.",
    "The endpoints take POST; methods are written in capitals.")
CODING_UNKNOWN = ProblemType("transfer-coding-unknown", 501, "No Transfer-Encoding but chunked is known here.",
    "Send the body uncompressed, with `Content-Length` or in chunks.")
VERSION_UNKNOWN = ProblemType("http-version-unknown", 505, "This gateway speaks HTTP/1.1.",
    "Send HTTP/1.1; a proxy with TLS in front can offer HTTP/2.")
KEY_REFUSED = ProblemType("key-refused", 401, "The virtual key is missing, malformed, unknown, expired or revoked.",
    "Send `Authorization: Bearer esmgw_...`; ask an administrator for a key.")
MODEL_REFUSED = ProblemType("model-refused", 403, "This key may not use that model.",
    "Use a model that the key may use, or ask for another key.")
CONCERN_REFUSED = ProblemType("concern-refused", 403,
    "Declared sequences of concern need an approval that this user does not have.",
    "Ask an administrator for an approval (`esm-gateway approve`).")
POLICY_REFUSED = ProblemType("policy-refused", 403, "A policy of this gateway does not permit this call.",
    "`detail` says which rule and what would be permitted; ask an administrator.")
QUOTA_EXHAUSTED = ProblemType("quota-exhausted", 403, "The daily quota of units is exhausted.",
    "Wait until midnight UTC, or ask for a higher quota. Cache hits cost nothing.")
NOT_HTTP = ProblemType("not-http", 400, "This is not a well-formed HTTP request.",
    "Send HTTP/1.1; check the proxies between you and the gateway.")
BODY_UNREADABLE = ProblemType("body-unreadable", 400, "The body is not one well-formed JSON object.",
    "Send one JSON object in UTF-8, each member once, no NaN or Infinity.")
BODY_TOO_SLOW = ProblemType("body-too-slow", 408, "The body did not arrive in time.",
    "Send it again over a faster connection.")
BODY_TOO_LARGE = ProblemType("body-too-large", 413, "The body is larger than this endpoint accepts.",
    "Send less; see [endpoints](endpoints.md) for the limits.")
BODY_TOO_COMPLEX = ProblemType("body-too-complex", 422,
    "Reading the body takes more time or memory than any call needs.",
    "Send plain JSON: no blanks between numbers, no escapes, whole numbers without a fraction.")
READER_UNAVAILABLE = ProblemType("reader-unavailable", 503, "The gateway cannot read large bodies at the moment.",
    "Retry; tell the operator if it persists: the worker cannot start its reader process.")
MEDIA_TYPE_REFUSED = ProblemType("media-type-refused", 415,
    "The body must be application/json without a content coding.",
    "Send `Content-Type: application/json`, uncompressed.")
CALL_INVALID = ProblemType("call-invalid", 422, "The call is not valid.",
    "`errors` names each faulty field by JSON Pointer and says what would be right.")
CACHE_CONTROL_INVALID = ProblemType("cache-control-invalid", 400,
    "A Cache-Control directive cannot be read.",
    "`detail` names it: ages are whole seconds, `pool` and `namespace` take a name, `sample` beside one of them a "
    "number from 1, or `next` with a `run`; see [caching](caching.md).")
CACHE_CONTROL_REFUSED = ProblemType("cache-control-refused", 403, "This key may not use that Cache-Control directive.",
    "Leave the directive out, or ask an administrator for a key that may use it.")
UNKNOWN_NAMESPACE = ProblemType("unknown-namespace", 404, "There is no namespace of that name.",
    "Check the name; `esm-gateway cache namespaces` lists them.")
NOT_RECORDED = ProblemType("not-recorded", 404, "The namespace is frozen and holds no answer to this request.",
    "Only recorded answers can be replayed; leave the namespace out to have this one computed.")
NAMESPACE_FROZEN = ProblemType("namespace-frozen", 409, "The namespace is frozen and answers only from what it holds.",
    "Leave out `no-cache` and `no-store`, or the namespace.")
UNKNOWN_RECEIPT = ProblemType("unknown-receipt", 404, "This gateway issued no receipt with that identifier.",
    "Check that it was copied whole; only the gateway that issued a receipt can read it. Ask its holder for a signed "
    "statement, which any gateway can check.")
SIGNING_UNAVAILABLE = ProblemType("signing-unavailable", 503, "This gateway has no signing key that it can use.",
    "Tell the operator: `esm-gateway cache signing-key` says what is wrong with the file.")
NOT_IN_CACHE = ProblemType("not-in-cache", 412, "only-if-cached was requested and no cached answer exists.",
    "Leave out `Cache-Control: only-if-cached` to have it computed.")
RATE_EXCEEDED = ProblemType("rate-exceeded", 429, "Too many requests in a short time.",
    "Slow down: the gateway has already queued the request for a while. `Retry-After` says when to retry.")
CONCURRENCY_EXCEEDED = ProblemType("concurrency-exceeded", 429, "Too many concurrent calls.",
    "Wait until some of your calls have ended.")
STATE_UNAVAILABLE = ProblemType("state-unavailable", 503, "The gateway cannot check keys and quotas at the moment.",
    "The operator's state store is down. Nothing was sent or charged; cached answers are still served to known keys.")
STATE_CLOSED = ProblemType("state-closed", 503,
    "The gateway's state store is not the one that it knew, so nothing new is admitted.",
    "Tell the operator: `esm-gateway state status` says what was lost. Nothing was sent or charged.")
AUDIT_UNAVAILABLE = ProblemType("audit-unavailable", 503, "The audit record cannot be written, so nothing was done.",
    "The operator's audit disk is full or gone. Nothing was sent.")
UPSTREAM_UNAVAILABLE = ProblemType("upstream-unavailable", 503,
    "The upstream's circuit breaker is open after repeated failures.",
    "The upstream fails for everybody; the gateway probes it again after `Retry-After`.", upstream_down=True)
NO_UPSTREAM_KEY = ProblemType("no-upstream-key", 503, "No upstream key is available for this call.",
    "The upstream rejects the operator's keys, or none is marked for such calls.", upstream_down=True)
UPSTREAM_BUSY = ProblemType("upstream-busy", 429, "The upstream takes no more calls for now.",
    "Retry after `Retry-After`.", upstream_down=True)
UPSTREAM_FAILED = ProblemType("upstream-failed", 502, "The upstream failed on this call.",
    "Retry; you are charged only if the upstream may have done the work.", upstream_down=True)
UPSTREAM_REFUSED = ProblemType("upstream-refused", 422, "The upstream rejected this call.",
    "The upstream does not accept this call; `detail` has its status and its reason.")
UPSTREAM_CRASHED = ProblemType("upstream-crashed", 422,
    "The upstream fails on this very call while it answers others.",
    "Change the call: `detail` has the upstream's reason. The same call is sent again after a minute.")
ANSWER_TOO_LARGE = ProblemType("answer-too-large", 422, "The answer is larger than this gateway passes on.",
    "Ask for less: fewer layers, means instead of all positions, or a shorter protein. It was computed and charged.")
UPSTREAM_ANSWER_BAD = ProblemType("upstream-answer-bad", 502,
    "The upstream's response was incomplete or not JSON.",
    "Retry; tell the operator if it persists.", upstream_down=True)
ANSWER_UNSAFE = ProblemType("answer-unsafe", 422,
    "The answer holds text where the SDK would run it as code, so it is not passed on.",
    "Tell the operator: neither the upstream nor a recording may answer so. It was computed and charged once; the same "
    "call would be charged again.")
UPSTREAM_TIMEOUT = ProblemType("upstream-timeout", 504, "The upstream did not respond in time.",
    "Retry later, with fewer steps or a shorter protein.", upstream_down=True)
INTERNAL = ProblemType("internal", 500, "The gateway failed; the fault is logged under this request's id.",
    "Tell the operator the request's id (`instance`).")
# fmt: on

PROBLEM_TYPES = tuple(value for value in list(globals().values()) if isinstance(value, ProblemType))


@dataclass(frozen=True, slots=True)
class FieldError:
    """One faulty field: where (a JSON pointer, "" is the whole body) and what would be right."""

    pointer: str
    detail: str


@dataclass(eq=False)
class Problem(Exception):
    """A refusal. Raised inside the flow, turned into a response in one place."""

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
