"""The context of one request while it runs, for its access-log line and its metrics. No secret, no sequence."""

from collections.abc import Callable

from gateway.core.types import Call, Principal
from gateway.flow.sample_runs import DrawnSample


class RequestContext:
    """One request. Parts that did not happen stay 0 seconds long. `monotonic` tells the time."""

    __slots__ = (
        "_monotonic",
        "_started",
        "audited",
        "cache",
        "call",
        "drawn",
        "endpoint",
        "got_earlier",
        "if_none_match",
        "outcome",
        "patient",
        "problem",
        "queue_s",
        "request_id",
        "store_s",
        "takes_zstd",
        "upstream_reason",
        "upstream_s",
        "who",
    )

    def __init__(self, request_id: str, monotonic: Callable[[], float]) -> None:
        self.request_id = request_id
        self._monotonic, self._started = monotonic, monotonic()
        self.endpoint = "none"
        self.outcome = "none"
        self.cache = "none"
        self.problem = ""
        self.audited = False
        self.who: Principal | None = None
        self.call: Call | None = None
        self.store_s = 0.0
        self.upstream_s = 0.0
        self.queue_s = 0.0
        self.patient = True
        """Whether the caller may be kept waiting for an upstream that is down: not where a stale answer is at hand."""
        self.upstream_reason = ""
        self.drawn: DrawnSample | None = None
        self.got_earlier = False
        """Whether the answer is an earlier one, although this request computed one."""
        self.takes_zstd = False
        self.if_none_match: str | None = None

    def elapsed_s(self) -> float:
        """Seconds since the request arrived."""
        return self._monotonic() - self._started
