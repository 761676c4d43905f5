"""Every kind of call that the SDK has gives through the gateway what it gives at the upstream itself.

These calls are forwarded, not remembered, so each must say so (`fwd=bypass`).
"""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
import torch
from esm.sdk.api import (
    ESMProtein,
    ESMProteinTensor,
    ForwardAndSampleOutput,
    GenerationConfig,
    InverseFoldingConfig,
    SamplingConfig,
    SamplingTrackConfig,
)
from esm.sdk.forge import ESM3ForgeInferenceClient as Client
from esm.sdk.forge import SequenceStructureForgeInferenceClient as Fold

from tests.sdk.likeness import content, outline
from tests.sdk.prompts import NAMES, TRACKS, greedy, masked_positions, prompt, protein
from tests.sdk.tape import Tape

MASK_LETTER = "_"


def with_gaps(sequence: str) -> str:
    masked = masked_positions(len(sequence))
    return "".join(MASK_LETTER if i in masked else letter for i, letter in enumerate(sequence, start=1))


def letters(name: str) -> ESMProtein:
    return ESMProtein(sequence=with_gaps(protein(name).sequence))


def there_and_back(client: Client, name: str) -> list[Any]:
    """encode -> generate -> decode, as the SDK's own tutorial does it."""
    encoded = client.encode(letters(name))
    filled = client.generate(encoded, greedy("sequence"))
    shaped = client.generate(filled, greedy("structure"))
    return [encoded, filled, shaped, client.decode(shaped)]


def sampled_once(client: Client, name: str) -> ForwardAndSampleOutput:
    tracks = {track: SamplingTrackConfig(temperature=0.0, topk_logprobs=3) for track in TRACKS[:4]}
    asked = SamplingConfig(**tracks, return_per_residue_embeddings=True, return_mean_embedding=True)
    return client.forward_and_sample(prompt(name, "sequence"), asked)


def generated_in_letters(client: Client, name: str) -> ESMProtein:
    return client.generate(letters(name), greedy("sequence"))


CALLS: list[Callable[[Client, str], Any]] = [there_and_back, sampled_once, generated_in_letters]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("call", CALLS)
def test_an_answer_is_the_same_through_the_gateway(
    sdk: Client, direct: Client, call: Callable[[Client, str], Any], name: str
) -> None:
    through, straight = call(sdk, name), call(direct, name)
    assert outline(through) == outline(straight)
    assert content(through) == content(straight)


def test_encode_generate_decode_gives_a_whole_protein(sdk: Client, tape: Tape) -> None:
    known = protein("lysozyme")
    encoded, _filled, shaped, decoded = there_and_back(sdk, "lysozyme")
    assert encoded.sequence.tolist() == prompt("lysozyme", "sequence").sequence.tolist()
    assert isinstance(shaped, ESMProteinTensor)
    assert len(shaped) == len(known.sequence) + 2
    assert MASK_LETTER not in decoded.sequence
    assert decoded.coordinates.shape == (len(known.sequence), 37, 3)
    assert [exchange.endpoint for exchange in tape] == ["encode", "generate_tensor", "generate_tensor", "decode"]


def test_calls_that_are_not_remembered_say_so(sdk: Client, tape: Tape) -> None:
    there_and_back(sdk, "ubiquitin")
    sampled_once(sdk, "ubiquitin")
    generated_in_letters(sdk, "ubiquitin")
    others = [exchange for exchange in tape if exchange.endpoint != "generate_tensor"]
    assert [exchange.endpoint for exchange in others] == ["encode", "decode", "forward_and_sample", "generate"]
    assert all("fwd=bypass" in exchange.cache for exchange in others)


