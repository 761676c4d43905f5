"""Where the output goes: a pipe that ends, a terminal without a letter's sign, a full disk, nowhere."""

import json
import subprocess
import sys
from typing import Any

import pytest

from tests.cli.conftest import Line

READERS = ("true", "head -n 1", "head -c 1")


def shell(line: Line, text: str, **environ: str) -> "subprocess.CompletedProcess[str]":
    """A line of bash in which `gw` is the program."""
    gw = f'gw() {{ {sys.executable} -m gateway "$@" --config {line.config}; }}; set -o pipefail; '
    return subprocess.run(
        ["bash", "-c", gw + text],
        capture_output=True,
        text=True,
        env={"PATH": "/usr/bin:/bin", **environ},
        timeout=60,
        check=False,
    )


def keys(line: Line) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = line.json("keys", "list", "--user", "pipe")
    return found


def test_a_listing_whose_reader_has_gone_says_nothing(line: Line) -> None:
    line.said("keys", "create", "--user", "pipe")
    for words in ("keys list", "keys list --json", "config show", "audit tail"):
        done = shell(line, f"gw {words} | true")
        assert done.stderr == "", words


@pytest.mark.parametrize("where", ["| true", "> /dev/full", ">&-"])
def test_a_key_that_nobody_has_seen_is_said_to_be_one(line: Line, where: str) -> None:
    before = {key["public_id"] for key in keys(line)}
    done = shell(line, f"gw keys create --user pipe {where}")
    made = [key["public_id"] for key in keys(line) if key["public_id"] not in before]
    assert len(done.stderr.splitlines()) == 1
    assert done.returncode == 1
    if where == ">&-":
        assert made == []
        assert "none was created" in done.stderr
    else:
        assert f"The key {made[0]} was created, but nobody has seen it" in done.stderr


def test_letters_that_the_terminal_does_not_have_are_shown_by_their_code(line: Line) -> None:
    made = line.json("keys", "create", "--user", "pipe", "--label", "Jos\u00e9 \u540d")
    for encoding in ("iso8859-5", "ascii"):
        terminal = {"PYTHONIOENCODING": encoding, "PYTHONUTF8": "0", "LC_ALL": "C"}
        done = shell(line, f"gw keys show {made['public_id']}; gw keys list --user pipe", **terminal)
        assert done.returncode == 0, done.stderr
        # click writes UTF-8 where the terminal claims to have no letters at all.
        assert ("Jos\\xe9 \\u540d" if encoding == "iso8859-5" else "Jos\u00e9 \u540d") in done.stdout
        done = shell(line, "gw keys list --user pipe --json", **terminal)
        assert "Jos\u00e9 \u540d" in {key["label"] for key in json.loads(done.stdout)}
        done = shell(line, "gw keys create --user Jos\u00e9", **terminal)
        assert done.returncode == 1
        assert len(done.stderr.splitlines()) == 1


def test_bytes_that_are_no_letters_at_all_are_refused_in_a_sentence(line: Line) -> None:
    for words in ("keys create --user $'\\xff'", "keys show $'\\xff'", "revoke-approval $'\\xff'", "usage $'\\xff'"):
        done = shell(line, f"gw {words}")
        assert (done.returncode, len(done.stderr.splitlines())) == (1, 1), done.stderr
