"""The commands that look: configuration, record, cache, usage, health; and the command line itself."""

import json
import re
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import click
import pytest
from click.testing import CliRunner

from gateway.cli.main import COMMANDS, HIDDEN, main
from gateway.settings.names import leaves
from tests.cli.conftest import MASTER, Line

ROOT = Path(__file__).resolve().parents[2]


def test_a_valid_configuration_is_said_to_be_one(line: Line) -> None:
    assert str(line.config) in line.said("config", "check")
    assert line.json("config", "check") == {"valid": True, "errors": []}


def test_every_fault_of_a_configuration_is_listed(line: Line) -> None:
    line.config.write_text(line.config.read_text() + '[listen]\nport = "x"\nworker = 2\n')
    said = line.refusal("config", "check")
    assert "listen.port: must be a whole number" in said
    assert "did you mean listen.workers?" in said
    result = line.run("config", "check", "--json")
    assert result.exit_code == 1
    assert {error["name"] for error in json.loads(result.stdout)["errors"]} == {"listen.port", "listen.worker"}


def test_a_store_s_address_that_its_client_cannot_read_is_a_fault(line: Line) -> None:
    text = re.sub(r"state_url = .*", 'state_url = "redis+sentinel://host"', line.config.read_text())
    line.config.write_text(text)
    assert "stores.state_url: a redis+sentinel:// URL must name the service" in line.refusal("config", "check")


def test_the_configuration_is_shown_with_its_origins_and_without_secrets(line: Line) -> None:
    rows = {row["name"]: row for row in line.json("config", "show")}
    assert set(rows) == {leaf.name for leaf in leaves()}
    assert (rows["listen.port"]["from"], rows["stores.state_url"]["from"]) == ("default", "file")
    shown = line.said("config", "show")
    assert "an-upstream-key" not in shown
    assert MASTER not in shown


def test_the_record_verifies_until_a_byte_of_it_changes(line: Line) -> None:
    line.said("keys", "create", "--user", "ada")
    line.said("keys", "create", "--user", "ada")
    assert line.json("audit", "verify")["compared"] is True
    path = line.directory / "data" / "audit" / "audit.jsonl"
    whole = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*whole[:1], whole[1].replace(b"ada", b"bob"), *whole[2:]]))
    assert "line 2: the content does not match its HMAC" in line.refusal("audit", "verify")


def test_a_record_whose_end_was_cut_off_does_not_verify_against_the_head_in_the_store(line: Line) -> None:
    line.said("keys", "create", "--user", "ada")
    line.said("keys", "create", "--user", "ada")
    path = line.directory / "data" / "audit" / "audit.jsonl"
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))
    assert "are missing" in line.refusal("audit", "verify")
    assert line.json("audit", "verify", "--no-head")["compared"] is False


def test_the_latest_records_are_shown_as_many_as_asked(line: Line) -> None:
    for _ in range(3):
        line.said("keys", "create", "--user", "ada")
    assert len(line.said("audit", "tail", "-n", "2").splitlines()) == 2
    assert line.json("audit", "tail", "-n", "1")[0]["kind"] == "key_created"


def test_an_empty_record_is_whole(line: Line) -> None:
    assert line.json("audit", "tail") == []
    assert line.json("audit", "verify")["records"] == 0


def test_usage_shows_every_limit_of_a_user_and_of_their_keys(line: Line) -> None:
    user = f"ada-{uuid4().hex[:8]}"
    made = line.json("keys", "create", "--user", user, "--units-per-day", "7")
    rows = line.json("usage", user)
    assert [(row["of"], row["limit"], row["used"], row["amount"]) for row in rows] == [
        ("user", "user-requests", 0, 600),
        ("user", "user-concurrent", 0, 32),
        ("user", "user-units", 0, 5000),
        (made["public_id"], "key-units", 0, 7),
    ]
    assert "units today (UTC)" in line.said("usage", user)
    assert "no valid key" in line.refusal("usage", "nobody")


def test_health_says_why_nothing_is_healthy(line: Line) -> None:
    assert "No gateway runs on" in line.refusal("health")
    assert "No gateway answers at http://127.0.0.1:1" in line.refusal("health", "--url", "http://127.0.0.1:1")


def test_unknown_commands_and_options_are_misuse() -> None:
    for words in (["kyes"], ["keys", "list", "--nope"], ["serve", "extra"]):
        result = CliRunner().invoke(main, words)
        assert (result.exit_code, result.stdout) == (2, "")


def test_the_module_and_the_console_script_are_the_same_door() -> None:
    module = subprocess.run([sys.executable, "-m", "gateway", "--version"], capture_output=True, text=True, check=True)
    assert re.fullmatch(r"esm-gateway, version \d+\.\d+\.\d+\n", module.stdout)


def test_no_command_takes_a_secret_as_an_argument() -> None:
    for command in _all(main, "esm-gateway"):
        names = {param.name for param in command.params}
        assert not names & {"key", "secret", "token", "password", "master"}, command.name


def test_commands_for_our_own_processes_are_not_listed() -> None:
    listed = CliRunner().invoke(main, ["--help"]).stdout
    for name in COMMANDS:
        assert (re.search(rf"^  {name} ", listed, re.MULTILINE) is None) == (name in HIDDEN)


def _all(command: click.Command, name: str) -> list[click.Command]:
    found = [command]
    if isinstance(command, click.Group):
        context = click.Context(command)
        for inner in command.list_commands(context):
            each = command.get_command(context, inner)
            assert each is not None
            found += _all(each, inner)
    return found


@pytest.mark.parametrize("name", [name for name in COMMANDS if name not in HIDDEN])
def test_every_command_explains_itself(name: str) -> None:
    result = CliRunner().invoke(main, [name, "--help"])
    assert result.exit_code == 0
    assert len(result.stdout.splitlines()) > 3
