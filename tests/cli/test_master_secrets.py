"""The master secret is replaced from the command line, as docs/operating.md tells it."""

from pathlib import Path
from uuid import uuid4

import pytest

from tests.cli.conftest import MASTER, Line

NEW = "n" * 40


@pytest.fixture
def rotating(line: Line, tmp_path: Path) -> Line:
    (tmp_path / "next").touch(0o600)
    (tmp_path / "next").write_text(NEW + tmp_path.name)
    return line


def masters(line: Line, first: str, *others: str) -> None:
    """The settings with these master files."""
    named = "".join(f'"{each}", ' for each in others)
    text = f'master_file = "{first}"\nother_master_files = [{named}]\n'
    lines = line.config.read_text().splitlines(keepends=True)
    kept = [each for each in lines if "master_file" not in each]
    at = kept.index("[secrets]\n")
    line.config.write_text("".join([*kept[: at + 1], text, *kept[at + 1 :]]))


def left(line: Line) -> set[tuple[str, str]]:
    return {(each["kind"], each["name"]) for each in line.json("secrets", "status")["not_moved"]}


def test_the_steps_of_a_rotation(rotating: Line) -> None:
    line, user, name = rotating, f"ada-{uuid4().hex[:8]}", f"n{uuid4().hex[:8]}"
    made = line.json("keys", "create", "--user", user)
    line.said("approve", user, "--by", "bob", "--by", "eve", "--reason", "x", "--until", "1d")
    line.said("cache", "namespace", "create", name)
    mine = {("key", made["public_id"]), ("record of key", made["public_id"]), ("record of approvals", user)}
    mine |= {("record of namespace", name)}
    assert not left(line) & mine

    masters(line, "master", "next")
    assert not left(line) & mine
    later = line.json("keys", "create", "--user", user)

    masters(line, "next", "master")
    assert mine <= left(line)
    assert ("key", later["public_id"]) in left(line)
    assert [each["role"] for each in line.json("secrets", "status")["masters"]] == ["seals and reads", "reads"]
    assert {key["public_id"] for key in line.json("keys", "list", "--user", user)} == {
        made["public_id"],
        later["public_id"],
    }
    assert line.json("secrets", "move")["moved"] >= 3
    still = left(line) & mine
    assert still == {("key", made["public_id"])}
    assert "at its next use" in line.said("secrets", "status")
    assert line.json("audit", "verify")["compared"] is True

    line.said("keys", "revoke", made["key"])
    line.said("keys", "revoke", later["key"])
    masters(line, "next")
    assert not left(line) & mine
    assert {key["state"] for key in line.json("keys", "list", "--user", user)} == {"revoked"}
    assert [each["approval_id"] for each in line.json("keys", "show", made["public_id"])["approvals"]]
    assert name in {each["name"] for each in line.json("cache", "namespaces")}
    assert "line 1: the content does not match its HMAC" in line.refusal("audit", "verify")
    masters(line, "next", "master")
    assert line.json("audit", "verify")["compared"] is True
    line.said("cache", "namespace", "drop", name, "--yes")


def test_no_output_shows_a_master(rotating: Line) -> None:
    masters(rotating, "next", "master")
    for words in (["secrets", "status"], ["secrets", "status", "--json"], ["secrets", "move"], ["config", "show"]):
        said = rotating.said(*words)
        assert NEW not in said
        assert MASTER not in said


def test_a_master_file_that_cannot_be_used_is_a_fault_of_the_settings(rotating: Line) -> None:
    (rotating.directory / "short").touch(0o600)
    (rotating.directory / "short").write_text("short")
    masters(rotating, "master", "nowhere")
    assert "secrets.other_master_files: " in rotating.refusal("config", "check")
    masters(rotating, "master", "short")
    assert "at least 32 are needed" in rotating.refusal("config", "check")
