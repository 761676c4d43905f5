"""`stores check`: what is wrong with a store, in words, before anybody depends on it."""

import re
from pathlib import Path

import pytest

from tests.cli.conftest import Line
from tests.contracts.own_servers import own_server
from tests.contracts.servers import Stores, free_ports


def with_store(line: Line, role: str, url: str, *more: str) -> None:
    text = re.sub(rf'{role}_url = "[^"]*"', "\n".join([f'{role}_url = "{url}"', *more]), line.config.read_text())
    line.config.write_text(text)


def refused(line: Line) -> str:
    result = line.run("stores", "check")
    assert (result.exit_code, result.stderr) == (1, ""), result.output
    return result.stdout


def test_two_stores_that_can_be_used(line: Line) -> None:
    said = line.said("stores", "check").splitlines()
    assert [text.partition(":")[0] for text in said] == ["state store", "cache store"]
    assert all("can be used: Valkey" in text and "with every right" in text for text in said)
    assert [(row["store"], row["usable"], row["reason"]) for row in line.json("stores", "check")] == [
        ("state", True, None),
        ("cache", True, None),
    ]


def test_the_other_store_is_looked_at_whatever_is_wrong_with_one(line: Line) -> None:
    with_store(line, "state", f"redis://127.0.0.1:{free_ports(1)[0]}")
    said = refused(line)
    assert "state store: CANNOT be used (refused): nobody listens at its address." in said
    assert "cache store: can be used" in said


def test_a_state_store_that_evicts(line: Line, stores: Stores) -> None:
    with_store(line, "state", stores.cache.url)
    assert "CANNOT be used (unsuitable): the state store evicts (maxmemory-policy allkeys-lfu)" in refused(line)


def test_warnings_are_no_reason_to_fail(line: Line, tmp_path: Path) -> None:
    with own_server(tmp_path / "plain") as server:
        with_store(line, "state", server.url)
        with_store(line, "cache", server.url)
        said = line.said("stores", "check")
        assert "warning: the state store has no append-only file" in said
        assert "warning: the cache store has no maxmemory" in said
        assert server.say("KEYS", "*") == []


@pytest.mark.parametrize(
    "rules, said",
    [
        (">pw ~esmgw:* &* +@all -zadd -hincrby", "may not use: hincrby, zadd"),
        (">pw ~esmgw:* &* +@all -info", "(permission): its user lacks a right"),
        (">other ~* &* +@all", "(authentication): it refuses the password"),
        (">pw ~else:* &* +@all", "(permission): "),
    ],
)
def test_a_user_that_is_not_enough(line: Line, tmp_path: Path, rules: str, said: str) -> None:
    password = tmp_path / "store-password"
    password.touch(0o600)
    password.write_text("pw")
    with own_server(tmp_path / "users") as server:
        server.say("ACL", "SETUSER", "gateway", "reset", "on", *rules.split(" "))
        url = server.url.replace("//", "//gateway@")
        with_store(line, "state", url, f'state_password_file = "{password}"')
        assert said in refused(line)


def test_a_cache_user_who_may_not_listen(line: Line, tmp_path: Path) -> None:
    password = tmp_path / "store-password"
    password.touch(0o600)
    password.write_text("pw")
    with own_server(tmp_path / "users") as server:
        server.say("ACL", "SETUSER", "gateway", "reset", "on", ">pw", "~*", "&*", "+@all", "-subscribe")
        with_store(line, "cache", server.url.replace("//", "//gateway@"), f'cache_password_file = "{password}"')
        assert "cache store: CANNOT be used" in refused(line)


def test_a_url_that_cannot_be_read_is_a_sentence(line: Line) -> None:
    with_store(line, "cache", "redis+sentinel://host/esm?sentinel_tls=maybe")
    assert "stores.cache_url: sentinel_tls in a store's URL is yes or no" in line.refusal("stores", "check")
