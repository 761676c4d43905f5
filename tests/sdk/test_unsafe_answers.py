"""Code in an answer: it runs where the SDK is straight on such an upstream, and never through the gateway.

The code writes one word into a file of this test's own.
"""

import base64
import json
import pickle
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import zstd
from esm.sdk.api import ESMProteinError, ESMProteinTensor, LogitsConfig
from esm.sdk.forge import ESM3ForgeInferenceClient as Client

from tests.sdk.product import Product
from tests.sdk.prompts import protein
from tests.sdk.tape import Tape

EMPTY = dict.fromkeys(("logits", "embeddings", "hidden_states", "mean_embedding", "mean_hidden_state", "sae_outputs"))


class Trap:
    """Writes into a file as soon as it is unpickled."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.write_text, (self.file, "ran")


@pytest.fixture
def ran(tmp_path: Path) -> Path:
    return tmp_path / "ran"


def code(ran: Path) -> str:
    """As the SDK decodes it: base64 of zstd of what torch.load reads, which unpickles at its first bytes."""
    return base64.b64encode(zstd.ZSTD_compress(pickle.dumps(Trap(ran), protocol=2))).decode()


def answers(product: Product, body: str) -> None:
    """The next call of `logits` is answered so."""
    rules = {"rules": [{"endpoint": "logits", "times": 1, "body": body}]}
    request = urllib.request.Request(
        f"{product.sandbox_url}/__sandbox/faults", json.dumps(rules).encode(), {"Content-Type": "application/json"}
    )
    urllib.request.urlopen(request, timeout=10).close()


@pytest.fixture(autouse=True)
def cleared(product: Product) -> Iterator[None]:
    yield
    urllib.request.urlopen(
        urllib.request.Request(f"{product.sandbox_url}/__sandbox/faults", method="DELETE"), timeout=10
    ).close()


def ask(client: Client) -> Any:
    """What comes of it, an exception included."""
    try:
        return client.logits(ESMProteinTensor(sequence=torch.tensor(protein("ubiquitin").tokens["sequence"])), ASKED)
    except Exception as error:
        return error


ASKED = LogitsConfig(sequence=True)


def test_the_trap_is_one(direct: Client, product: Product, ran: Path) -> None:
    answers(product, json.dumps({**EMPTY, "logits": code(ran)}))
    ask(direct)
    assert ran.read_text() == "ran"


WAYS = {
    "logits": lambda text: json.dumps({**EMPTY, "logits": text}),
    "embeddings": lambda text: json.dumps({**EMPTY, "embeddings": text}),
    "hidden states": lambda text: json.dumps({**EMPTY, "hidden_states": text}),
    "lifted out of data": lambda text: json.dumps({"data": {**EMPTY, "logits": text}}),
    "the second of two": lambda text: json.dumps(EMPTY)[:-1] + f',"logits":"{text}"}}',
    "an escaped name": lambda text: json.dumps({**EMPTY, "l": text}).replace('"l":', '"\\u006cogits":'),
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_it_never_runs_through_the_gateway(sdk: Client, product: Product, tape: Tape, ran: Path, way: Any) -> None:
    answers(product, way(code(ran)))
    got = ask(sdk)
    assert not ran.exists()
    assert isinstance(got, ESMProteinError)
    assert "answer-unsafe" in str(got)
    assert [exchange.status for exchange in tape] == [422]


def test_the_first_of_two_is_not_passed_on_at_all(sdk: Client, product: Product, tape: Tape, ran: Path) -> None:
    text = code(ran)
    answers(product, f'{{"logits":"{text}",' + json.dumps(EMPTY)[1:])
    ask(sdk)
    assert not ran.exists()
    assert text.encode() not in tape[0].body


def test_a_terminal_is_told_nothing_that_it_obeys(
    sdk: Client, product: Product, capsys: pytest.CaptureFixture[str]
) -> None:
    answers(product, json.dumps({**EMPTY, "warning_messages": ["\x1b[2J\x1b]0;x\x07over"]}))
    ask(sdk)
    said = capsys.readouterr().out
    assert "over" in said
    assert "\x1b[2J" not in said
    assert "\x07" not in said
