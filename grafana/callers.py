"""Rows about the service that callers get: health, requests, cache, quotas.

A panel is one statement about rows of core.metrics. Alerts are in deploy/prometheus.
"""

from grafana_foundation_sdk.builders import timeseries
from panels import GREEN, RED, YELLOW, Line, Panels, Words, lines, number
from queries import FAULTS, increase, now, quantile, rate, rate_of_what_happened, ratio

from gateway.core.metrics import (
    BUILD_INFO,
    CACHE,
    CACHE_BAD_ENTRIES,
    COLLAPSED,
    LATENCY,
    QUEUE_WAITS,
    QUOTA_REFUSALS,
    REQUESTS,
    UNITS,
    UPSTREAM_KEYS,
)

ERRORS = ratio(rate(REQUESTS, f'outcome=~"{FAULTS}"'), rate(REQUESTS))
FROM_CACHE = ratio(rate(REQUESTS, 'outcome=~"hit|collapsed"'), rate(REQUESTS, 'outcome=~"hit|collapsed|miss|bypass"'))
HITS = ratio(rate(CACHE, 'result="hit"'), rate(CACHE, 'result=~"hit|stale|miss"'))


def at_a_glance() -> Panels:
    return [
        number(
            Words("Gateways up", "Gateways whose metrics Prometheus could scrape last time.", "short"),
            Line('sum(up{job="esm-gateway", instance=~"$instance"})', "up"),
            [(None, RED), (1, GREEN)],
        ),
        number(
            Words("Error ratio", "Share of responses with a 5xx status, except 501 and 505.", "percentunit"),
            Line(ERRORS, "errors"),
            [(None, GREEN), (0.01, YELLOW), (0.05, RED)],
        ),
        number(
            Words("Requests", "Requests per second, refused ones included.", "reqps"),
            Line(rate(REQUESTS), "requests"),
            [(None, GREEN)],
        ),
        number(
            Words("From cache", "Share of answers that were hits or collapsed.", "percentunit"),
            Line(FROM_CACHE, "from cache"),
            [(None, GREEN)],
        ),
        number(
            Words("Upstream keys ready", "Upstream keys that may be used now, in the worker with the fewest.", "short"),
            Line(now(UPSTREAM_KEYS, 'state="ready"', fold="min"), "ready"),
            [(None, RED), (1, GREEN)],
        ),
        number(
            Words("Version", "The version that runs; two during a rollout.", "short"),
            Line(now(BUILD_INFO, by=("version",)), "{{version}}"),
            [(None, GREEN)],
            text="name",
        ),
    ]


def requests() -> Panels:
    return [
        lines(
            Words("Requests by outcome", "Requests per second, by cache result or problem type.", "reqps"),
            Line(rate_of_what_happened(REQUESTS, by=("outcome",)), "{{outcome}}"),
            stacked=True,
        ),
        lines(
            Words("Requests by endpoint", "Requests per second, by endpoint.", "reqps"),
            Line(rate_of_what_happened(REQUESTS, by=("endpoint",)), "{{endpoint}}"),
            stacked=True,
        ),
        lines(
            Words("Error ratio", "Share of responses with a 5xx status, except 501 and 505.", "percentunit"),
            Line(ERRORS, "errors"),
        ),
        *(_latency(name, q) for name, q in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))),
    ]


def _latency(name: str, q: float) -> timeseries.Panel:
    said = f"{q:.0%} of requests took at most this long: in total, and in each part."
    return lines(
        Words(f"Latency by part, {name}", said, "s"), Line(quantile(q, LATENCY, by=("part",)), f"{name} {{{{part}}}}")
    )


def cache() -> Panels:
    return [
        lines(
            Words("Hit ratio", "Share of cache look-ups that were hits.", "percentunit"),
            Line(HITS, "hits"),
        ),
        lines(
            Words("Cache results", "Calls per second: hit, stale, miss or bypass.", "ops"),
            Line(rate(CACHE, by=("result",)), "{{result}}"),
            stacked=True,
        ),
        lines(
            Words("Misses and bypasses", "Calls per second that were no hit, by reason.", "ops"),
            Line(rate_of_what_happened(CACHE, 'result!="hit"', by=("result", "reason")), "{{result}}: {{reason}}"),
        ),
        lines(
            Words("Bad entries", "Entries in 5 minutes that were broken, forged or swapped. Expect 0.", "short"),
            Line(increase(CACHE_BAD_ENTRIES), "bad entries"),
            width=12,
        ),
        lines(
            Words("Collapsed requests", "Requests per second collapsed onto another in-flight request.", "ops"),
            Line(rate(COLLAPSED, by=("scope",)), "within the {{scope}}"),
            width=12,
        ),
    ]


def quotas() -> Panels:
    return [
        lines(
            Words("Units", "Units per second: reserved, settled, refunded, and saved by hits.", "short"),
            Line(rate(UNITS, by=("event",)), "{{event}}"),
        ),
        lines(
            Words("Units spent by endpoint", "Settled units per second, by endpoint.", "short"),
            Line(rate_of_what_happened(UNITS, 'event="settled"', by=("endpoint",)), "{{endpoint}}"),
            stacked=True,
        ),
        lines(
            Words("Refusals by limit", "Requests refused per second, by limit.", "ops"),
            Line(rate(QUOTA_REFUSALS, by=("limit",)), "{{limit}}"),
        ),
        lines(
            Words("Waits for a limit", "Requests per second that waited for a rate or concurrency limit.", "ops"),
            Line(rate(QUEUE_WAITS, by=("result",)), "{{result}}"),
            width=12,
        ),
        lines(
            Words("Time in the wait queue", "How long those requests waited for a rate or concurrency limit.", "s"),
            Line(quantile(0.5, LATENCY, 'part="queue"'), "p50"),
            Line(quantile(0.99, LATENCY, 'part="queue"'), "p99"),
            width=12,
        ),
    ]
