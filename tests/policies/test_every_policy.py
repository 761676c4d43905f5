"""What holds for every policy: it is built from the settings, has a name of its own, and is tested."""

from pathlib import Path

import pytest

from gateway.core.policies import MODULES
from gateway.settings.model import PolicySettings
from tests.policies.built import built

HERE = Path(__file__).parent
NAMES = [module.__name__.rsplit(".", 1)[1] for module in MODULES]


@pytest.mark.parametrize("name", NAMES)
def test_every_policy_has_a_test_file(name: str) -> None:
    assert (HERE / f"test_{name}.py").exists(), f"tests/policies/test_{name}.py is missing"


def test_every_policy_is_built_from_the_policy_table_of_the_settings() -> None:
    try:
        made = built()
    except KeyError as missing:
        pytest.fail(f"a policy reads the setting {missing}: PolicySettings in gateway/settings/model.py lacks its row")
    assert {policy.name for policy in made} == set(NAMES), "a policy is named like its file"


def test_every_policy_setting_is_read_by_a_policy() -> None:
    class Asked(dict[str, object]):
        def __getitem__(self, name: str) -> object:
            read.add(name)
            return super().__getitem__(name)

    read: set[str] = set()
    for module in MODULES:
        module.from_settings(Asked(PolicySettings().model_dump()))
    assert read == set(PolicySettings.model_fields)


def test_policies_without_audit_records_are_asked_before_those_with() -> None:
    audited = [policy.audited for policy in built()]
    assert audited == sorted(audited)
