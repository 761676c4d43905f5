"""Whether the watched user was hurt: one bar after the other, and a table of all attacks."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

ANSWERED: Final = 0.99
HIT_MS: Final = 20.0
HIT_RATIO: Final = 2.0
# Some single records of about half a kB from each worker, and their summaries.
AUDIT_KB: Final = 32.0


@dataclass(frozen=True, slots=True)
class Bar:
    """What was measured, what it may be at most (or, for a share, at least), and whether it is met."""

    name: str
    measured: float
    limit: float
    met: bool


def bars(result: dict[str, Any]) -> list[Bar]:
    """A result of `course.tried`, judged."""
    alone, beside = result["alone"], result["beside"]
    at_most = max(HIT_RATIO * (alone["hits"]["p99_ms"] or 0.0), HIT_MS)
    # No hit was answered: there is no p99.
    p99 = beside["hits"]["p99_ms"] if beside["hits"]["p99_ms"] is not None else float("inf")
    memory = result["plan"]["memory_mb"]
    most = result["rss_mb_most_of_one"]
    return [
        Bar("cold calls answered", beside["cold"]["answered"], ANSWERED, beside["cold"]["answered"] >= ANSWERED),
        Bar("hits answered", beside["hits"]["answered"], ANSWERED, beside["hits"]["answered"] >= ANSWERED),
        Bar("p99 of hits, ms", p99, round(at_most, 1), p99 <= at_most),
        Bar("memory of one worker, MiB", most, memory, most <= memory),
        Bar("memory grows on", float(not result["flat"]), 0.0, result["flat"]),
        Bar("audit record, kB", result["audit_bytes"] / 1000, AUDIT_KB, result["audit_bytes"] <= AUDIT_KB * 1000),
        Bar("workers that died", result["workers_died"], 0.0, result["workers_died"] == 0),
    ]


def judged(result: dict[str, Any]) -> dict[str, Any]:
    made = bars(result)
    return {**result, "bars": [asdict(bar) for bar in made], "passed": all(bar.met for bar in made)}


HEAD: Final = (
    f"{'':34}{'cold':>7}{'hits':>7}{'hit p99':>9}{'beside':>9}{'cold p99':>10}{'beside':>9}"
    f"{'(own)':>8}{'MiB':>6}{'last':>6}{'fds':>6}{'sent':>8}{'upstr.':>7}{'audit kB':>9}"
)


def as_text(results: Sequence[dict[str, Any]]) -> str:
    """One line for each attack; times in ms. `cold` and `hits`: answered beside the attack;
    `(own)`: the part of the hits' p99 for which the watched user's process itself had no processor."""
    lines = [HEAD, *(_line(result) for result in results)]
    return "\n".join([*lines, "", *_failures(results)])


def _line(result: dict[str, Any]) -> str:
    alone, beside, told = result["alone"], result["beside"], result["attacker"]["told"]
    last_mb = result["rss_mb_last"] / result["plan"]["workers"]
    sent = told.get("sent") or told.get("connections", 0)
    return (
        f"{'ok  ' if result['passed'] else 'FAIL'} {result['attack']:29}"
        f"{beside['cold']['answered']:>7.1%}{beside['hits']['answered']:>7.1%}"
        f"{_ms(alone['hits']):>9}{_ms(beside['hits']):>9}{_ms(alone['cold']):>10}{_ms(beside['cold']):>9}"
        f"{beside['hits']['own_p99_ms']:>8.1f}{result['rss_mb_most_of_one']:>6.0f}{last_mb:>6.0f}"
        f"{result['descriptors_most_of_one']:>6}{sent:>8,}{result['attacker_upstream_calls']:>7,}"
        f"{result['audit_bytes'] / 1000:>9.1f}"
    )


def _ms(felt: dict[str, Any]) -> str:
    return "-" if felt["p99_ms"] is None else f"{felt['p99_ms']:.1f}"


def _failures(results: Sequence[dict[str, Any]]) -> Iterable[str]:
    for result in results:
        for bar in result["bars"]:
            if not bar["met"]:
                yield f"{result['attack']}: {bar['name']}: {bar['measured']:g}, the limit is {bar['limit']:g}"
        for name in ("cold", "hits"):
            odd = {**result["beside"][name]["statuses"]}
            odd.pop("200", None)
            if odd:
                yield f"{result['attack']}: {name}: {_counts(odd)}; {_counts(result['beside'][name]['problems'])}"


def _counts(counted: dict[str, int]) -> str:
    return ", ".join(f"{key} {count:,}" for key, count in sorted(counted.items())) or "no problem document"
