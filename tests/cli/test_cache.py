"""Purges, numbers and named namespaces, as an administrator meets them on the command line."""

import re
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from gateway.cli.cache_namespaces import format_size
from tests.cli.conftest import Line

MODEL = "esm3-open-2024-03"
KEY = "ab" * 32


@pytest.fixture
def name() -> str:
    """Namespaces of other tests lie in the same store."""
    return f"paper-{uuid4().hex[:8]}"


def facts(line: Line) -> dict[str, Any]:
    """The latest record of the audit, without the user who runs these tests."""
    record: dict[str, Any] = line.json("audit", "tail", "-n", "1")[0]
    told = {"kind": record["kind"], **record["facts"]}
    assert told.pop("ran_by")
    told.pop("logged_in_as", None)
    return told


def test_the_numbers_of_the_cache_are_told_with_what_they_mean(line: Line) -> None:
    told = line.json("cache", "stats")
    assert set(told) == {"store", "purges", "namespaces"}
    assert set(told["store"]) == {"entries", "bytes", "evicted", "expired", "hits", "misses"}
    said = line.said("cache", "stats")
    for word in ("entries", "memory", "expired", "evicted", "everything before 20", "Namespaces"):
        assert word in said


def test_a_purge_of_everything_moves_the_epoch_and_is_on_record(line: Line) -> None:
    before = line.json("cache", "stats")["purges"]["epoch"]
    assert "written to the audit record" in line.said("cache", "purge", "--yes", "--by", "grace")
    assert line.json("cache", "stats")["purges"]["epoch"] > before
    assert facts(line) == {"kind": "cache_purged", "by": "grace", "namespace": "default"}


@pytest.mark.parametrize(
    "options, asked, recorded",
    [
        (["--model", MODEL], f"Purge every cached answer of {MODEL}?", {"model": MODEL}),
        (["--older-than", "30d"], "computed more than 720 hours ago?", {"older_than_s": 2592000.0}),
        (["--soft"], "Mark every cached answer as stale?", {"soft": True}),
        (["--key", KEY], "the answer with this cache key from the cache?", {"key": KEY}),
    ],
)
def test_what_will_be_forgotten_is_asked_back_and_recorded(
    line: Line, options: list[str], asked: str, recorded: dict[str, Any]
) -> None:
    result = line.run("cache", "purge", *options, "--by", "grace", given="y\n")
    assert result.exit_code == 0, result.output
    assert asked in result.stderr
    assert facts(line) == {"kind": "cache_purged", "by": "grace", "namespace": "default", **recorded}
    told = line.said("cache", "stats")
    shown = (f"{MODEL}: purged", "everything computed before", "all models: stale", "1 single answers")
    assert any(word in told for word in shown)


def test_nothing_is_forgotten_without_a_yes(line: Line) -> None:
    for words in (["cache", "purge"], ["cache", "namespace", "drop", "paper"]):
        result = line.run(*words, given="n\n")
        assert (result.exit_code, result.stdout) == (1, "")
    assert line.json("audit", "tail") == []


def test_a_purge_that_cannot_be_meant_is_refused_in_a_sentence(line: Line) -> None:
    assert "64 digits" in line.refusal("cache", "purge", "--yes", "--key", "abc")
    assert "not a model" in line.refusal("cache", "purge", "--yes", "--model", "esm3-opne")
    assert "not a time span" in line.refusal("cache", "purge", "--yes", "--older-than", "soon", status=2)
    assert "no namespace" in line.refusal("cache", "purge", "--yes", "--namespace", "nowhere")


def test_a_namespace_lives_is_listed_is_frozen_and_dropped(line: Line, name: str) -> None:
    assert f"Cache-Control: namespace={name}" in line.said("cache", "namespace", "create", name, "--note", "Figure 3")
    assert re.search(rf"^{name} +live +0 +0 B +20\S+ \S+ UTC +- +Figure 3$", line.said("cache", "namespaces"), re.M)
    assert "already" in line.refusal("cache", "namespace", "create", name)
    assert line.json("cache", "purge", "--yes", "--namespace", name)["entries"] == 0
    assert "freeze it first" in line.refusal("cache", "namespace", "export", name, str(line.directory / "x"))
    assert "is frozen since 20" in line.said("cache", "namespace", "freeze", name, "--by", "grace")
    frozen = facts(line)
    assert (frozen["kind"], frozen["by"], frozen["namespace"]) == ("namespace_frozen", "grace", name)
    assert "cannot be purged" in line.refusal("cache", "purge", "--yes", "--namespace", name)
    (row,) = [row for row in line.json("cache", "namespaces") if row["name"] == name]
    assert (row["state"], row["entries"], row["note"]) == ("frozen", 0, "Figure 3")
    assert "was deleted, with 0 calls" in line.said("cache", "namespace", "drop", name, "--yes")
    assert name not in line.said("cache", "namespaces")


def test_a_file_is_its_owner_s_alone_is_not_written_over_and_comes_back_under_another_name(
    line: Line, name: str, tmp_path: Path
) -> None:
    file = tmp_path / "paper.zst"
    line.said("cache", "namespace", "create", name)
    line.said("cache", "namespace", "freeze", name)
    carried = line.json("cache", "namespace", "export", name, str(file))
    assert file.stat().st_mode & 0o777 == 0o600
    assert "already exists" in line.refusal("cache", "namespace", "export", name, str(file))
    assert "already" in line.refusal("cache", "namespace", "import", str(file))
    assert carried["sha256"] in line.said("cache", "namespace", "import", str(file), "--as", f"{name}-2")
    assert facts(line)["kind"] == "namespace_imported"
    file.write_bytes(file.read_bytes()[:-1])
    assert "damaged or cut off" in line.refusal("cache", "namespace", "import", str(file), "--as", f"{name}-3")
    for each in (name, f"{name}-2"):
        line.said("cache", "namespace", "drop", each, "--yes")


def test_an_export_that_fails_leaves_no_file(line: Line, name: str, tmp_path: Path) -> None:
    place = tmp_path / "place"
    place.mkdir()
    assert "no namespace" in line.refusal("cache", "namespace", "export", "nowhere", str(place / "x"))
    assert list(place.iterdir()) == []
    assert "No such file" in line.refusal("cache", "namespace", "export", "nowhere", str(place / "none" / "x"))


@pytest.mark.parametrize("count, said", [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (5 * 2**30, "5.0 GiB")])
def test_sizes_are_told_for_people(count: int, said: str) -> None:
    assert format_size(count) == said