def test_sampling_all_tracks_at_once_gives_numbers_not_pickle(sdk: Client, tape: Tape) -> None:
    """The SDK asks for pickle first and would load it; the gateway answers with JSON."""
    sampled = sampled_once(sdk, "insulin")
    assert isinstance(sampled, ForwardAndSampleOutput)
    assert sampled.protein_tensor.sequence.shape == (112,)
    assert torch.tensor(sampled.per_residue_embedding).shape[-2] == 112  # JSON: the SDK leaves lists here
    assert tape[-1].headers["Content-Type"] == "application/json"


@pytest.mark.parametrize("name", NAMES)
def test_a_fold_is_the_same_through_the_gateway(folders: tuple[Fold, Fold], name: str) -> None:
    through, straight = (one.fold(protein(name).sequence) for one in folders)
    assert through.coordinates.shape == (len(protein(name).sequence), 37, 3)
    assert outline(through) == outline(straight)
    assert content(through) == content(straight)


def test_an_inverse_fold_is_the_same_through_the_gateway(folders: tuple[Fold, Fold]) -> None:
    """Coordinates with unknown atoms: NaN in the SDK, null on the wire."""
    coordinates = folders[0].fold(protein("ubiquitin").sequence).coordinates
    assert bool(torch.isnan(coordinates).any())
    asked = InverseFoldingConfig(temperature=0.0)
    through, straight = (one.inverse_fold(coordinates, asked, False) for one in folders)
    assert len(through.sequence) == 76
    assert content(through) == content(straight)


def test_coordinates_with_unknown_atoms_pass_and_are_remembered(
    sdk: Client, direct: Client, folders: tuple[Fold, Fold], tape: Tape
) -> None:
    atoms = folders[0].fold(protein("ubiquitin").sequence).coordinates
    unknown = torch.full((1, 37, 3), torch.nan)
    asked = prompt("ubiquitin", "sequence")
    asked.coordinates = torch.cat([unknown, atoms, unknown])
    computed, remembered = (sdk.generate(asked, greedy("sequence")) for _ in range(2))
    assert [exchange.hit for exchange in tape[-2:]] == [False, True]
    assert content(computed) == content(remembered) == content(direct.generate(asked, greedy("sequence")))


def test_many_at_once_get_each_their_own_answer(sdk: Client, direct: Client) -> None:
    prompts = [prompt(name, "sasa") for name in NAMES] * 4
    asked = [greedy("sasa") for _ in prompts]
    answers = sdk.batch_generate(prompts, asked)
    expected = {name: content(direct.generate(prompt(name, "sasa"), greedy("sasa"))) for name in NAMES}
    assert [content(answer) for answer in answers] == [expected[name] for name in NAMES] * 4


def test_the_asynchronous_client_works_as_the_other(sdk: Client, tape: Tape) -> None:
    async def ask() -> Any:
        try:
            return await sdk.async_generate(prompt("gfp", "structure"), greedy("structure"))
        finally:
            await sdk.aclose()

    waited = asyncio.run(ask())
    assert content(waited) == content(sdk.generate(prompt("gfp", "structure"), greedy("structure")))
    assert tape[-1].hit
    assert tape[0].body == tape[1].body


def test_as_many_steps_as_tokens_are_accepted_because_the_sdk_sends_them(
    sdk: Client, capsys: pytest.CaptureFixture[str]
) -> None:
    """The SDK clamps num_steps to the number of tokens, which counts BOS and EOS: two more than residues."""
    asked = greedy("sequence")
    asked.num_steps = 100
    filled = sdk.generate(prompt("ubiquitin", "sequence"), asked)
    assert isinstance(filled, ESMProteinTensor)
    assert asked.num_steps == 78
    assert "num_steps cannot exceed" in capsys.readouterr().out


def test_a_prompt_without_a_sequence_is_enough(sdk: Client, direct: Client) -> None:
    lonely = ESMProteinTensor(secondary_structure=prompt("insulin", "secondary_structure").secondary_structure)
    asked: GenerationConfig = greedy("sequence")
    assert content(sdk.generate(lonely, asked)) == content(direct.generate(lonely, asked))
