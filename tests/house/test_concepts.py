"""One name a concept, few collaborators each, and no fake in what is installed."""

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest
from setuptools import find_packages

ROOT = Path(__file__).resolve().parents[2]
SANDBOX = ROOT / "gateway" / "sandbox"
FILES = sorted(path for path in (ROOT / "gateway").rglob("*.py") if not path.is_relative_to(SANDBOX))
MOST_PARAMETERS = 8


def classes() -> Iterator[tuple[ast.ClassDef, str]]:
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ClassDef):
                yield node, f"{path.relative_to(ROOT)}:{node.lineno}"


CLASSES = list(classes())


def test_no_class_name_stands_twice() -> None:
    places: dict[str, list[str]] = defaultdict(list)
    for node, where in CLASSES:
        places[node.name].append(where)
    assert len(places) > 100
    assert {name: found for name, found in places.items() if len(found) > 1} == {}


@pytest.mark.parametrize(("node", "where"), CLASSES, ids=[f"{node.name} {where}" for node, where in CLASSES])
def test_no_constructor_takes_too_many_parameters(node: ast.ClassDef, where: str) -> None:
    for member in node.body:
        if isinstance(member, ast.FunctionDef) and member.name == "__init__":
            parameters = [*member.args.posonlyargs, *member.args.args, *member.args.kwonlyargs][1:]
            names = [parameter.arg for parameter in parameters]
            assert len(names) <= MOST_PARAMETERS, f"{where}: {node.name} takes {len(names)}: {', '.join(names)}"


def test_what_is_installed_holds_no_fake() -> None:
    packages = find_packages(str(ROOT), include=["gateway*"])
    assert "gateway.flow" in packages
    for package in packages:
        for path in (ROOT / package.replace(".", "/")).glob("*.py"):
            words = {path.stem, *package.split("."), *_names(path)}
            assert not [word for word in words if word.lower().startswith(("fake", "memory_", "mock"))], path


def _names(path: Path) -> set[str]:
    tree = ast.parse(path.read_text("utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.ClassDef | ast.FunctionDef)}
