"""The dashboard of the cache: how much it finds and saves, what it holds, why it is passed by, and whether it is right.

A panel is one statement about rows of core.metrics. Nothing here decides what is an alarm: deploy/prometheus does.
"""

from board import Board
from panels import GREEN, RED, YELLOW, Line, Panels, Words, lines, number
from queries import increase, now, quantile, rate, ratio

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
            Words("Hit ratio", "Share of look-ups that found a fresh answer.", "percentunit"),
            Line(_hits(), "hits"),
            [(None, GREEN)],
        ),
        number(
            Words("Units saved today", "Units in 24 hours that hits would have cost upstream.", "short"),
            Line(increase(UNITS, 'event="saved"', over=DAY), "units"),
            [(None, GREEN)],
        ),
        number(
            Words("Upstream time saved today", "Time in 24 hours that the upstream did not have to work.", "s"),
            Line(increase(SECONDS_SAVED, over=DAY), "seconds"),
            [(None, GREEN)],
        ),
        number(
            Words(
                "Divergence", "Exact answers in 24 hours that the upstream now answers otherwise. Expect 0.", "short"
            ),
            Line(increase(DIVERGENCE, 'class="exact"', over=DAY), "exact"),
            [(None, GREEN), (0.5, RED)],
        ),
        number(
            Words("Bad entries", "Stored answers in 24 hours that were broken, forged or swapped. Expect 0.", "short"),
            Line(increase(CACHE_BAD_ENTRIES, over=DAY), "bad entries"),
            [(None, GREEN), (0.5, RED)],
        ),
        number(
            Words("Evicted in an hour", "Answers that the cache server dropped for want of memory.", "short"),
            Line(increase(CACHE_STORE_KEYS, 'what="evicted"', over="1h", fold="max"), "evicted"),
            [(None, GREEN), (1, YELLOW)],
        ),
    ]


def found() -> Panels:
    return [
        lines(
            Words("Hit ratio by class", "Share of look-ups that found a fresh answer, by determinism.", "percentunit"),
            Line(_hits("reason"), "{{reason}}"),
        ),
        lines(
            Words("Hit ratio by endpoint", "Share of look-ups that found a fresh answer, by endpoint.", "percentunit"),
            Line(_hits("endpoint"), "{{endpoint}}"),
        ),
        lines(
            Words("Look-ups by result", "What the cache said: hit, stale, miss, or not asked.", "ops"),
            Line(rate(CACHE, by=("result",)), "{{result}}"),
            stacked=True,
        ),
        lines(
            Words("Why passed by", "Calls in which the cache had no part, by reason.", "ops"),
            Line(rate(CACHE, 'result="bypass"', by=("reason",)), "{{reason}}"),
            stacked=True,
        ),
        lines(
            Words("Age of hits", "How old the answers are that people get from the cache.", "s"),
            *(Line(quantile(q, CACHE_AGE), f"p{q * 100:g}") for q in (0.5, 0.9, 0.99)),
        ),
        lines(
            Words("Stale answers", "Answers past their time that stood in while the upstream was down.", "ops"),
            Line(rate(CACHE, 'result="stale"', by=("reason",)), "{{reason}}"),
        ),
    ]


def saved() -> Panels:
    return [
        lines(
            Words("Units saved", "Units per second that hits would have cost, beside those really spent.", "short"),
            Line(rate(UNITS, 'event="saved"'), "saved"),
            Line(rate(UNITS, 'event="settled"'), "spent"),
        ),
        lines(
            Words("Upstream time saved", "Seconds of the upstream's work saved each second, by endpoint.", "s"),
            Line(rate(SECONDS_SAVED, by=("endpoint",)), "{{endpoint}}"),
            stacked=True,
        ),
        lines(
            Words("Bytes served", "Bytes of answers from the cache each second.", "Bps"),
            Line(rate(CACHE_BYTES, 'event="served"'), "served"),
        ),
    ]


