"""Runs every pair of the file SAMPLER_CASES on the real sampler, and prints the counts by rule and track."""

import os
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import pytest

from tests.sampler.play import Tally, Where, play


@pytest.fixture(scope="session")
def tallies() -> dict[Where, Tally]:
    """By (kind, rule, track)."""
    found: dict[Where, Tally] = defaultdict(Tally)
    shares = os.cpu_count() or 1
    with ProcessPoolExecutor(shares, get_context("spawn")) as pool:
        parts = pool.map(partial(play, Path(os.environ["SAMPLER_CASES"]), step=shares), range(shares))
        for part in parts:
            for where, tally in part.items():
                found[where].add(tally)
    _TALLIES.update(found)
    return dict(found)


_TALLIES: dict[Where, Tally] = {}


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Counts by rule and track."""
    for line in _rows():
        terminalreporter.write_line(line)


def _rows() -> Iterator[str]:
    yield f"{'kind':10}{'rule':66}{'track':22}{'pairs':>7}{'shared':>8}{'differ':>8}{'shared and differ':>19}"
    for (kind, rule, track), tally in sorted(_TALLIES.items()):
        if kind == "claim":
            continue
        yield (
            f"{kind:10}{rule:66}{track:22}{tally.played:7}{tally.shared:8}{tally.differ:8}{tally.shared_and_differ:19}"
        )
    claims = [tally for (kind, _, _), tally in _TALLIES.items() if kind == "claim"]
    yield (
        f"claims: {len(claims)} played; {sum(t.shared for t in claims)} shared, of which "
        f"{sum(t.shared_and_differ for t in claims)} differ; "
        f"{sum(t.differ for t in claims)} of {sum(t.played - t.shared for t in claims)} others differ"
    )
