"""A process ends with the one that started it, however busy or deaf it is."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BUSY = "while True: pass"
DEAF = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n{BUSY}"


def child(then: str, patience_s: float) -> "subprocess.Popen[bytes]":
    script = f"from gateway.adapters import tether\nprint(tether.brief(), flush=True)\ntether.tie({patience_s})\n{then}"
    return subprocess.Popen(
        [sys.executable, "-c", script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


@pytest.mark.parametrize("then, status", [(BUSY, -signal.SIGTERM), (DEAF, 1)])
def test_a_busy_process_ends_by_signal_and_a_deaf_one_by_force(then: str, status: int) -> None:
    with child(then, 0.2) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b"settings\n")
        process.stdin.flush()
        assert process.stdout.readline() == b"b'settings\\n'\n"
        assert process.poll() is None
        process.stdin.close()
        assert process.wait(timeout=20) == status


def test_a_process_whose_starter_is_gone_before_the_first_word_does_not_start() -> None:
    with child(BUSY, 0.2) as process:
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(timeout=20) == 1
