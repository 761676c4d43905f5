"""A gateway's settings on stores of this test run, and the command line as a person uses it."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from gateway.cli.main import main
from tests.contracts.servers import Stores

MASTER = "m" * 32


@dataclass(frozen=True, slots=True)
class Line:
    """The command line, on one settings file."""

    directory: Path

    @property
    def config(self) -> Path:
        return self.directory / "gateway.toml"

    def run(self, *words: str, given: str | None = None) -> Result:
        return CliRunner().invoke(main, [*words, "--config", str(self.config)], input=given, prog_name="esm-gateway")

    def said(self, *words: str, given: str | None = None) -> str:
        """What a command that succeeds prints for a person."""
        result = self.run(*words, given=given)
        assert result.exit_code == 0, result.output
        return result.stdout

    def json(self, *words: str, given: str | None = None) -> Any:
        return json.loads(self.said(*words, "--json", given=given))

    def refusal(self, *words: str, given: str | None = None, status: int = 1) -> str:
        """What a command that fails prints: one sentence on standard error, nothing on standard output."""
        result = self.run(*words, given=given)
        assert (result.exit_code, result.stdout) == (status, ""), result.output
        assert "Traceback" not in result.stderr
        return result.stderr


@pytest.fixture
def line(tmp_path: Path, stores: Stores) -> Line:
    """Each test has a secret of its own, so what others keep in the same stores is not its business."""
    for name, text in (("key", "an-upstream-key"), ("master", MASTER + tmp_path.name)):
        (tmp_path / name).touch(0o600)
        (tmp_path / name).write_text(text)
    config = (
        f'data_dir = "data"\n[stores]\nstate_url = "{stores.state.url}"\ncache_url = "{stores.cache.url}"\n'
        '[secrets]\nmaster_file = "master"\n[[upstream.keys]]\nid = "lab"\nfile = "key"\n'
        "[limits.default]\nunits_per_day = 5000\n"
    )
    (tmp_path / "gateway.toml").write_text(config)
    return Line(tmp_path)
