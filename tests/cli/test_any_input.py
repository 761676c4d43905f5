"""Any input to any command ends in a result or in one sentence, never in a traceback.

Every parameter of every command, as click knows them, is given every odd value of the table below, the others as they
should be; then random combinations. Processes that run until they are stopped are given what they cannot run with.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from uuid import uuid4

import click
import pytest
from click.testing import CliRunner, Result
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.cli.main import PROCESSES, main
from tests.cli.conftest import Line

ODD = (
    "", " ", "-", "--", "-1", "0", "1e999", "nan", "inf", "9" * 400, "9" * 5000, "\u0663d", "999999w", "0m", "1d",
    "2027-01-31", "9999-12-31", "0001-01-01", "9999-12-31T23:59-12:00", "0001-01-01T00:00+14:00", "2027-02-30",
    "2027-W05", "Jos\u00e9", "\u540d\u524d", "\udcff", "a\x1b[2Jb", "\u202e", "a\nb", "{", "[" * 9999, "x" * 5000,
    "..", "/", "/dev/null", "/nowhere/at/all", "esm3-open-2024-03", "exact,pinned", "none", ",", "max-age=9,no-store",
    "http://[::1", "http://h:99999", f"http://{'a' * 70}", "http://a b", "https://", "file:///etc/passwd",
    "http://127.0.0.1:1/", "default", "A" * 12, f"esmgw_{'A' * 12}_{'s' * 38}", "0" * 64,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Subject:
    """A command, and words that are right for each of its parameters."""

    words: tuple[str, ...]
    command: click.Command

    def line(self, sensible: dict[str, str], changed: dict[str, str]) -> list[str]:
        words: list[str] = []
        arguments: list[str] = []
        for param in self.command.params:
            name = param.name or ""
            given = changed.get(name, sensible.get(name) if param.required else None)
            if isinstance(param, click.Argument):
                arguments += [] if given is None else [given]
            elif isinstance(param, click.Option) and param.is_flag:
                words += [param.opts[0]] if name == "yes" or name in changed else []
            elif given is not None:
                words += [f"{param.opts[0]}={given}" if param.opts[0].startswith("--") else param.opts[0] + given]
        if self.words == ("approve",):
            words += ["--by=bob", "--by=eve"]
        return [*self.words, *words, "--", *arguments]


def subjects(command: click.Command, words: tuple[str, ...]) -> Iterator[Subject]:
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None
            yield from subjects(inner, (*words, name))
    elif words[0] not in PROCESSES:
        yield Subject(words, command)


SUBJECTS = list(subjects(main, ()))
NAMES = [" ".join(subject.words) for subject in SUBJECTS]


def check(result: Result, words: list[str]) -> None:
    shown = f"{words}: {result.exit_code} {result.stdout!r} {result.stderr!r}"
    assert result.exception is None or isinstance(result.exception, SystemExit), f"{shown} {result.exception!r}"
    assert result.exit_code in (0, 1, 2), shown
    assert "Traceback" not in result.output, shown
    assert "A bug in" not in result.stderr, shown
    assert all(line.isprintable() for line in result.stderr.splitlines()), shown
    if result.exit_code == 0:
        assert "--json" not in words or json.loads(result.stdout) is not ..., shown
        return
    if words[:2] == ["config", "check"] and "--json" in words:
        assert json.loads(result.stdout)["valid"] is False
        return
    said = [line for line in result.stderr.splitlines() if line.startswith("Error: ") or line == "Aborted!"]
    assert len(said) == 1, shown
    if result.exit_code == 1 and not said[0].endswith(":"):
        listed = [line for line in result.stderr.splitlines() if line.startswith("  ")]
        assert len(result.stderr.splitlines()) == 1 + len(listed), shown
    assert result.stdout == "", shown


@pytest.fixture
def sensible(line: Line) -> dict[str, str]:
    """Right words for what is required, by the parameter's name."""
    made = line.json("keys", "create", "--user", "ada")
    body = line.directory / "body.json"
    body.write_text('{"model": "esm3-open-2024-03", "inputs": {"sequence": "MK_"}}')
    return {
        "key_id": made["public_id"],
        "user": "ada",
        "reason": "a panel",
        "until": "1d",
        "name": f"n{uuid4().hex[:8]}",
        "file": str(body),
        "receipt_id": "abc",
    }


def run(line: Line, words: list[str]) -> Result:
    at = words.index("--")
    config = [] if any(word.startswith("--config") for word in words) else ["--config", str(line.config)]
    config = [] if words[:2] == ["config", "reference"] else config
    return CliRunner().invoke(main, [*words[:at], *config, *words[at:]], input="", prog_name="esm-gateway")


