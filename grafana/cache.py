"""The dashboard of the cache: hits and savings, single flight, contents, correctness.

A panel is one statement about rows of core.metrics. Alerts are in deploy/prometheus.
"""

from board import Board
from panels import GREEN, RED, YELLOW, Line, Panels, Words, lines, number
from queries import increase, now, quantile, rate, rate_of_what_happened, ratio

from gateway.core.metrics import (
    CACHE,
    CACHE_AGE,
    CACHE_BAD_ENTRIES,
    CACHE_BYTES,
    CACHE_STORE_BYTES,
    CACHE_STORE_KEYS,
    CACHE_WRITES,
    COLLAPSED,
    DIVERGENCE,
    LATENCY,
    LEASE_WAIT,
    LOCAL_CACHE_BYTES,
    SECONDS_SAVED,
    SPOT_CHECKS,
    STORE_ERRORS,
    UNITS,
    WARNINGS,
)

FOUND, ASKED = 'result="hit"', 'result=~"hit|stale|miss"'
DAY = "1d"


def _hits(*by: str) -> str:
    return ratio(rate(CACHE, FOUND, by=by), rate(CACHE, ASKED, by=by), by=by)


def at_a_glance() -> Panels:
    return [
        number(
            Words("Hit ratio", "Share of cache look-ups that were hits.", "percentunit"),
            Line(_hits(), "hits"),
            [(None, GREEN)],
        ),
        number(
            Words("Units saved, 24 h", "Units that the hits of 24 hours would have cost.", "short"),
            Line(increase(UNITS, 'event="saved"', over=DAY), "units"),
            [(None, GREEN)],
        ),
        number(
            Words("Upstream time saved, 24 h", "Computing time that the hits of 24 hours saved.", "s"),
            Line(increase(SECONDS_SAVED, over=DAY), "seconds"),
            [(None, GREEN)],
        ),
        number(
            Words("Divergence", "Spot checks of exact hits in 24 hours that differed. Expect 0.", "short"),
            Line(increase(DIVERGENCE, 'class="exact"', over=DAY), "exact"),
            [(None, GREEN), (0.5, RED)],
        ),
        number(
            Words("Bad entries", "Entries in 24 hours that were broken, forged or swapped. Expect 0.", "short"),
            Line(increase(CACHE_BAD_ENTRIES, over=DAY), "bad entries"),
            [(None, GREEN), (0.5, RED)],
        ),
        number(
            Words("Evictions, 1 h", "Keys that the cache store evicted in the last hour.", "short"),
            Line(increase(CACHE_STORE_KEYS, 'what="evicted"', over="1h", fold="max"), "evicted"),
            [(None, GREEN), (1, YELLOW)],
        ),
    ]


def hits() -> Panels:
    return [
        lines(
            Words("Hit ratio by class", "Share of look-ups that were hits, by class of determinism.", "percentunit"),
            Line(_hits("reason"), "{{reason}}"),
        ),
        lines(
            Words("Hit ratio by endpoint", "Share of look-ups that were hits, by endpoint.", "percentunit"),
            Line(_hits("endpoint"), "{{endpoint}}"),
        ),
        lines(
            Words("Cache results", "Calls per second: hit, stale, miss or bypass.", "ops"),
            Line(rate(CACHE, by=("result",)), "{{result}}"),
            stacked=True,
        ),
        lines(
            Words("Bypasses by reason", "Calls per second that did not use the cache, by reason.", "ops"),
            Line(rate_of_what_happened(CACHE, 'result="bypass"', by=("reason",)), "{{reason}}"),
            stacked=True,
        ),
        lines(
            Words("Age of hits", "Age of the answers that were hits.", "s"),
            *(Line(quantile(q, CACHE_AGE), f"p{q * 100:g}") for q in (0.5, 0.9, 0.99)),
        ),
        lines(
            Words("Stale answers", "Stale answers per second, used because the upstream was down.", "ops"),
            Line(rate_of_what_happened(CACHE, 'result="stale"', by=("reason",)), "{{reason}}"),
        ),
    ]


