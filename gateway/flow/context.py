"""What is remembered of one request while it runs, for its access-log line and its metrics. No secret, no sequence."""

from gateway.core.types import Call, Principal


class RequestContext:
    """One request. Seconds are monotonic; parts that did not happen stay 0."""

    __slots__ = (
        "cache",
        "call",
        "endpoint",
        "known",
        "outcome",
        "permitted",
        "problem",
        "queue_s",
        "request_id",
        "started",
        "store_s",
        "takes_zstd",
        "upstream_s",
        "who",
    )

    def __init__(self, request_id: str, started: float) -> None:
        self.request_id = request_id
        self.started = started
        self.endpoint = "none"
        self.outcome = "none"
        self.cache = "none"
        self.problem = ""
        self.permitted = False
        self.who: Principal | None = None
        self.call: Call | None = None
        self.store_s = 0.0
        self.upstream_s = 0.0
        self.queue_s = 0.0
        self.takes_zstd = False
        self.known: str | None = None
