"""The record of a change has the operating system's user beside the name that was claimed."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from gateway.adapters import system_user
from gateway.core.audit_kinds import AUDIT_KINDS
from tests.cli.conftest import Line


def changes(line: Line) -> Mapping[str, Any]:
    """One change of every kind, each claimed by somebody else; the records by kind."""
    user, name, file = f"ada-{uuid4().hex[:8]}", f"n{uuid4().hex[:8]}", str(line.directory / "export")
    made = line.json("keys", "create", "--user", user, "--by", "grace")
    line.said("approve", user, "--by", "grace", "--by", "edsger", "--reason", "x", "--until", "1d")
    line.said("revoke-approval", user, "--by", "grace")
    line.said("keys", "revoke", made["public_id"], "--by", "grace")
    line.said("cache", "purge", "--key", "0" * 64, "--yes", "--by", "grace")
    for words in (
        ["create", name],
        ["freeze", name],
        ["export", name, file],
        ["drop", name, "--yes"],
        ["import", file],
    ):
        line.said("cache", "namespace", *words, "--by", "grace")
    line.said("cache", "namespace", "drop", name, "--yes", "--by", "grace")
    line.said("secrets", "move", "--by", "grace")
    records = line.json("audit", "tail", "-n", "50")
    for segment in (line.directory / "data" / "audit").iterdir():
        segment.unlink()
    line.said("audit", "accept", "--by", "grace", "--yes")
    return {record["kind"]: record["facts"] for record in [*records, *line.json("audit", "tail")]}


def test_every_change_names_who_ran_the_command(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.wiring.command_services.system_user", lambda: "root")
    monkeypatch.setattr("gateway.wiring.command_services.login_user", lambda: "mallory")
    records = changes(line)
    claimed = {kind for kind, row in AUDIT_KINDS.items() if "by" in row.facts}
    claimed.remove("state_accepted")  # which needs a store that was emptied: tests/e2e/test_restore_drill.py
    assert claimed <= records.keys(), "a kind of change that this test does not make"
    for kind in claimed:
        assert (records[kind]["ran_by"], records[kind]["logged_in_as"]) == ("root", "mallory"), kind
    assert "ran_by" not in records["chain_started"]


def test_it_is_the_user_of_this_process_and_no_name_from_the_environment(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("USER", "LOGNAME", "SUDO_USER"):
        monkeypatch.setenv(name, "mallory")
    line.said("keys", "create", "--user", "ada")
    facts = line.json("audit", "tail")[-1]["facts"]
    assert facts["ran_by"] == facts["by"] == system_user.system_user() != "mallory"


@pytest.mark.parametrize(
    ("text", "name"), [("4294967295", None), ("", None), ("0\n", "root"), ("1999999999", "uid-1999999999")]
)
def test_who_logged_in_is_what_the_kernel_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, name: str | None
) -> None:
    (tmp_path / "loginuid").write_text(text)
    monkeypatch.setattr(system_user, "LOGIN_UID", tmp_path / "loginuid")
    assert system_user.login_user() == name


def test_without_such_a_file_nobody_is_known_to_have_logged_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(system_user, "LOGIN_UID", tmp_path / "nothing")
    assert system_user.login_user() is None