@pytest.mark.parametrize("subject", SUBJECTS, ids=NAMES)
def test_every_parameter_of_every_command_takes_any_value(
    line: Line, subject: Subject, sensible: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(line.directory)
    for param in subject.command.params:
        if isinstance(param, click.Option) and param.is_flag:
            words = subject.line(sensible, {param.name or "": ""})
            check(run(line, words), words)
            continue
        for odd in ODD:
            words = subject.line(sensible, {param.name or "": odd})
            check(run(line, words), words)


@pytest.mark.parametrize("name", ["export", "import"])
def test_any_bytes_in_a_file_are_a_result_or_a_sentence(line: Line, sensible: dict[str, str], name: str) -> None:
    made = sensible["name"]
    line.said("cache", "namespace", "create", made)
    line.said("cache", "namespace", "freeze", made)
    whole = line.directory / "whole"
    line.said("cache", "namespace", "export", made, str(whole))
    content = whole.read_bytes()
    line.said("cache", "namespace", "drop", made, "--yes")
    for at in range(0, len(content), max(1, len(content) // 40)):
        for changed in (content[:at], content[:at] + b"\xff" + content[at + 1 :], content + content[at:]):
            (line.directory / "file").write_bytes(changed)
            words = ["cache", "namespace", "import", str(line.directory / "file")]
            words = words if name == "import" else ["cache", "explain", str(line.directory / "file")]
            result = line.run(*words)
            check(result, words)
            if name == "import" and changed != content:
                assert result.exit_code == 1
    line.run("cache", "namespace", "drop", made, "--yes")


@pytest.mark.parametrize(
    "text",
    ["\0", "a = [" + "[" * 5000, "a = " + "9" * 5000, "\ufeffa=1", "[listen]\nport = 1e999", "a = 2027-99-99", "= 1",
     '[limits.users."\\u0000"]\nburst = 1', "[models]\n" + "x" * 9000 + " = 1", "\x1b[2J = 1", "data_dir = '\\u0000'"],
)  # fmt: skip
def test_any_settings_file_is_a_result_or_a_sentence(line: Line, text: str) -> None:
    line.config.write_text(text)
    for words in (["config", "check"], ["config", "show"], ["keys", "list"], ["health"], ["serve"]):
        result = line.run(*words)
        check(result, words)
        assert result.exit_code == 1


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_random_words_end_in_a_result_or_a_sentence(line: Line, sensible: dict[str, str], data: st.DataObject) -> None:
    subject = data.draw(st.sampled_from(SUBJECTS))
    names = [param.name or "" for param in subject.command.params]
    value = st.one_of(st.sampled_from(ODD), st.text(max_size=20))
    changed = data.draw(st.dictionaries(st.sampled_from(names), value, max_size=3))
    changed = {name: text.replace("\0", "") for name, text in changed.items()}
    words = subject.line(sensible, changed)
    if words[:3] == ["cache", "namespace", "export"]:
        return  # it would write wherever the random words say
    check(run(line, words), words)


@pytest.mark.parametrize("command", PROCESSES)
@pytest.mark.parametrize("odd", ["-1", "nan", "x", "9" * 400, "\udcff", ""])
def test_a_process_that_cannot_run_says_so_in_a_sentence(line: Line, command: str, odd: str) -> None:
    """Each with one option that it cannot run with; and child processes that a person starts."""
    found = main.get_command(click.Context(main), command)
    assert found is not None
    for param in found.params:
        if (
            isinstance(param, click.Option)
            and not param.is_flag
            and param.type.name not in ("file", "directory", "path")
        ):
            words = [command, f"{param.opts[0]}={odd}"]
            result = CliRunner().invoke(main, words, input="", prog_name="esm-gateway")
            check(result, words)
            assert result.exit_code == 2


@pytest.mark.parametrize("command", ["worker", "reader"])
@pytest.mark.parametrize("given_text", ["", "{}", "[\n", '{"listen": 1}\n', "\n"])
def test_a_child_process_that_a_person_starts_says_what_it_is(command: str, given_text: str) -> None:
    options = {"worker": ("slot", "listener", "ready"), "reader": ("control", "bodies", "results")}[command]
    words = [sys.executable, "-m", "gateway", command, *(f"--{name}=99" for name in options)]
    done = subprocess.run(words, input=given_text, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1), done.stderr
    assert "is started by `esm-gateway serve`" in done.stderr
