"""The memories of a worker take what their settings say: filled in a process of its own, whose growth is measured."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# What the allocators lose between values of different sizes, and what a process of this size takes by itself.
MOST, NOISE = 1.2, 2**20


@pytest.mark.parametrize(
    ("what", "size"),
    [
        ("calls", 300),
        ("calls", 2_400),
        ("calls", 11_000),
        ("calls", 560_000),
        ("answers", 300),
        ("answers", 5_000),
        ("answers", 500_000),
        ("answers_read", 5_000),
        ("plans", 300),
        ("keys", 0),
        ("keys", 1),
        ("keys", 6),
    ],
)
def test_a_memory_that_is_full_takes_what_its_setting_says(what: str, size: int) -> None:
    command = [sys.executable, "-m", "tests.flow.filling", what, str(size)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    assert found["grown"] <= MOST * found["limit"] + NOISE, found
    # It is full, and is not full of air.
    assert 0.8 * found["limit"] <= found["said"] <= found["limit"], found
    assert found["grown"] >= 0.6 * found["limit"], found
