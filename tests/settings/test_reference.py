"""The example file and the page are what the model says, and the example is valid."""

import re
import tomllib
from pathlib import Path

from gateway.settings import Settings, load
from gateway.settings.names import leaves
from gateway.settings.reference import SAMPLES, as_toml, default

ROOT = Path(__file__).resolve().parents[2]


def test_the_example_changes_no_default_but_names_a_key(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.touch(0o600)
    key.write_text("secret")
    path = tmp_path / "gateway.toml"
    path.write_text(as_toml().replace("/run/secrets/upstream-1", str(key)))
    settings = load(path, {})
    assert [each.id for each in settings.upstream.keys] == ["lab-1"]
    bare = settings.model_copy(update={"upstream": settings.upstream.model_copy(update={"keys": ()})})
    assert bare == Settings()


def test_every_setting_stands_in_the_example_at_its_default() -> None:
    shown = tomllib.loads(re.sub(r"^# (?=[a-z_\"]+ = |\[)", "", as_toml(), flags=re.MULTILINE))
    for leaf in leaves():
        value = shown
        for step in leaf.name.split("."):
            value = value[step]
        if leaf.name not in SAMPLES and default(leaf.field) is not None:
            assert value == default(leaf.field), leaf.name


def test_every_setting_has_a_meaning_of_one_sentence() -> None:
    for leaf in leaves():
        assert leaf.field.description, leaf.name
        assert leaf.field.description.endswith("."), leaf.name
