"""`logits` asks for pickle or torch bytes, which run code when loaded. The gateway answers with plain JSON.

What the SDK makes of it differs by version, and docs/sdk.md describes it; held here.
"""

import os

import pytest
import torch
from esm.sdk.api import ESMProteinTensor, LogitsConfig, LogitsOutput
from esm.sdk.forge import ESM3ForgeInferenceClient as Client

from tests.sdk.likeness import content, outline
from tests.sdk.product import Product
from tests.sdk.prompts import protein
from tests.sdk.tape import Tape

ASKED = LogitsConfig(sequence=True, return_embeddings=True)
OLD = os.environ["SDK_TEST_VERSION"].startswith("3.2.")


def whole(name: str) -> ESMProteinTensor:
    return ESMProteinTensor(sequence=torch.tensor(protein(name).tokens["sequence"]))


@pytest.mark.parametrize("return_bytes", [True, False])
def test_the_answer_is_plain_json_whatever_the_sdk_asks_for(sdk: Client, tape: Tape, return_bytes: bool) -> None:
    assert isinstance(sdk.logits(whole("ubiquitin"), ASKED, return_bytes=return_bytes), LogitsOutput)
    assert tape[0].headers["Content-Type"] == "application/json"
    assert tape[0].body.startswith(b"{")


@pytest.mark.parametrize("return_bytes", [True, False])
def test_the_upstream_is_asked_for_json_alone(sdk: Client, product: Product, return_bytes: bool) -> None:
    sdk.logits(whole("insulin"), ASKED, return_bytes=return_bytes)
    headers = {name.lower(): value for name, value in product.upstream()["last"][-1]["headers"].items()}
    assert headers["accept"] == "application/json"
    assert "return-bytes" not in headers


def test_the_default_call_gives_tensors(sdk: Client) -> None:
    """`return_bytes` is True unless said otherwise; the SDK then still takes lists, and makes tensors of them."""
    got = sdk.logits(whole("ubiquitin"), ASKED)
    assert isinstance(got.logits.sequence, torch.Tensor)
    assert got.logits.sequence.dtype == torch.float32
    assert got.logits.sequence.shape[-2] == 78
    assert isinstance(got.embeddings, torch.Tensor)


def test_without_return_bytes_older_sdks_give_lists_of_the_same_numbers(sdk: Client) -> None:
    tensors = sdk.logits(whole("ubiquitin"), ASKED)
    plain = sdk.logits(whole("ubiquitin"), ASKED, return_bytes=False)
    assert isinstance(plain.logits.sequence, list if OLD else torch.Tensor)
    assert torch.equal(torch.as_tensor(plain.logits.sequence), tensors.logits.sequence)
    assert torch.equal(plain.embeddings, tensors.embeddings)


@pytest.mark.parametrize("return_bytes", [True, False])
def test_the_logits_are_the_upstreams(sdk: Client, direct: Client, return_bytes: bool) -> None:
    through, straight = (one.logits(whole("gfp"), ASKED, return_bytes=return_bytes) for one in (sdk, direct))
    assert outline(through) == outline(straight)
    assert content(through) == content(straight)


def test_logits_are_not_remembered_yet(sdk: Client, tape: Tape) -> None:
    for _ in range(2):
        sdk.logits(whole("ubiquitin"), ASKED)
    assert ["fwd=bypass" in exchange.cache for exchange in tape] == [True, True]
