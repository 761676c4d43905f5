"""The context of one request while it runs, for its access-log line and its metrics. No secret, no sequence."""

from collections.abc import Callable, Mapping

from gateway.core.cache_plan import Forwarded
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
        "fwd",
        "got_earlier",
        "if_none_match",
        "outcome",
        "patient",
        "problem",
        "queue_s",
        "request_id",
        "state_lost",
        "store_s",
        "takes_zstd",
        "units_left",
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
        self.fwd: Forwarded = "miss"
        self.units_left: Mapping[str, str] = {}
        """RateLimit fields about units, once this caller was charged some."""
        self.state_lost = False
        """Whether its rate was counted in this process, because the state store is away: then only hits are served."""
        self.upstream_reason = ""
        self.drawn: DrawnSample | None = None
        self.got_earlier = False
        """Whether the answer is an earlier one, although this request computed one."""
        self.takes_zstd = False
        self.if_none_match: str | None = None

    def elapsed_s(self) -> float:
        """Seconds since the request arrived."""
        return self._monotonic() - self._started
