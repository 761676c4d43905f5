"""The measures of the house: size of files and functions, names, secrets' enemies, layers."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CODE = ("gateway", "tests", "bench", "grafana", "docs")
FILES = sorted(path for part in CODE for path in (ROOT / part).rglob("*.py"))
EMPTY_NAMES = ("utils", "helpers", "common", "misc", "manager", "_v2")


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def functions(path: Path) -> Iterator[tuple[str, int]]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name, (node.end_lineno or node.lineno) - node.lineno + 1


def test_there_is_something_to_measure() -> None:
    assert len(FILES) > 60


@pytest.mark.parametrize("path", FILES, ids=named)
def test_no_file_is_too_long(path: Path) -> None:
    limit = 400 if path.is_relative_to(ROOT / "tests") else 300
    assert path.read_text("utf-8").count("\n") <= limit


@pytest.mark.parametrize("path", FILES, ids=named)
def test_no_function_is_too_long(path: Path) -> None:
    assert [name for name, lines in functions(path) if lines > 40] == []


@pytest.mark.parametrize("path", FILES, ids=named)
def test_names_say_something(path: Path) -> None:
    assert not any(path.stem == word or path.stem.endswith(word) for word in EMPTY_NAMES)


@pytest.mark.parametrize("path", [f for f in FILES if f.is_relative_to(ROOT / "gateway")], ids=named)
def test_every_module_says_what_it_is_for(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text("utf-8")))


def imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module or "")
    return names


@pytest.mark.parametrize("path", [f for f in FILES if f.is_relative_to(ROOT / "gateway")], ids=named)
def test_nothing_unpickles_and_only_the_settings_read_the_environment(path: Path) -> None:
    assert not imported(path) & {"pickle", "cPickle", "dill", "marshal", "shelve", "cloudpickle"}
    text = path.read_text("utf-8")
    if not path.is_relative_to(ROOT / "gateway" / "settings"):
        assert not re.search(r"os\.(environ|getenv)|from os import .*environ", text)


def test_imports_run_downwards_only_and_commands_know_no_adapters() -> None:
    linter = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([linter, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_no_file_names_a_package_host() -> None:
    files = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    hosts = re.compile(rb"files\.python" rb"hosted\.org|pypi\.(org|python)|regist" rb"ry\.npm")
    assert [name for name in files if (ROOT / name).is_file() and hosts.search((ROOT / name).read_bytes())] == []
