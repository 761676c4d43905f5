"""Keys and approvals from the command line."""

import re
from pathlib import Path
from uuid import uuid4

import pytest

from gateway.core import credentials
from tests.cli.conftest import Line

MODEL = "esm3-open-2024-03"


@pytest.fixture
def user() -> str:
    """Nobody else in the shared store has this name."""
    return f"ada-{uuid4().hex[:8]}"


def test_a_new_key_is_shown_once_and_then_only_its_id(line: Line, user: str) -> None:
    said = line.said("keys", "create", "--user", user, "--team", "lab", "--label", "laptop", "--by", "grace")
    text = re.search(r"esmgw_\S+", said)
    assert text is not None
    key = credentials.parse(text[0])
    assert key is not None
    for words in (["keys", "list"], ["keys", "show", key.public_id], ["audit", "tail"]):
        shown = line.said(*words)
        assert key.public_id in shown
        assert key.text not in shown


def test_a_key_is_what_was_asked_for(line: Line, user: str) -> None:
    words = ["--model", MODEL, "--expires", "2030-01-31", "--units-per-day", "9", "--team", "lab"]
    words += ["--requests-per-minute", "20", "--burst", "2"]
    made = line.json("keys", "create", "--user", user, *words)
    about = line.json("keys", "show", made["public_id"])
    assert (about["user"], about["team"], about["models"], about["state"]) == (user, "lab", [MODEL], "valid")
    assert about["expires"] == 1896134399.0, "the last second of that day"
    limits = {"requests_per_minute": 20, "burst": 2, "concurrent": None, "units_per_day": 9}
    assert about["limits"] == limits
    assert "digest" not in about


def test_a_key_may_do_less_with_the_cache_than_the_settings_say(line: Line, user: str) -> None:
    words = ["--cache-classes", "exact", "--cache-share", "team", "--cache-control", "Max-Age, only-if-cached"]
    made = line.json("keys", "create", "--user", user, *words, "--namespace", "paper-2026")
    scope = {
        "classes": ["exact"],
        "share": "team",
        "directives": ["max-age", "only-if-cached"],
        "namespace": "paper-2026",
    }
    assert line.json("keys", "show", made["public_id"])["cache"] == scope
    assert line.json("audit", "tail")[-1]["facts"]["cache"] == scope
    told = "cache    classes exact; shares with team; Cache-Control max-age, only-if-cached; namespace paper-2026"
    assert told in line.said("keys", "show", made["public_id"])
    assert "paper-2026" in line.said("keys", "list", "--user", user)


def test_none_is_less_than_nothing_said(line: Line, user: str) -> None:
    plain = line.json("keys", "create", "--user", user)
    assert plain["cache"] is None
    assert "cache " not in line.said("keys", "show", plain["public_id"])
    bare = line.json("keys", "create", "--user", user, "--cache-control", "none", "--cache-classes", "none")
    assert bare["cache"] == {"classes": [], "share": None, "directives": [], "namespace": None}
    assert "classes none; Cache-Control none" in line.said("keys", "show", bare["public_id"])


def test_a_revoked_key_is_listed_as_such(line: Line, user: str) -> None:
    made = line.json("keys", "create", "--user", user)
    assert "was revoked" in line.said("keys", "revoke", made["public_id"], "--by", "grace")
    assert [key["state"] for key in line.json("keys", "list", "--user", user)] == ["revoked"]
    assert "revoked" in line.said("keys", "show", made["public_id"])


def test_keys_are_listed_for_one_user_alone(line: Line, user: str) -> None:
    made = line.json("keys", "create", "--user", user)
    line.said("keys", "create", "--user", f"{user}-other")
    assert [key["public_id"] for key in line.json("keys", "list", "--user", user)] == [made["public_id"]]


