"""Every metric that the gateway exports, one row each: name, kind, closed label sets, what it tells an operator.

Labels are closed: endpoint names, outcomes and reasons written down here or in the tables they come from. Never a
user, a key or a sequence. docs/metrics.md, the dashboards and the alert rules are held to this table by a test.
"""

from dataclasses import dataclass
from typing import Literal

SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)
HOUR = 3600
AGES = (1, 10, 60, 300, 900, 1800, *(HOUR * n for n in (1, 2, 4, 8, 12, 24, 48, 96, 168, 336, 720, 2160)))
"""A second to ninety days. As many bounds as `SECONDS` has: a histogram's room is the same whatever it measures."""


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
    "Requests; outcome is hit, stale, miss, shared, bypass, answered (our own calls), or the slug of the problem.",
)
LATENCY = Metric(
    "esmgw_request_duration_seconds",
    "histogram",
    ("endpoint", "part"),
    "Seconds a request took; part is total, gateway, upstream, store or queue.",
)
CACHE = Metric(
    "esmgw_cache_results_total",
    "counter",
    ("endpoint", "result", "reason"),
    "Cache look-ups; result is hit, stale, miss or bypass, with the class or the reason.",
)
CACHE_BAD_ENTRIES = Metric(
    "esmgw_cache_bad_entries_total",
    "counter",
    (),
    "Stored entries that were broken, forged or swapped, and so missed.",
)
CACHE_BYTES = Metric(
    "esmgw_cache_bytes_total",
    "counter",
    ("event",),
    "Bytes of answers; event is served (from the cache), kept (answers put into it) or packed (what those took there).",
)
CACHE_AGE = Metric(
    "esmgw_cache_age_seconds",
    "histogram",
    ("class",),
    "Ages of the answers that were hits.",
    AGES,
)
CACHE_WRITES = Metric(
    "esmgw_cache_writes_total",
    "counter",
    ("result",),
    "Computed answers that were to be kept; result is kept, or not_kept (too large, not to be shared, store lost).",
)
SECONDS_SAVED = Metric(
    "esmgw_upstream_seconds_saved_total",
    "counter",
    ("endpoint",),
    "Seconds that the upstream once worked for answers that were hits since.",
)
CACHE_STORE_KEYS = Metric(
    "esmgw_cache_store_keys",
    "gauge",
    ("what",),
    "Keys of the cache server; what is kept (now), evicted or expired (since it started).",
)
CACHE_STORE_BYTES = Metric("esmgw_cache_store_bytes", "gauge", (), "Memory that the cache server uses.")
SPOT_CHECKS = Metric(
    "esmgw_cache_spot_checks_total",
    "counter",
    ("result",),
    "Hits chosen to be computed again; result is same, different, failed, no_budget, busy or recent.",
)
DIVERGENCE = Metric(
    "esmgw_cache_divergence_total",
    "counter",
    ("model", "class", "rule_set"),
    "Kept answers that the upstream answered otherwise when it was asked again.",
)
WARNINGS = Metric(
    "esmgw_warnings_total",
    "counter",
    ("topic",),
    "Sentences given to callers in warning_messages; topic is pinned or recorded.",
)
COLLAPSED = Metric(
    "esmgw_collapsed_total",
    "counter",
    ("scope",),
    "Calls that got another call's fresh answer; scope is process or fleet.",
)
LEASE_WAIT = Metric(
    "esmgw_lease_wait_seconds",
    "histogram",
    ("result",),
    "Seconds a call waited for another process's equal one; result is followed, led (in its turn) or gave_up.",
)
UNITS = Metric(
    "esmgw_units_total",
    "counter",
    ("endpoint", "event"),
    "Units; event is reserved, settled, refunded, saved, or revalidated (those are in settled, too).",
)
QUOTA_REFUSALS = Metric(
    "esmgw_quota_refusals_total",
    "counter",
    ("limit",),
    "Calls refused by a limit (its name, as in RateLimit-Policy).",
)
QUEUE_WAITS = Metric(
    "esmgw_queue_waits_total",
    "counter",
    ("result",),
    "Calls that waited for a rate to free up; admitted or refused.",
)
POLICY = Metric(
    "esmgw_policy_decisions_total",
    "counter",
    ("policy", "mode", "decision"),
    "Decisions of policies; mode is enforce or observe, decision permitted or refused.",
)
UPSTREAM_REQUESTS = Metric(
    "esmgw_upstream_requests_total",
    "counter",
    ("endpoint", "outcome"),
    "Tries sent upstream; outcome is ok, rest, dead, failed, timeout, lost, refused, bad_answer or crowded.",
)
UPSTREAM_KEYS = Metric(
    "esmgw_upstream_keys",
    "gauge",
    ("state",),
    "Upstream keys by state: ready, resting, dead (worst worker's view).",
)
BREAKER = Metric("esmgw_breaker_state", "gauge", (), "1 while a worker's upstream breaker is open, 0.5 on trial.")
IN_FLIGHT = Metric("esmgw_in_flight", "gauge", ("what",), "Requests and upstream calls under way now.")
STORE_ERRORS = Metric(
    "esmgw_store_errors_total",
    "counter",
    ("store", "operation"),
    "Failed operations on the state or cache store.",
)
AUDIT_RECORDS = Metric("esmgw_audit_records_total", "counter", ("kind",), "Audit records durably written.")
AUDIT_FAILURES = Metric("esmgw_audit_failures_total", "counter", (), "Audit records that could not be written.")
AUTH_FAILURES = Metric(
    "esmgw_auth_failures_total",
    "counter",
    ("reason",),
    "Refused keys: missing, malformed, unknown, expired, revoked.",
)
LOCAL_CACHE_BYTES = Metric(
    "esmgw_local_cache_bytes", "gauge", ("layer",), "Bytes kept in process memory; layer is calls or answers."
)
BUILD_INFO = Metric("esmgw_build_info", "gauge", ("version",), "Always 1; the version that runs.")

METRICS: tuple[Metric, ...] = (
    REQUESTS,
    LATENCY,
    CACHE,
    CACHE_BAD_ENTRIES,
    CACHE_BYTES,
    CACHE_AGE,
    CACHE_WRITES,
    SECONDS_SAVED,
    CACHE_STORE_KEYS,
    CACHE_STORE_BYTES,
    SPOT_CHECKS,
    DIVERGENCE,
    WARNINGS,
    COLLAPSED,
    LEASE_WAIT,
    UNITS,
    QUOTA_REFUSALS,
    QUEUE_WAITS,
    POLICY,
    UPSTREAM_REQUESTS,
    UPSTREAM_KEYS,
    BREAKER,
    IN_FLIGHT,
    STORE_ERRORS,
    AUDIT_RECORDS,
    AUDIT_FAILURES,
    AUTH_FAILURES,
    LOCAL_CACHE_BYTES,
    BUILD_INFO,
)
