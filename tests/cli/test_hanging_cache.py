"""What needs only the state store works while the cache server of the running gateway answers nothing."""

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from gateway.adapters.embedded_store import EmbeddedStore, open_store
from gateway.cli.demo_text import BODY
from tests.cli.conftest import Line

WITHIN_S = 5.0


@pytest.fixture
def hanging(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Line]:
    """A gateway's data directory, with both embedded servers up and the cache server stopped in its tracks."""
    (tmp_path / "key").touch(0o600)
    (tmp_path / "key").write_text("an-upstream-key")
    (tmp_path / "gateway.toml").write_text('data_dir = "data"\n[[upstream.keys]]\nid = "lab"\nfile = "key"\n')
    monkeypatch.setattr("gateway.wiring.stores.CACHE_READY_S", 0.5)

    async def both() -> list[EmbeddedStore]:
        return [await open_store(tmp_path / "data", "state"), await open_store(tmp_path / "data", "cache")]

    state, cache = asyncio.run(both())
    os.kill(cache.pid, signal.SIGSTOP)
    try:
        yield Line(tmp_path)
    finally:
        os.kill(cache.pid, signal.SIGCONT)
        asyncio.run(stop(state, cache))


async def stop(*stores: EmbeddedStore) -> None:
    for store in stores:
        await store.stop()


def test_keys_approvals_usage_namespaces_and_the_record_need_no_cache(hanging: Line) -> None:
    began = time.monotonic()
    made = hanging.json("keys", "create", "--user", "ada")
    hanging.said("keys", "list")
    hanging.said("keys", "show", made["public_id"])
    hanging.said("usage")
    hanging.said("approve", "ada", "--by", "bob", "--by", "eve", "--reason", "x", "--until", "1d")
    hanging.said("revoke-approval", "ada")
    hanging.said("cache", "namespace", "create", "paper")
    hanging.said("cache", "namespace", "freeze", "paper")
    hanging.said("cache", "namespace", "export", "paper", str(hanging.directory / "file"))
    hanging.said("cache", "namespace", "drop", "paper", "--yes")
    hanging.said("cache", "namespace", "import", str(hanging.directory / "file"))
    hanging.said("cache", "namespaces")
    hanging.said("audit", "verify")
    hanging.said("keys", "revoke", made["key"])
    assert hanging.json("keys", "show", made["public_id"])["state"] == "revoked"
    assert time.monotonic() - began < WITHIN_S


def test_what_needs_the_cache_says_so_and_does_not_wait_for_long(hanging: Line) -> None:
    began = time.monotonic()
    for words in (["cache", "stats"], ["cache", "purge", "--yes"]):
        assert "the cache store did not answer within 0.5 s" in hanging.refusal(*words)
    assert time.monotonic() - began < WITHIN_S


def test_a_call_is_explained_without_the_cache_store(hanging: Line) -> None:
    about = hanging.json("cache", "explain", "-", given=orjson.dumps(BODY).decode())
    assert about["stored"] is False


def test_a_store_that_nobody_uses_is_not_started(tmp_path: Path) -> None:
    (tmp_path / "key").touch(0o600)
    (tmp_path / "key").write_text("an-upstream-key")
    (tmp_path / "gateway.toml").write_text('data_dir = "data"\n[[upstream.keys]]\nid = "lab"\nfile = "key"\n')
    line = Line(tmp_path)
    line.said("keys", "create", "--user", "ada")
    assert (tmp_path / "data" / "state" / "server.log").exists()
    assert not (tmp_path / "data" / "cache").exists()
    line.said("cache", "stats")
    assert (tmp_path / "data" / "cache" / "server.log").exists()