@pytest.mark.parametrize(
    "words, status, said",
    [
        (["keys", "create", "--user", "a b"], 1, "letters"),
        (["keys", "create", "--user", "ada", "--model", "esm4"], 1, f"it has: {MODEL}"),
        (["keys", "create", "--user", "ada", "--expires", "2001-01-01"], 1, "in the future"),
        (["keys", "create", "--user", "ada", "--expires", "soon"], 2, "neither a time span"),
        (["keys", "create", "--user", "ada", "--expires", "999999w"], 1, "within ten years"),
        (["keys", "create", "--user", "ada", "--expires", "9999-12-31T23:59-12:00"], 1, "within ten years"),
        (["keys", "create", "--user", "ada", "--burst", "5"], 1, "without requests per minute"),
        (["keys", "create", "--user", "ada", "--units-per-day", "9" * 30], 2, "range"),
        (["keys", "create", "--user", "Jos\u00e9"], 1, "letters (a to z, A to Z)"),
        (["approve", "ada", "--by", "a", "--by", "b", "--reason", "x", "--until", "999999w"], 1, "within a year"),
        (["cache", "purge", "--yes", "--older-than", "999999w"], 1, "at most ten years"),
        (["keys", "create", "--user", "ada", "--units-per-day", "-1"], 2, "range"),
        (["keys", "create", "--user", "ada", "--cache-classes", "exact,sampled"], 1, "exact, pinned"),
        (["keys", "create", "--user", "ada", "--cache-share", "world"], 2, "organisation"),
        (["keys", "create", "--user", "ada", "--cache-control", "max-age,private"], 1, "only-if-cached, max-age"),
        (["keys", "create", "--user", "ada", "--namespace", "a b"], 1, "1 to 64 letters"),
        (["keys", "create"], 2, "--user"),
        (["keys", "show", "nobody"], 1, "no key with this id"),
        (["keys", "revoke", "nobody"], 1, "no key with this id"),
        (["approve", "ada", "--by", "bob", "--reason", "x", "--until", "1d"], 1, "two different people"),
        (["approve", "ada", "--by", "bob", "--by", "ada", "--reason", "x", "--until", "1d"], 1, "themselves"),
        (["approve", "ada", "--by", "a", "--by", "b", "--reason", "x", "--until", "400d"], 1, "within a year"),
        (["approve", "ada", "--by", "a", "--by", "b", "--until", "1d"], 2, "--reason"),
        (["revoke-approval", "nobody-has-this-name"], 1, "no such approval"),
    ],
)
def test_what_cannot_be_done_is_told_in_a_sentence(line: Line, words: list[str], status: int, said: str) -> None:
    assert said in line.refusal(*words, status=status)


def test_an_approval_is_given_by_two_shown_with_the_key_and_revoked(line: Line, user: str) -> None:
    made = line.json("keys", "create", "--user", user)
    people = ["--by", "grace", "--by", "edsger"]
    approval = line.json("approve", user, *people, "--reason", "toxin panel", "--until", "30d", "--model", MODEL)
    assert (approval["approved_by"], approval["models"]) == (["edsger", "grace"], [MODEL])
    shown = line.json("keys", "show", made["public_id"])["approvals"]
    assert [each["approval_id"] for each in shown] == [approval["approval_id"]]
    ended = line.json("revoke-approval", user, "--approval", approval["approval_id"], "--by", "grace")
    assert ended[0]["revoked"] is not None
    assert "no such approval" in line.refusal("revoke-approval", user)


def test_every_change_is_in_the_record_with_who_did_it(line: Line, user: str) -> None:
    made = line.json("keys", "create", "--user", user, "--by", "grace")
    line.said("approve", user, "--by", "grace", "--by", "edsger", "--reason", "x", "--until", "1d")
    line.said("revoke-approval", user, "--by", "edsger")
    line.said("keys", "revoke", made["public_id"], "--by", "alan")
    told = [(record["kind"], record["facts"].get("by")) for record in line.json("audit", "tail")]
    assert told[-4:] == [
        ("key_created", "grace"),
        ("approval_created", ["edsger", "grace"]),
        ("approval_revoked", "edsger"),
        ("key_revoked", "alan"),
    ]


def test_without_a_state_store_nothing_is_created_and_the_sentence_says_so(line: Line, tmp_path: Path) -> None:
    text = line.config.read_text()
    start = text.index("state_url")
    lost = text[:start] + f'state_url = "unix://{tmp_path}/nobody"' + text[text.index("\n", start) :]
    line.config.write_text(lost)
    assert "A store cannot be used (keys, refused): nobody listens at its address" in line.refusal("keys", "list")


def test_without_an_audit_record_nothing_is_created(line: Line, user: str) -> None:
    line.said("keys", "create", "--user", user)
    audit = line.directory / "data" / "audit" / "audit.jsonl"
    audit.unlink()
    audit.mkdir()
    assert "could not be written, so nothing was changed" in line.refusal("keys", "create", "--user", user)
    assert len(line.json("keys", "list", "--user", user)) == 1
