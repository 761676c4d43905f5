"""A leaked key is revoked by what the leak shows, and is not shown once more."""

from uuid import uuid4

import pytest

from gateway.core import credentials
from tests.cli.conftest import Line

WAYS = {
    "the whole key": "{key}",
    "a line of a script": 'curl -s "https://gateway/api" --header "Authorization: Bearer {key}" # fold it',
    "a line of a log": '{{"authorization":"Bearer {key}"}},',
    "cut in the middle": "{cut}",
    "its id in front of stars": "esmgw_{id}_****",
    "its prefix and id": "esmgw_{id}",
    "its id": "  {id}\n",
    "the same key twice": "{key}\n{key}\n",
    "one of them cut": "{cut}... was {key}",
}


@pytest.fixture
def made(line: Line) -> dict[str, str]:
    key = line.json("keys", "create", "--user", f"ada-{uuid4().hex[:8]}")
    return {"key": key["key"], "id": key["public_id"], "cut": key["key"][:40]}


def told_nothing(line: Line, said: str, made: dict[str, str]) -> None:
    """Neither output nor audit record has the secret, or a part of it."""
    secret = made["key"].rpartition("_")[2]
    recorded = (line.directory / "data" / "audit" / "audit.jsonl").read_text()
    for start in range(len(secret) - 8):
        assert secret[start : start + 8] not in said + recorded


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("door", ["argument", "unquoted", "standard input", "dash"])
def test_a_key_is_revoked_by_whatever_shows_it(line: Line, made: dict[str, str], way: str, door: str) -> None:
    leak = WAYS[way].format_map(made)
    if door == "argument":
        result = line.run("keys", "revoke", leak)
    elif door == "unquoted":
        result = line.run("keys", "revoke", *(word for word in leak.split() if not word.startswith("-")))
    else:
        result = line.run("keys", "revoke", *(["-"] if door == "dash" else []), given=f"{leak}\n")
    assert result.exit_code == 0, result.output
    assert f"Key {made['id']} " in result.stdout
    assert line.json("keys", "show", made["id"])["state"] == "revoked"
    told_nothing(line, result.output, made)


def test_the_second_to_revoke_a_key_is_told_so(line: Line, made: dict[str, str]) -> None:
    assert "was revoked at" in line.said("keys", "revoke", made["key"])
    assert "was revoked already, at" in line.said("keys", "revoke", made["key"])


def test_a_made_up_secret_revokes_nobody(line: Line, made: dict[str, str]) -> None:
    """Whoever knows an id must not have its key revoked by "finding" a key with it."""
    stem = f"esmgw_{made['id']}_{'x' * credentials.SECRET_CHARS}"
    forged = {**made, "key": stem + credentials._checksum(stem)}
    said = line.refusal("keys", "revoke", forged["key"])
    assert "name its id alone" in said
    assert made["id"] in said
    assert line.json("keys", "show", made["id"])["state"] == "valid"
    told_nothing(line, said, forged)


@pytest.mark.parametrize("leak", ["", "nothing", "esmgw_", "esmgw_short_x", "\x00", "esmgw_" + "A" * 80, "A" * 12])
def test_a_text_without_a_key_of_ours_is_not_repeated(line: Line, leak: str) -> None:
    said = line.refusal("keys", "revoke", given=leak)
    assert said == "Error: There is no key with this id; `keys list` shows them.\n"


def test_two_keys_in_a_text_are_revoked_one_at_a_time(line: Line, made: dict[str, str]) -> None:
    other = line.json("keys", "create", "--user", "bob")
    said = line.refusal("keys", "revoke", f"{made['key']} {other['key']}")
    assert made["id"] in said
    assert other["public_id"] in said
    told_nothing(line, said, made)


@pytest.mark.parametrize(
    "words",
    [["keys", "{key}"], ["{key}"], ["keys", "list", "{key}"], ["keys", "show", "{id}", "{key}"],
     ["usage", "a", "{key}"],
     ["keys", "create", "--user", "{key}"], ["keys", "create", "--user", "a", "--expires", "{key}"], ["--{key}"],
     ["keys", "create", "--user", "a", "--model", "{key}"], ["health", "--url", "http://{key}"],
     ["cache", "explain", "{key}"], ["keys", "create", "--user", "a", "--label", "it was {key}"]],
)  # fmt: skip
def test_a_key_in_the_wrong_place_is_not_echoed_by_any_message(
    line: Line, made: dict[str, str], words: list[str]
) -> None:
    result = line.run(*(word.format_map(made) for word in words))
    assert result.exit_code in (1, 2)
    told_nothing(line, result.output, made)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("esmgw_ABCDEFGHIJKL_secretsecret!", "esmgw_ABCDEFGHIJKL_...!"),
        ("esmgw_ABCDEFGHIJKLsecret_secret", "esmgw_ABCDEFGHIJKL..."),
        ("esmgw_ABCDEFGHIJKL and esmgw_", "esmgw_ABCDEFGHIJKL and esmgw_"),
    ],
)
def test_of_a_key_only_what_is_public_is_shown(text: str, shown: str) -> None:
    assert credentials.without_secrets(text) == shown
