"""`serve` from a settings file: ready, healthy, and gone with everything that it started."""

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import RemoteDisconnected
from pathlib import Path

import pytest
from click.testing import CliRunner

from gateway.cli.main import main
from tests.cli.conftest import Line
from tests.cli.started import PATIENCE_S, Started, fetch, started, until


def settings(directory: Path, upstream_port: int = 9, listen: str = "", lame_duck_s: float = 0.0) -> Path:
    """On embedded stores, before an upstream that nobody calls unless another port is given."""
    (directory / "key").touch(0o600)
    (directory / "key").write_text("an-upstream-key")
    text = (
        'data_dir = "data"\n[listen]\nport = 0\nmetrics_port = 0\nworkers = 2\n'
        f'lame_duck_s = {lame_duck_s}\n{listen}[upstream]\nurl = "http://127.0.0.1:{upstream_port}"\n'
        '[[upstream.keys]]\nid = "lab"\nfile = "key"\n'
    )
    (directory / "gateway.toml").write_text(text)
    return directory / "gateway.toml"


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Started]:
    with started("serve", "--config", str(settings(tmp_path)), "--json") as one:
        one.home = str(tmp_path / "data")
        yield one.ready()


def test_it_is_healthy_while_it_lives_and_ctrl_c_ends_all_of_it(gateway: Started, tmp_path: Path) -> None:
    line = Line(tmp_path)
    assert line.json("health") == {"url": gateway.told["url"], "ready": True, "degraded": []}
    status, _, page = fetch(gateway.told["metrics_url"])
    assert status == 200
    # The first refusal must be seen as a step from zero, whichever worker counts it.
    for series in (
        'policy_decisions_total{decision="refused",mode="enforce",policy="concern"}',
        'audit_records_total{kind="policy_refused"}',
        'requests_total{endpoint="fold",outcome="upstream-failed"}',
    ):
        assert f"esmgw_{series} 0.0\n" in page.decode()
    assert len(gateway.those(" worker ")) == 2
    status, _, err = gateway.end(signal.SIGINT)
    assert (status, err) == (0, "")
    assert gateway.tree() == {}
    assert "No gateway runs on" in line.refusal("health")


def test_workers_end_with_a_killed_supervisor_and_the_next_start_takes_the_stores_over(
    gateway: Started, tmp_path: Path
) -> None:
    made = Line(tmp_path).json("keys", "create", "--user", "ada")
    stores = set(gateway.those("valkey-server"))
    gateway.end(signal.SIGKILL)
    until(lambda: gateway.those(" worker ") == [])
    with started("serve", "--config", str(tmp_path / "gateway.toml"), "--json") as second:
        second.home = gateway.home
        second.ready()
        assert set(second.those("valkey-server")) == stores
        assert [key["public_id"] for key in Line(tmp_path).json("keys", "list")] == [made["public_id"]]
        assert second.end()[0] == 0
        assert second.tree() == {}


def test_settings_that_cannot_be_used_start_nothing(tmp_path: Path) -> None:
    config = settings(tmp_path)
    config.write_text(config.read_text() + "[breaker]\nfailures = 0\n")
    with started("serve", "--config", str(config)) as one:
        out, err = one.process.communicate(timeout=40)
    assert (one.process.returncode, out) == (1, b"")
    assert "breaker.failures: must be at least 1" in err.decode()
    assert not (tmp_path / "data").exists()


def test_a_call_that_does_not_end_in_time_ends_with_its_worker_and_not_by_force(tmp_path: Path) -> None:
    """Status 0: no worker was killed, though the upstream never answered."""
    with socket.create_server(("127.0.0.1", 0)) as mute, ThreadPoolExecutor() as callers:
        mute.settimeout(PATIENCE_S)
        config = settings(tmp_path, mute.getsockname()[1], "drain_s = 2\n")
        with started("serve", "--config", str(config), "--json") as one:
            one.home = str(tmp_path / "data")
            one.ready()
            key = Line(tmp_path).json("keys", "create", "--user", "ada")["key"]
            one.told = {**one.told, "key": key}
            calling = callers.submit(one.ask)
            with mute.accept()[0]:
                status, _, err = one.end()
            assert (status, "cut off after listen.drain_s: 1 connections" in err) == (0, True), err
            with pytest.raises((RemoteDisconnected, ConnectionResetError)):
                calling.result(PATIENCE_S)
            assert one.tree() == {}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_sigterm_is_said_by_readyz_while_callers_are_still_served_and_ctrl_c_waits_for_nobody(
    tmp_path: Path, number: signal.Signals
) -> None:
    config = settings(tmp_path, lame_duck_s=60.0)
    with started("serve", "--config", str(config), "--json") as one:
        one.home = str(tmp_path / "data")
        one.ready()
        url = one.told["url"]
        assert fetch(f"{url}/readyz")[0] == 200
        one.process.send_signal(number)
        if number == signal.SIGTERM:
            until(lambda: fetch(f"{url}/readyz")[0] == 503)
            for path, status in (("/readyz", 503), ("/livez", 200), ("/api/v1/nothing", 404)):
                told = fetch(url + path)
                assert (told[0], told[1].get("Connection")) == (status, "close")
            assert "it is stopping" in Line(tmp_path).refusal("health")
            one.process.send_signal(signal.SIGTERM)  # once more: at once
        one.process.communicate(timeout=20)
        assert one.tree() == {}


def test_asking_for_health_loads_neither_the_server_nor_the_clients_of_the_stores() -> None:
    """Containers ask every few seconds, on the processors that calls need."""
    heavy = "{'aiohttp', 'redis', 'prometheus_client'}"
    code = f"import sys, gateway.cli.main, gateway.cli.health; print({heavy} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


@pytest.mark.parametrize("words", [["serve"], ["keys", "list"], ["config", "check"]], ids=" ".join)
def test_a_command_without_a_settings_file_says_that_none_was_named_and_how_to_name_one(
    monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    monkeypatch.delenv("GATEWAY_CONFIG", raising=False)
    result = CliRunner().invoke(main, words)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "settings file: none was named; use --config FILE or the variable GATEWAY_CONFIG" in result.stderr
    assert "upstream.keys: at least one upstream key is needed" in result.stderr
