"""`cache explain` and `cache receipt`: the explanation of a body where the secret is, and receipts read back."""

import json
from itertools import count
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from gateway.cli.demo_text import BODY
from gateway.core import receipts
from gateway.core.receipts import Receipt
from gateway.core.types import DeterminismClass
from gateway.settings import Settings
from gateway.wiring.cache_config import cache_config, parse_config, sealing_keys
from tests.cli.conftest import MASTER, Line

RESIDUES = 19


def explained(line: Line, body: dict[str, Any], *words: str) -> Any:
    return line.json("cache", "explain", "-", *words, given=json.dumps(body))


def test_a_body_is_explained_by_its_digest_class_and_price(line: Line, tmp_path: Path) -> None:
    (tmp_path / "body.json").write_text(json.dumps(BODY))
    about = line.json("cache", "explain", str(tmp_path / "body.json"))
    assert (about["class"], about["stored"], about["tokens"], about["flagged"]) == ("exact", True, 21, False)
    assert about["units"] == 3 * 21
    same = {**dict(reversed(BODY.items())), "top_p": 1, "invalid_ids": None}
    again = explained(line, same)
    for name in ("call_sha256", "shared_sha256", "key", "canonical"):
        assert again[name] == about[name]
    assert len(about["key"]) == 64


def test_a_body_that_is_not_exact_is_explained_with_what_would_make_it_so(line: Line) -> None:
    about = explained(line, {**BODY, "strategy": "random"})
    assert about["class"] == "pinned"
    assert about["remedy"] == 'set "strategy": "entropy"'
    said = line.said("cache", "explain", "-", given=json.dumps({**BODY, "strategy": "random"}))
    assert about["remedy"] in said
    assert "NO   Is the order of unmasking decided" in said
    drawn = explained(line, {**BODY, "temperature": 1})
    assert (drawn["stored"], drawn["key"]) == (False, None)


def test_a_body_that_is_refused_is_told_field_by_field(line: Line, tmp_path: Path) -> None:
    said = line.refusal("cache", "explain", "-", given=json.dumps({**BODY, "num_steps": 0, "top_p": 2}))
    assert "/num_steps" in said
    assert "/top_p" in said
    assert line.refusal("cache", "explain", "-", given="{")
    assert "No such file" in line.refusal("cache", "explain", str(tmp_path / "none"), status=2)


def test_coordinates_are_told_by_their_digest_unless_asked_for(line: Line) -> None:
    atoms = [[[0.5, None, -0.0]] * 3] * (RESIDUES + 2)
    body = {**BODY, "inputs": {"sequence": [0, *[32] * RESIDUES, 2], "coordinates": atoms}}
    told = explained(line, body)["canonical"]["inputs"]["coordinates"]
    assert told["shape"] == [RESIDUES + 2, 3, 3]
    assert explained(line, body, "--canonical")["canonical"]["inputs"]["coordinates"][0][0] == [0.5, None, 0.0]


def test_a_purge_changes_the_key_and_nothing_else_of_an_explanation(line: Line) -> None:
    before = explained(line, BODY)
    line.said("cache", "purge", "--yes")
    after = explained(line, BODY)
    assert after.pop("key") != before.pop("key")
    assert after == before


def test_where_few_share_the_key_depends_on_who_asks(line: Line) -> None:
    line.config.write_text(line.config.read_text() + '[cache]\nshare = "team"\n')
    keys = [line.json("keys", "create", "--user", f"u-{uuid4().hex[:8]}", "--team", team) for team in "aab"]
    assert explained(line, BODY)["key"] is None
    assert "--for KEY_ID" in line.said("cache", "explain", "-", given=json.dumps(BODY))
    one, same, other = (explained(line, BODY, "--for", key["public_id"])["key"] for key in keys)
    assert one == same != other
    assert "no key with this id" in line.refusal("cache", "explain", "-", "--for", "nobody", given=json.dumps(BODY))


