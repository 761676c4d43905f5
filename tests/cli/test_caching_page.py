"""docs/caching.md, the guide to the cache, is what the code says."""

import re
from pathlib import Path

import click
import pytest

from gateway.cli import reference
from gateway.cli.cache import cache
from gateway.cli.keys import create
from gateway.core import receipts
from gateway.core.cache_directives import DIRECTIVES
from gateway.core.determinism import classify
from gateway.core.receipts import Receipt
from gateway.core.rules import RULES, Rule
from gateway.core.types import DeterminismClass, Imported
from gateway.settings.names import leaves
from tests.core.test_explanation import explained

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGE = (DOCS / "caching.md").read_text("utf-8")


def table(head: str) -> list[str]:
    """The first cells of the rows of the table with this head."""
    return re.findall(r"^\| (.+?) \|", PAGE.split(f"| {head} |")[1].split("\n\n")[0], re.MULTILINE)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_every_rule_is_one_row(rule: Rule) -> None:
    (row,) = (line for line in reference.rules().splitlines() if line.startswith(f"| `{rule.name}` |"))
    assert row.count(" | ") == 3


def test_every_directive_is_explained_and_no_other() -> None:
    named = [re.sub(r"=.*", "", cell.strip("`")) for cell in table("directive")]
    assert named == list(DIRECTIVES)


def test_every_member_of_a_receipt_is_explained_and_no_other() -> None:
    origin = Imported(b"f" * 32, 0.0, "ada")
    receipt = Receipt("m", b"c" * 32, DeterminismClass.EXACT, 0.0, "u", b"a" * 32, origin)
    assert sorted(cell.strip("`") for cell in table("member")) == sorted(receipts.told(receipt, "r"))
    names = [name.strip("`") for cell in table("member of `imported`") for name in cell.split(", ")]
    assert sorted(names) == sorted(receipts.origin_document(origin))


def test_every_member_of_an_explanation_is_explained_and_no_other() -> None:
    cells = [name.strip("`") for cell in table("member of an explanation") for name in cell.split(", ")]
    assert cells
    assert sorted(cells) == sorted(explained())


def test_every_option_that_narrows_a_key_is_explained() -> None:
    options = {cell.strip("`").split()[0] for cell in table("option of `keys create`")}
    made = {name for param in create.params for name in param.opts}
    assert options == {"--cache-classes", "--cache-share", "--cache-control", "--namespace"} <= made


def test_settings_decisions_and_commands_that_are_named_exist() -> None:
    names = {leaf.name for leaf in leaves()}
    assert set(re.findall(r"`(cache\.[a-z_]+)`", PAGE)) <= names
    assert [link for link in re.findall(r"\]\(([a-z0-9/.-]+\.md)\)", PAGE) if not (DOCS / link).is_file()] == []
    commands = re.findall(r"(?:`|esm-gateway )(cache [a-z-]+(?: [a-z-]+)?)", PAGE)
    assert {"cache explain", "cache namespace freeze", "cache namespaces", "cache purge"} <= {*commands}
    for words in commands:
        found: click.Command | None = cache
        for word in words.split()[1:]:
            found = found.get_command(click.Context(found), word) if isinstance(found, click.Group) else found
        assert found is not None, words


def test_the_table_of_classes_agrees_with_the_rules() -> None:
    rows = table("call")
    assert len(rows) == 6
    for cell, call in zip(
        rows,
        (
            ("sasa", 0.0, False, "entropy", 5),
            ("sasa", 0.0, True, "entropy", 5),
            ("sasa", 0.0, False, "random", 5),
            ("sasa", 0.5, False, "entropy", 5),
            ("function", 0.5, True, "entropy", 5),
            ("function", 0.0, True, "random", 5),
        ),
        strict=True,
    ):
        line = next(line for line in PAGE.splitlines() if line.startswith(f"| {cell} |"))
        assert line.split("|")[2].strip().startswith(f"`{classify(*call).cls}`")
