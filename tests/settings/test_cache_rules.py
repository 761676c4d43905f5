"""Rules of the cache are switched by name; a name that no rule has is a fault of the settings."""

import json
from pathlib import Path

import pytest

from gateway.core.rules import SAMPLER, WIRE_NAME, rule_set
from gateway.settings import InvalidSettings, load


def variables(tmp_path: Path, **more: str) -> dict[str, str]:
    key = tmp_path / "key"
    key.touch(0o600)
    key.write_text("secret")
    return {"GATEWAY_UPSTREAM__KEYS": json.dumps([{"id": "a", "file": str(key)}]), **more}


def test_without_a_word_the_rules_are_those_of_the_wire(tmp_path: Path) -> None:
    cache = load(None, variables(tmp_path)).cache
    assert (cache.level, cache.rules) == ("wire", {})
    assert rule_set(cache.level, cache.rules).name == WIRE_NAME


def test_every_sampler_rule_can_be_switched(tmp_path: Path) -> None:
    switches = {rule.name: number % 2 == 0 for number, rule in enumerate(SAMPLER)}
    cache = load(None, variables(tmp_path, GATEWAY_CACHE__RULES=json.dumps(switches))).cache
    assert rule_set(cache.level, cache.rules).names == {name for name, on in switches.items() if on}


@pytest.mark.parametrize("name", ["backbones", "member_order", ""])
def test_a_name_that_no_rule_has_is_a_fault(tmp_path: Path, name: str) -> None:
    with pytest.raises(InvalidSettings) as error:
        load(None, variables(tmp_path, GATEWAY_CACHE__RULES=json.dumps({name: True})))
    assert "cache.rules" in str(error.value) or "GATEWAY_CACHE__RULES" in str(error.value)


def test_a_level_that_does_not_exist_is_a_fault(tmp_path: Path) -> None:
    with pytest.raises(InvalidSettings):
        load(None, variables(tmp_path, GATEWAY_CACHE__LEVEL="bits"))