def test_a_key_s_scope_is_explained_with_the_key(line: Line) -> None:
    made = line.json("keys", "create", "--user", "ada", "--cache-classes", "exact", "--cache-control", "max-age")
    about = explained(line, {**BODY, "strategy": "random"}, "--for", made["public_id"])
    assert (about["stored"], about["why"]) == (False, "this key may not cache pinned answers (its scope)")
    words = ["--for", made["public_id"], "--cache-control", "pool=lab"]
    assert "may not use" in line.refusal("cache", "explain", "-", *words, given=json.dumps(BODY))
    assert "no namespace of that name" in line.refusal(
        "cache", "explain", "-", "--cache-control", "namespace=paper", given=json.dumps(BODY)
    )


def test_without_the_stores_a_body_is_explained_but_for_its_key(line: Line, tmp_path: Path) -> None:
    text = line.config.read_text()
    for name in ("state_url", "cache_url"):
        start = text.index(name)
        text = text[:start] + f'{name} = "unix://{tmp_path}/nobody"' + text[text.index("\n", start) :]
    line.config.write_text(text)
    about = explained(line, BODY)
    assert (about["class"], about["key"], about["why"]) == ("exact", None, "the cache store is unreachable")


def test_a_rule_that_is_switched_on_is_in_force_and_shown_to_change_the_call(line: Line) -> None:
    loose = {**BODY, "num_steps": 9}
    shown = {rule["name"]: (rule["in_force"], rule["changes"]) for rule in explained(line, loose)["rules"]}
    assert shown["spare_steps"] == (False, True)
    assert shown["member_order"] == (True, None)
    line.config.write_text(line.config.read_text() + '[cache]\nlevel = "sampler"\n')
    about = explained(line, loose)
    shown = {rule["name"]: (rule["in_force"], rule["changes"]) for rule in about["rules"]}
    assert shown["spare_steps"] == (True, True)
    assert shown["one_step_schedule"] == (True, False)
    tight = explained(line, {**BODY, "num_steps": 5})
    assert about["call_sha256"] != tight["call_sha256"]
    for name in ("shared_sha256", "key", "canonical"):
        assert about[name] == tight[name]


def test_the_rules_in_force_are_named_in_every_cache_key() -> None:
    for cache, begins in (
        ({}, "wire-"),
        ({"level": "sampler"}, "sampler-"),
        ({"rules": {"backbone": True}}, "sampler-"),
    ):
        settings = Settings.model_validate({"cache": cache})
        named = cache_config(settings, b"m" * 32).rule_set
        assert named == parse_config(settings).rule_set.name
        assert named.startswith(begins)


@pytest.mark.parametrize("cls", list(DeterminismClass))
def test_a_receipt_is_read_with_the_gateway_s_secret_alone(line: Line, tmp_path: Path, cls: DeterminismClass) -> None:
    receipt = Receipt("esm3-open-2024-03", b"c" * 32, cls, 1_795_560_222.0, "http://upstream", b"a" * 32)
    identifier = receipts.encode(sealing_keys((MASTER + tmp_path.name).encode()).receipts, receipt)
    about = line.json("cache", "receipt", identifier)
    assert about == receipts.told(receipt, identifier)
    assert about["short"] in line.said("cache", "receipt", identifier)
    assert receipt.answer.hex() in line.said("cache", "receipt", identifier)
    foreign = receipts.encode(sealing_keys(b"another").receipts, receipt)
    for strange in (foreign, identifier[:-2], identifier[::-1], "-abc", "\N{BUTTERFLY}"):
        assert "issued no receipt" in line.refusal("cache", "receipt", strange)


def test_an_identifier_that_begins_with_a_dash_is_no_option(line: Line, tmp_path: Path) -> None:
    key = sealing_keys((MASTER + tmp_path.name).encode()).receipts
    at = count(1_795_560_222)
    minted = (
        receipts.encode(key, Receipt("m", b"c" * 32, DeterminismClass.EXACT, next(at), "u", b"a" * 32))
        for _ in range(9999)
    )
    identifier = next(each for each in minted if each.startswith("-"))
    assert line.json("cache", "receipt", identifier)["receipt"] == identifier
