"""One gateway per data directory, and whoever asks is told where it is."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.adapters.data_dir_lock import DataDirLock, DataDirLocked, served_url

ROOT = Path(__file__).resolve().parents[2]


def test_the_second_to_come_is_told_who_is_there(tmp_path: Path) -> None:
    lock = DataDirLock(tmp_path)
    with pytest.raises(DataDirLocked, match=rf"process {os.getpid()}, starting"):
        DataDirLock(tmp_path)
    lock.publish_url("http://127.0.0.1:8080")
    with pytest.raises(DataDirLocked, match=r"http://127\.0\.0\.1:8080"):
        DataDirLock(tmp_path)
    lock.release()
    DataDirLock(tmp_path).release()


def test_the_address_is_known_for_as_long_as_the_gateway_lives(tmp_path: Path) -> None:
    assert served_url(tmp_path / "nowhere") is None
    lock = DataDirLock(tmp_path)
    assert served_url(tmp_path) is None
    lock.publish_url("http://127.0.0.1:8080")
    assert served_url(tmp_path) == "http://127.0.0.1:8080"
    lock.release()
    assert served_url(tmp_path) is None


def test_a_killed_gateway_leaves_the_place_free_and_no_address(tmp_path: Path) -> None:
    script = (
        "import sys, pathlib, signal; from gateway.adapters.data_dir_lock import DataDirLock\n"
        "DataDirLock(pathlib.Path(sys.argv[1])).publish_url('http://gone'); print('there', flush=True); signal.pause()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"there\n"
        assert served_url(tmp_path) == "http://gone"
        process.send_signal(signal.SIGKILL)
        process.wait(timeout=20)
    assert served_url(tmp_path) is None
    DataDirLock(tmp_path).release()
