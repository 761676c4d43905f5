"""A process ends with the one that started it, however busy or deaf it is."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DEAF = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)"


def child(first: str, patience_s: float) -> "subprocess.Popen[bytes]":
    """A process that is busy for ever, once it has said what it was told."""
    script = (
        f"from gateway.adapters import parent_watch\n{first}\nsaid = parent_watch.read_settings_line()\n"
        f"parent_watch.exit_with_parent({patience_s})\n"
        "print(said, flush=True)\nwhile True: pass"
    )
    return subprocess.Popen(
        [sys.executable, "-c", script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


@pytest.mark.parametrize("first, status", [("", -signal.SIGTERM), (DEAF, 1)])
def test_a_busy_process_ends_by_signal_and_a_deaf_one_by_force(first: str, status: int) -> None:
    with child(first, 0.2) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b"settings\n")
        process.stdin.flush()
        assert process.stdout.readline() == b"b'settings\\n'\n"
        assert process.poll() is None
        process.stdin.close()
        assert _end(process) == status


def test_a_process_whose_starter_is_gone_before_the_first_word_does_not_start() -> None:
    with child("", 0.2) as process:
        assert process.stdin is not None
        process.stdin.close()
        assert _end(process) == 1


def _end(process: "subprocess.Popen[bytes]") -> int:
    """The status with which it ends by itself."""
    try:
        return process.wait(timeout=20)
    finally:
        process.kill()
