"""Sampler checks are switched off by name, and what parsing depends on comes from the settings."""

import json
from pathlib import Path

import pytest

from gateway.core.sampler_checks import CHECKS
from gateway.settings import InvalidSettings, load
from gateway.wiring.cache_config import parse_config


def variables(tmp_path: Path, **more: str) -> dict[str, str]:
    key = tmp_path / "key"
    key.touch(0o600)
    key.write_text("secret")
    return {"GATEWAY_UPSTREAM__KEYS": json.dumps([{"id": "a", "file": str(key)}]), **more}


def test_without_a_word_every_check_is_on(tmp_path: Path) -> None:
    rules = parse_config(load(None, variables(tmp_path)))
    assert rules.skipped_checks == frozenset()
    assert (rules.max_answer_bytes, rules.max_unpacked_bytes) == (64 * 2**20, 64 * 2**20)


def test_every_check_can_be_switched_off(tmp_path: Path) -> None:
    switches = {check.name: number % 2 == 0 for number, check in enumerate(CHECKS)}
    rules = parse_config(load(None, variables(tmp_path, GATEWAY_REQUEST__CHECKS=json.dumps(switches))))
    assert rules.skipped_checks == {name for name, on in switches.items() if not on}


def test_the_bounds_are_those_of_the_settings(tmp_path: Path) -> None:
    given = {"GATEWAY_UPSTREAM__MAX_ANSWER_BYTES": "1000", "GATEWAY_REQUEST__MAX_UNPACKED_BYTES": "2000"}
    rules = parse_config(load(None, variables(tmp_path, **given)))
    assert (rules.max_answer_bytes, rules.max_unpacked_bytes) == (1000, 2000)


@pytest.mark.parametrize("name", ["nothing", "Nothing_masked", ""])
def test_a_name_that_no_check_has_is_a_fault(tmp_path: Path, name: str) -> None:
    with pytest.raises(InvalidSettings) as error:
        load(None, variables(tmp_path, GATEWAY_REQUEST__CHECKS=json.dumps({name: False})))
    assert "request.checks" in str(error.value) or "GATEWAY_REQUEST__CHECKS" in str(error.value)
