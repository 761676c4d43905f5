"""`serve` from a settings file: ready, healthy, and gone with everything that it started."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import Line
from tests.cli.started import Started, fetch, started, until


def settings(directory: Path) -> Path:
    """On embedded stores, before an upstream that nobody calls."""
    (directory / "key").touch(0o600)
    (directory / "key").write_text("an-upstream-key")
    text = (
        'data_dir = "data"\n[listen]\nport = 0\nmetrics_port = 0\nworkers = 2\n'
        '[upstream]\nurl = "http://127.0.0.1:9"\n[[upstream.keys]]\nid = "lab"\nfile = "key"\n'
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
    assert line.json("health") == {"url": gateway.told["url"], "ready": True, "state": True, "cache": True}
    assert fetch(gateway.told["metrics_url"])[0] == 200
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
