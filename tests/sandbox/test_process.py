"""The sandbox as a process of its own: it says where it listens, answers, and is gone when told to."""

import json
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from urllib.parse import urlsplit

import pytest

CALL = (
    b"POST /api/v1/fold HTTP/1.1\r\nHost: sandbox\r\nAuthorization: Bearer key\r\n"
    b'Content-Length: 30\r\n\r\n{"model":"m","sequence":"ACD"}'
)


def in_flight(url: str) -> int:
    with urllib.request.urlopen(f"{url}/__sandbox/calls", timeout=10) as response:
        return int(json.load(response)["in_flight"])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_cleanly_and_at_once_in_the_middle_of_a_call(number: signal.Signals) -> None:
    command = [sys.executable, "-m", "gateway.sandbox", "--port", "0", "--latency", "60"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            url = json.loads(process.stdout.readline())["url"]
            address = urlsplit(url)
            with socket.create_connection((str(address.hostname), address.port or 0)) as connection:
                connection.sendall(CALL)
                while in_flight(url) == 0:
                    time.sleep(0.005)
                process.send_signal(number)
                stdout, stderr = process.communicate(timeout=5)
        finally:
            process.kill()
    assert (process.returncode, stdout, stderr) == (0, "", "")


def test_it_refuses_a_negative_latency() -> None:
    command = [sys.executable, "-m", "gateway.sandbox", "--latency", "-1"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert result.returncode == 2
    assert "--latency" in result.stderr