def together() -> Panels:
    return [
        lines(
            Words("Coalesced followers", "Calls that got the fresh answer of an equal call under way.", "ops"),
            Line(rate(COLLAPSED, by=("scope",)), "within the {{scope}}"),
        ),
        lines(
            Words("Seconds waited for another process", "How long all but one in twenty waited for its answer.", "s"),
            Line(quantile(0.95, LEASE_WAIT, by=("result",)), "{{result}}"),
        ),
        lines(
            Words("Sentences to callers", "Warnings put into answers in 5 minutes, by topic.", "short"),
            Line(increase(WARNINGS, by=("topic",)), "{{topic}}"),
        ),
    ]


def holds() -> Panels:
    return [
        lines(
            Words("Answers kept", "Keys that the cache server holds.", "short"),
            Line(now(CACHE_STORE_KEYS, 'what="stored"', fold="max"), "keys"),
        ),
        lines(
            Words("Memory of the cache server", "What the cache server uses, and the workers' own memory.", "bytes"),
            Line(now(CACHE_STORE_BYTES, fold="max"), "server"),
            Line(now(LOCAL_CACHE_BYTES, by=("layer",)), "workers: {{layer}}"),
        ),
        lines(
            Words("Leaving the cache", "Keys per second that the server evicted for want of memory or expired.", "ops"),
            Line(rate(CACHE_STORE_KEYS, 'what=~"evicted|expired"', by=("what",), fold="max"), "{{what}}"),
        ),
        lines(
            Words("Bytes put in", "Bytes of answers kept each second: as they came, and as they are stored.", "Bps"),
            Line(rate(CACHE_BYTES, 'event="stored"'), "as they came"),
            Line(rate(CACHE_BYTES, 'event="compressed"'), "as they are stored"),
        ),
        lines(
            Words("Answers put in", "Computed answers that were kept, and those that could not be.", "ops"),
            Line(rate(CACHE_WRITES, by=("result",)), "{{result}}"),
            stacked=True,
        ),
        lines(
            Words("Errors of the cache store", "Failed operations per second; calls go on without the cache.", "ops"),
            Line(rate(STORE_ERRORS, 'store="cache"', by=("operation",)), "{{operation}}"),
        ),
    ]


def right() -> Panels:
    return [
        lines(
            Words("Divergence", "Kept answers in an hour that the upstream now answers otherwise.", "short"),
            Line(
                increase(DIVERGENCE, by=("model", "class", "rule_set"), over="1h"), "{{model}}, {{class}}, {{rule_set}}"
            ),
        ),
        lines(
            Words("Hits computed again", "Second opinions in 5 minutes and what came of them.", "short"),
            Line(increase(SPOT_CHECKS, by=("result",)), "{{result}}"),
            stacked=True,
        ),
        lines(
            Words("Units of second opinions", "Units in 24 hours out of cache.spot_check_units_per_day.", "short"),
            Line(increase(UNITS, 'event="spot_check"', over=DAY), "units"),
        ),
        lines(
            Words("Bad entries", "Stored answers in 5 minutes that were broken, forged or swapped. Expect 0.", "short"),
            Line(increase(CACHE_BAD_ENTRIES), "bad entries"),
            width=12,
        ),
        lines(
            Words("Seconds in the stores", "Time that requests spent waiting for the two stores.", "s"),
            Line(quantile(0.5, LATENCY, 'part="store"'), "p50"),
            Line(quantile(0.99, LATENCY, 'part="store"'), "p99"),
            width=12,
        ),
    ]


CACHE_BOARD = Board(
    "ESM gateway: the cache",
    "esm-gateway-cache",
    "What the cache finds, saves and holds, why it is passed by, and whether it is right. Guide: docs/caching.md.",
    (
        ("At a glance", at_a_glance),
        ("What it finds", found),
        ("What it saves", saved),
        ("Calls at once", together),
        ("What it holds", holds),
        ("Is it right?", right),
    ),
)
