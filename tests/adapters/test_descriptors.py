"""Descriptors, in a process of its own each time: what the soft limit becomes, and whether one is left."""

import resource
import subprocess
import sys

import pytest

RUN = """
import os, resource
from gateway.adapters import descriptors
{}
"""


def said(program: str, soft: int, hard: int) -> str:
    def lower() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    return subprocess.run(
        [sys.executable, "-c", RUN.format(program)], preexec_fn=lower, capture_output=True, text=True, check=True
    ).stdout.strip()


@pytest.mark.parametrize("soft, hard, raised", [(100, 100, 100), (100, 900, 900), (128, 5000, 5000), (900, 900, 900)])
def test_the_soft_limit_is_raised_to_the_hard_one_and_never_lowered(soft: int, hard: int, raised: int) -> None:
    program = "print(descriptors.raise_soft_limit(), *resource.getrlimit(resource.RLIMIT_NOFILE))"
    assert said(program, soft, hard) == f"{raised} {raised} {hard}"


def test_it_is_raised_to_no_more_than_65536(monkeypatch: pytest.MonkeyPatch) -> None:
    from gateway.adapters import descriptors

    for hard in (10**6, resource.RLIM_INFINITY):
        asked: list[tuple[int, int]] = []
        monkeypatch.setattr(resource, "getrlimit", lambda _, hard=hard: (1024, hard))
        monkeypatch.setattr(resource, "setrlimit", lambda _, limits, asked=asked: asked.append(limits))
        descriptors.raise_soft_limit()
        assert asked == [(65_536, hard)]


@pytest.mark.parametrize("limit, reserve, left", [(1000, 128, 872), (300, 128, 172), (200, 128, 100), (100, 500, 50)])
def test_callers_get_what_the_reserve_leaves_and_at_least_half(limit: int, reserve: int, left: int) -> None:
    assert said(f"print(descriptors.left_for_callers({reserve}))", limit, limit) == str(left)


def test_it_is_noticed_when_none_is_left_and_when_one_is_again() -> None:
    program = """
before = descriptors.none_left()
held = []
try:
    while True:
        held.append(os.dup(0))
except OSError:
    pass
during = descriptors.none_left()
os.close(held.pop())
print(before, during, descriptors.none_left())
"""
    assert said(program, 64, 64) == "False True False"