def savings() -> Panels:
    return [
        lines(
            Words("Units saved", "Units per second that hits would have cost, and those spent.", "short"),
            Line(rate(UNITS, 'event="saved"'), "saved"),
            Line(rate(UNITS, 'event="settled"'), "spent"),
        ),
        lines(
            Words("Upstream time saved", "Computing seconds saved per second, by endpoint.", "s"),
            Line(rate_of_what_happened(SECONDS_SAVED, by=("endpoint",)), "{{endpoint}}"),
            stacked=True,
        ),
        lines(
            Words("Bytes served", "Bytes per second served from the cache.", "Bps"),
            Line(rate(CACHE_BYTES, 'event="served"'), "served"),
        ),
    ]


def single_flight() -> Panels:
    return [
        lines(
            Words("Collapsed requests", "Requests per second collapsed onto another in-flight request.", "ops"),
            Line(rate(COLLAPSED, by=("scope",)), "within the {{scope}}"),
        ),
        lines(
            Words("Wait for another process, p95", "How long followers waited for the leader of another process.", "s"),
            Line(quantile(0.95, LEASE_WAIT, by=("result",)), "{{result}}"),
        ),
        lines(
            Words("Warnings to callers", "Warnings put into answers in 5 minutes, by topic.", "short"),
            Line(increase(WARNINGS, by=("topic",)), "{{topic}}"),
        ),
    ]


def contents() -> Panels:
    return [
        lines(
            Words("Keys stored", "Keys in the cache store.", "short"),
            Line(now(CACHE_STORE_KEYS, 'what="stored"', fold="max"), "keys"),
        ),
        lines(
            Words("Cache memory", "Memory of the cache store and of the workers' in-process caches.", "bytes"),
            Line(now(CACHE_STORE_BYTES, fold="max"), "store"),
            Line(now(LOCAL_CACHE_BYTES, by=("layer",)), "workers: {{layer}}"),
        ),
        lines(
            Words("Evictions and expiries", "Keys per second evicted for lack of memory, or expired.", "ops"),
            Line(rate(CACHE_STORE_KEYS, 'what=~"evicted|expired"', by=("what",), fold="max"), "{{what}}"),
        ),
        lines(
            Words("Bytes stored", "Bytes per second of stored answers, before and after compression.", "Bps"),
            Line(rate(CACHE_BYTES, 'event="stored"'), "uncompressed"),
            Line(rate(CACHE_BYTES, 'event="compressed"'), "compressed"),
        ),
        lines(
            Words("Cache writes", "Computed answers per second: stored, or not stored.", "ops"),
            Line(rate(CACHE_WRITES, by=("result",)), "{{result}}"),
            stacked=True,
        ),
        lines(
            Words("Cache store errors", "Failed operations per second; calls bypass the cache.", "ops"),
            Line(rate_of_what_happened(STORE_ERRORS, 'store="cache"', by=("operation",)), "{{operation}}"),
        ),
    ]


def correctness() -> Panels:
    return [
        lines(
            Words("Divergence", "Spot checks in an hour that differed.", "short"),
            Line(
                increase(DIVERGENCE, by=("model", "class", "rule_set"), over="1h"), "{{model}}, {{class}}, {{rule_set}}"
            ),
        ),
        lines(
            Words("Spot checks", "Hits chosen for a spot check in 5 minutes, by result.", "short"),
            Line(increase(SPOT_CHECKS, by=("result",)), "{{result}}"),
            stacked=True,
        ),
        lines(
            Words("Units of spot checks", "Units spent in 24 hours, of cache.spot_check_units_per_day.", "short"),
            Line(increase(UNITS, 'event="spot_check"', over=DAY), "units"),
        ),
        lines(
            Words("Bad entries", "Entries in 5 minutes that were broken, forged or swapped. Expect 0.", "short"),
            Line(increase(CACHE_BAD_ENTRIES), "bad entries"),
            width=12,
        ),
        lines(
            Words("Store latency", "Time that requests spent waiting for the two stores.", "s"),
            Line(quantile(0.5, LATENCY, 'part="store"'), "p50"),
            Line(quantile(0.99, LATENCY, 'part="store"'), "p99"),
            width=12,
        ),
    ]


CACHE_BOARD = Board(
    "ESM gateway: the cache",
    "esm-gateway-cache",
    "Hits, savings, single flight, contents and correctness of the cache. Guide: docs/caching.md.",
    (
        ("At a glance", at_a_glance),
        ("Hits", hits),
        ("Savings", savings),
        ("Single flight and warnings", single_flight),
        ("Contents", contents),
        ("Correctness", correctness),
    ),
)
