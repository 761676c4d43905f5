"""Every metric that the gateway exports, one row each: name, kind, labels, its meaning.

Labels have closed sets of values: endpoint names, and outcomes and reasons written down here or in the tables they come
from. Never a user, a key or a sequence. docs/metrics.md, the dashboards and the alert rules are tested against these
rows.
"""

from dataclasses import dataclass
from typing import Literal

SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)
HOUR = 3600
AGES = (1, 10, 60, 300, 900, 1800, *(HOUR * n for n in (1, 2, 4, 8, 12, 24, 48, 96, 168, 336, 720, 2160)))
"""A second to ninety days. As many bounds as `SECONDS` has: every histogram takes the same room."""


@dataclass(frozen=True, slots=True)
class Metric:
    """One row. `name` is the full name as Prometheus shows it, without the suffix of histograms."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    labels: tuple[str, ...]
    help: str
    bounds: tuple[float, ...] = SECONDS


REQUESTS = Metric(
    "esmgw_requests_total",
    "counter",
    ("endpoint", "outcome"),
    "Requests by outcome: hit, stale, miss, collapsed, bypass, answered (by the gateway itself), hung_up (the caller) "
    "or a problem type.",
)
LATENCY = Metric(
    "esmgw_request_duration_seconds",
    "histogram",
    ("endpoint", "part"),
    "Duration of requests; part is total, gateway, upstream, store or queue.",
)
CACHE = Metric(
    "esmgw_cache_results_total",
    "counter",
    ("endpoint", "result", "reason"),
    "Cache look-ups; result is hit, stale, miss or bypass. reason is the class, why it was bypassed, or why a cached "
    "answer was not used: stale, request (its directives) or no-cache.",
)
CACHE_BAD_ENTRIES = Metric(
    "esmgw_cache_bad_entries_total",
    "counter",
    (),
    "Cache entries that could not be decoded or authenticated and were treated as misses.",
)
CACHE_BYTES = Metric(
    "esmgw_cache_bytes_total",
    "counter",
    ("event",),
    "Bytes of responses; event is served (from the cache), stored (before compression) or compressed (as stored).",
)
CACHE_AGE = Metric("esmgw_cache_age_seconds", "histogram", ("class",), "Age of the response at each hit.", AGES)
CACHE_WRITES = Metric(
    "esmgw_cache_writes_total",
    "counter",
    ("result",),
    "Cache writes; result is stored, not_stored (too large, not shareable, or the store is lost) or forbidden (the "
    "upstream said no-store).",
)
SECONDS_SAVED = Metric(
    "esmgw_upstream_seconds_saved_total",
    "counter",
    ("endpoint",),
    "Upstream seconds saved by hits: what each response took when it was computed.",
)
CACHE_STORE_KEYS = Metric(
    "esmgw_cache_store_keys",
    "gauge",
    ("what",),
    "Keys of the cache server: stored (now), evicted or expired (since it started).",
)
CACHE_STORE_BYTES = Metric("esmgw_cache_store_bytes", "gauge", (), "Memory used by the cache server.")
SPOT_CHECKS = Metric(
    "esmgw_cache_spot_checks_total",
    "counter",
    ("result",),
    "Hits selected for a spot check; result is same, different, failed, no_budget, busy or recent.",
)
DIVERGENCE = Metric(
    "esmgw_cache_divergence_total",
    "counter",
    ("model", "class", "rule_set"),
    "Spot checks in which the upstream's response differed from the cached one.",
)
WARNINGS = Metric(
    "esmgw_warnings_total",
    "counter",
    ("topic",),
    "Warnings added to responses (warning_messages); topic is pinned or recorded.",
)
COLLAPSED = Metric(
    "esmgw_collapsed_total",
    "counter",
    ("scope",),
    "Requests collapsed onto another in-flight request; scope is process or distributed (another worker).",
)
LEASE_WAIT = Metric(
    "esmgw_lease_wait_seconds",
    "histogram",
    ("result",),
    "Time spent waiting for another worker's equal request; result is followed, led (took the lease) or gave_up.",
)
UNITS = Metric(
    "esmgw_units_total",
    "counter",
    ("endpoint", "event"),
    "Units; event is reserved, settled, refunded, saved (by hits) or spot_check (also counted as settled).",
)
QUOTA_REFUSALS = Metric(
    "esmgw_quota_refusals_total",
    "counter",
    ("limit",),
    "Requests refused by a limit; limit is its name as in RateLimit-Policy.",
)
QUEUE_WAITS = Metric(
    "esmgw_queue_waits_total",
    "counter",
    ("result",),
    "Requests that waited in the queue for a limit; result is admitted or refused.",
)
POLICY = Metric(
    "esmgw_policy_decisions_total",
    "counter",
    ("policy", "mode", "decision"),
    "Policy decisions; mode is enforce or observe, decision is permitted or refused.",
)
UPSTREAM_REQUESTS = Metric(
    "esmgw_upstream_requests_total",
    "counter",
    ("endpoint", "outcome"),
    "Upstream attempts: ok, cooling_down, disabled, failed, timeout, lost, refused, bad_answer, hollow (passed on, "
    "without what was asked for), too_large or not_sent.",
)
ANSWER_FAULTS = Metric(
    "esmgw_answer_faults_total",
    "counter",
    ("endpoint", "source", "fault"),
    "What was found in answers; source is upstream, cache or namespace. Refused: unsafe or broken. Passed on with a "
    "warning and not cached: hollow, text, form, length, masked, ids, changed or echo. Taken out: strings, controls or "
    "repeated.",
)
UPSTREAM_KEYS = Metric(
    "esmgw_upstream_keys",
    "gauge",
    ("state",),
    "Upstream keys by state: ready, cooling_down or disabled (the worst worker's view).",
)
BREAKER = Metric(
    "esmgw_breaker_state",
    "gauge",
    (),
    "Upstream circuit breaker: 0 closed, 0.5 half-open, 1 open (the worst worker's).",
)
BREAKER_CALLERS = Metric(
    "esmgw_breaker_callers",
    "gauge",
    (),
    "Callers whose own circuit is open because their calls alone failed, workers added up.",
)
CRASHES_REMEMBERED = Metric(
    "esmgw_upstream_crashes_remembered",
    "gauge",
    (),
    "Calls that failed upstream within the last minute and are remembered.",
)
UPSTREAM_WAITING = Metric("esmgw_upstream_waiting", "gauge", (), "Calls that wait for a place at the upstream.")
UPSTREAM_WINDOW = Metric(
    "esmgw_upstream_window",
    "gauge",
    (),
    "How many calls may be in flight with all upstream keys; refusals lower it, successes raise it.",
)
WAITING = Metric("esmgw_waiting", "gauge", (), "Requests that wait for a limit or for the upstream.")
IN_FLIGHT = Metric("esmgw_in_flight", "gauge", ("what",), "In-flight requests and upstream calls.")
CONNECTIONS = Metric("esmgw_connections", "gauge", (), "Open connections of callers.")
CONNECTIONS_CLOSED = Metric(
    "esmgw_connections_closed_total",
    "counter",
    ("reason",),
    "Connections closed before their time; reason is room (descriptors ran short) or address (its ceiling).",
)
BODY_BYTES = Metric(
    "esmgw_request_body_bytes", "gauge", (), "Bytes reserved for bodies of requests that are not answered yet."
)
BODY_WAITS = Metric("esmgw_request_bodies_waiting", "gauge", (), "Bodies that wait to be read (request.bodies_bytes).")
ANSWERS_UNSENT = Metric(
    "esmgw_unsent_answer_bytes", "gauge", (), "Bytes of large answers that are being sent (listen.unsent_bytes)."
)
ANSWERS_DROPPED = Metric(
    "esmgw_unsent_answers_dropped_total",
    "counter",
    ("reason",),
    "Large answers whose connection was closed before they were sent; reason is room (listen.unsent_bytes) or pace "
    "(listen.answer_pace).",
)
READER_JOBS = Metric(
    "esmgw_reader_jobs_total",
    "counter",
    ("kind", "outcome"),
    "Large bodies and answers that the worker's reader process was given; kind is body, explanation or answer, outcome "
    "is done, refused (a problem), stopped (it took too much time or memory) or lost (the process ended).",
)
READER_WAITING = Metric(
    "esmgw_reader_waiting", "gauge", (), "Large bodies and answers that wait for the worker's reader process."
)
STORE_ERRORS = Metric(
    "esmgw_store_errors_total",
    "counter",
    ("store", "operation"),
    "Failed operations on the state store or the cache store.",
)
STORE_LOST = Metric(
    "esmgw_store_lost_total",
    "counter",
    ("store", "reason"),
    "Times that a worker lost a store, or found it lost for another reason; docs/operating.md lists the reasons.",
)
STORE_UNUSABLE = Metric(
    "esmgw_store_unusable", "gauge", ("store",), "1 while a store cannot be used (the worst worker's view), else 0."
)
AUDIT_RECORDS = Metric("esmgw_audit_records_total", "counter", ("kind",), "Audit records written to disk.")
AUDIT_FAILURES = Metric("esmgw_audit_failures_total", "counter", (), "Audit records that could not be written.")
AUDIT_COUNTED = Metric(
    "esmgw_audit_refusals_counted_total",
    "counter",
    ("policy",),
    "Refusals that are counted in a summarising audit record because one user had too many for a record each.",
)
DECISIONS_REAPPLIED = Metric(
    "esmgw_decisions_reapplied_total",
    "counter",
    ("kind", "what"),
    "Decisions that the state store had undone and that hold; kind is key, approval or namespace, what is decision (it "
    "was missing) or record (a record contradicted it).",
)
STATE_CLOSED = Metric(
    "esmgw_state_closed",
    "gauge",
    (),
    "1 while nothing new is admitted because the state store is not the one that this instance knew.",
)
AUTH_FAILURES = Metric(
    "esmgw_auth_failures_total",
    "counter",
    ("reason",),
    "Rejected virtual keys; reason is missing, scheme (another one than Bearer), malformed, unknown, expired or "
    "revoked.",
)
LOCAL_CACHE_BYTES = Metric(
    "esmgw_local_cache_bytes",
    "gauge",
    ("layer",),
    "Memory of the in-process caches; layer is calls, plans, answers, keys (known virtual keys), warnings (who was "
    "warned) or spot_checks (what was checked).",
)
HELD = Metric(
    "esmgw_held",
    "gauge",
    ("what",),
    "What is in memory while it lasts; what is flights (computations that equal calls share), allowances (keys with "
    "requests charged in advance), tasks (work behind requests) or refused_users (their refused calls are counted).",
)
WORKERS = Metric(
    "esmgw_workers",
    "gauge",
    ("state",),
    "Workers by state: running, stalled (no heartbeat for two seconds) or down (starting, or exited).",
)
WORKER_RESTARTS = Metric(
    "esmgw_worker_restarts_total",
    "counter",
    ("reason",),
    "Workers started again; reason is exited, stood_still (killed for it) or not_started (the last start failed).",
)
LOOP_FAILURES = Metric(
    "esmgw_loop_failures_total",
    "counter",
    ("loop",),
    "Background loops of a worker that failed and were started again; loop is the part of the flow that it keeps up.",
)
BUILD_INFO = Metric("esmgw_build_info", "gauge", ("version",), "Always 1; the running version.")

METRICS = tuple(value for value in list(globals().values()) if isinstance(value, Metric))
