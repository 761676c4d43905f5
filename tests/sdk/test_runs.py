"""A tutorial's 16 samples of one prompt in a namespace: told that they are one, or 16 with a run, and replayed."""

import json
import os
import subprocess
from uuid import uuid4

import pytest
from esm.sdk.api import ESMProtein, GenerationConfig

from tests.sdk.conftest import Connect
from tests.sdk.product import ROOT, Product

SAMPLES = 16


def command(product: Product, *words: str) -> object:
    """What an administrator's command says, as JSON."""
    program = os.environ.get("SDK_TEST_GATEWAY", str(ROOT / ".venv" / "bin" / "esm-gateway"))
    line = [program, *words, "--config", str(product.folder / "data" / "gateway.toml"), "--json"]
    return json.loads(subprocess.run(line, capture_output=True, text=True, check=True).stdout)


def drawn(connect: Connect, product: Product, cache_control: str) -> list[str]:
    """The sequences of so many equal calls."""
    model = connect(product.key)
    model.headers["Cache-Control"] = cache_control
    config = GenerationConfig(track="sequence", num_steps=6, temperature=0.7)
    return [str(model.generate(ESMProtein(sequence="_" * 24), config).sequence) for _ in range(SAMPLES)]


def test_samples_of_one_prompt_in_a_namespace(
    product: Product, connect: Connect, capsys: pytest.CaptureFixture[str]
) -> None:
    name = f"runs-{uuid4().hex[:8]}"
    command(product, "cache", "namespace", "create", name)
    assert len(set(drawn(connect, product, f"namespace={name}"))) == 1
    said = capsys.readouterr().out
    assert said.count("esm-gateway: this is the first answer to this call") == 1
    assert "sample=next" in said
    first = drawn(connect, product, f"namespace={name}, sample=next, run=recording")
    assert len(set(first)) == SAMPLES
    command(product, "cache", "namespace", "freeze", name)
    again = drawn(connect, product, f"namespace={name}, sample=next, run=replay")
    assert again == first
    assert "esm-gateway:" not in capsys.readouterr().out
