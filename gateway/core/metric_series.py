"""Every set of labels that a counter can have, so that each series exists before its first event, at zero.

Prometheus' `increase()` does not see the step with which a series appears: eight refusals in the first minute would be
none on the dashboard. Labels have closed sets of values (core/metrics.py), so all of them can be written down here.
"""

from collections.abc import Iterable, Iterator, Mapping
from itertools import product
from typing import get_args

from gateway.core import metrics as rows
from gateway.core.answer_faults import FAULTS, REFUSED, REPAIRS
from gateway.core.audit_kinds import AUDIT_KINDS
from gateway.core.cache_plan import BYPASS_REASONS
from gateway.core.metrics import Metric
from gateway.core.problems import PROBLEM_TYPES
from gateway.core.retry import OutcomeName
from gateway.core.store_faults import STORE_FAULTS, STORE_NAMES

Labels = tuple[str | None, ...]
"""None stands for each value of this label that is known elsewhere: an endpoint, a policy, a model, a set of rules."""
ELSEWHERE = (None,)


def _each(*values: Iterable[str | None]) -> tuple[Labels, ...]:
    """Every combination of these values."""
    return tuple(product(*values))


DOORS = (None, "gateway", "explain", "receipts", "none")
"""The endpoints, the gateway's own, and none: an unknown path, or no HTTP at all."""
OUTCOMES = (
    *("hit", "stale", "miss", "collapsed", "bypass", "answered", "hung_up", "none"),
    *(row.slug for row in PROBLEM_TYPES),
)
LIMITS = tuple(f"{holder}-{limit}" for holder in ("user", "key") for limit in ("requests", "concurrent", "units"))
STATE_OPERATIONS = (
    *("find_key", "rehash", "epoch", "namespaces", "namespace", "charge_rate", "return_rate", "reserve", "settle"),
    *("sample_run", "high_water", "forged", "unreadable"),
)
CACHE_OPERATIONS = (
    *("get", "put", "delete", "claim", "lease", "subscribe", "purge_state", "touch", "throttle", "stats"),
    *("purge", "changes", "purges_forged", "purges_put_back"),
)

SERIES: Mapping[str, tuple[Labels, ...]] = {
    metric.name: series
    for metric, series in (
        (rows.REQUESTS, _each(DOORS, OUTCOMES)),
        (
            rows.CACHE,
            _each(ELSEWHERE, ("hit", "stale", "miss", "bypass"), (*BYPASS_REASONS, "no-cache", "request", "stale")),
        ),
        (rows.CACHE_BYTES, _each(("served", "stored", "compressed"))),
        (rows.CACHE_WRITES, _each(("stored", "not_stored", "forbidden"))),
        (rows.SECONDS_SAVED, _each(ELSEWHERE)),
        (rows.SPOT_CHECKS, _each(("same", "different", "failed", "no_budget", "busy", "recent"))),
        (rows.DIVERGENCE, _each(ELSEWHERE, ELSEWHERE, ELSEWHERE)),
        (rows.WARNINGS, _each(("pinned", "recorded"))),
        (rows.COLLAPSED, _each(("process", "distributed"))),
        (rows.UNITS, _each(ELSEWHERE, ("reserved", "settled", "refunded", "saved", "spot_check"))),
        (rows.QUOTA_REFUSALS, _each(LIMITS)),
        (rows.QUEUE_WAITS, _each(("admitted", "refused"))),
        (rows.POLICY, _each(ELSEWHERE, ("enforce", "observe"), ("permitted", "refused"))),
        (rows.UPSTREAM_REQUESTS, _each(ELSEWHERE, get_args(OutcomeName))),
        (rows.ANSWER_FAULTS, _each(ELSEWHERE, ("upstream", "cache", "namespace"), (*REFUSED, *FAULTS, *REPAIRS))),
        (rows.ANSWERS_DROPPED, _each(("room", "pace"))),
        (rows.CONNECTIONS_CLOSED, _each(("room", "address"))),
        (rows.READER_JOBS, _each(("body", "explanation", "answer"), ("done", "refused", "stopped", "lost"))),
        (rows.STORE_ERRORS, _each(("state",), STATE_OPERATIONS) + _each(("cache",), CACHE_OPERATIONS)),
        (rows.STORE_LOST, _each(STORE_NAMES, STORE_FAULTS)),
        (rows.DECISIONS_REAPPLIED, _each(("key", "approval", "namespace"), ("decision", "record"))),
        (rows.AUDIT_RECORDS, _each([kind for kind in AUDIT_KINDS if kind.startswith(("policy_", "permission_"))])),
        (rows.AUDIT_COUNTED, _each(ELSEWHERE)),
        (rows.AUTH_FAILURES, _each(("missing", "scheme", "malformed", "unknown", "expired", "revoked"))),
        (rows.WORKER_RESTARTS, _each(("exited", "stood_still", "not_started"))),
        (rows.LOOP_FAILURES, _each(("poller", "admission", "places", "stats", "policy", "holdings", "connections"))),
    )
}


def all_series(metric: Metric, known: Mapping[str, Iterable[str]]) -> Iterator[tuple[str, ...]]:
    """The labels of every series of a counter; none where `known` (values by label) lacks one of its labels."""
    rows = SERIES.get(metric.name, ()) if metric.labels else ((),)
    elsewhere = {name for labels in rows for name, value in zip(metric.labels, labels, strict=True) if value is None}
    for labels in rows if elsewhere <= known.keys() else ():
        values = [
            known.get(name, ()) if value is None else (value,)
            for name, value in zip(metric.labels, labels, strict=True)
        ]
        yield from product(*values)


def fits(metric: Metric, labels: tuple[str, ...]) -> bool:
    """Whether these labels are among the series of a counter."""
    return any(
        all(value in (None, label) for value, label in zip(row, labels, strict=True)) for row in SERIES[metric.name]
    )
