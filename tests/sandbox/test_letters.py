"""Letters to tokens and back, and the calls that take proteins in letters."""

from typing import Any

import pytest

# Human ubiquitin, UniProt P0CG48, residues 1-76.
UBIQUITIN = "MQIFVKTLTGKTITLEVEPSDTIENVKAKIQDKEGIPPDQQRLIFAGKQLEDGRTLSDYNIQKESTLHLVLRLRGG"
MODEL = "esm3-open-2024-03"


def body(**fields: Any) -> dict[str, Any]:
    return {"model": MODEL, "potential_sequence_of_concern": False, **fields}


def test_a_sequence_is_encoded_with_the_real_ids_and_decoded_to_the_same_letters(play: Any) -> None:
    async def scenario(upstream: Any) -> None:
        tokens = await upstream.outputs(body(inputs={"sequence": UBIQUITIN}), "encode")
        assert tokens["sequence"][:6] == [0, 20, 16, 12, 18, 7]
        assert (len(tokens["sequence"]), tokens["sequence"][-1]) == (78, 2)
        decoded = await upstream.outputs(body(inputs=tokens), "decode")
        assert decoded["sequence"] == UBIQUITIN

    play(scenario)


def test_masks_chain_breaks_and_rare_letters_survive_both_ways(play: Any) -> None:
    async def scenario(upstream: Any) -> None:
        tokens = await upstream.outputs(body(inputs={"sequence": "A_|XBUZO.-"}), "encode")
        assert tokens["sequence"] == [0, 5, 32, 31, 24, 25, 26, 27, 28, 29, 30, 2]
        assert (await upstream.outputs(body(inputs=tokens), "decode"))["sequence"] == "A_|XBUZO.-"

    play(scenario)


def test_recorded_tokens_of_secondary_structure_and_accessibility_are_met(play: Any, wire: Any) -> None:
    exchange = wire("321_encode")[0]
    recorded = exchange["response"]["body"]["outputs"]

    async def scenario(upstream: Any) -> None:
        outputs = await upstream.outputs(exchange["request"]["body"], "encode")
        for name in ("sequence", "secondary_structure", "sasa", "coordinates"):
            assert outputs[name] == recorded[name]
        decoded = await upstream.outputs(body(inputs=outputs), "decode")
        assert decoded["secondary_structure"] == "HHHEEC"
        again = await upstream.outputs(body(inputs={"sasa": decoded["sasa"]}), "encode")
        assert again["sasa"] == outputs["sasa"]

    play(scenario)


def test_functions_are_annotated_by_runs_counted_from_one(play: Any) -> None:
    nothing, none, some = [0] * 8, [3] * 8, [3] * 7 + [200]
    rows = [nothing, none, some, some, nothing, some, nothing]
    decoded = play(lambda upstream: upstream.outputs(body(inputs={"function": rows}), "decode"))
    assert decoded["function"] == [["IPR000200", 2, 3], ["IPR000200", 5, 5]]


@pytest.mark.parametrize("endpoint", ["encode", "generate"])
def test_a_flag_comes_back_only_from_encode(play: Any, endpoint: str) -> None:
    fields = {"inputs": {"sequence": "A_C"}, "track": "sequence", "potential_sequence_of_concern": True}
    reply = play(lambda upstream: upstream.post(endpoint, body(**fields)))
    assert reply.json.get("potential_sequence_of_concern") is (True if endpoint == "encode" else None)


def test_generate_fills_a_sequence_and_leaves_its_letters(play: Any) -> None:
    request = body(inputs={"sequence": "AC__FG", "sasa": [1.0, None, 2.0, 3.0, None, 9.9]}, track="sequence")
    outputs = play(lambda upstream: upstream.outputs(request, "generate"))
    assert outputs["sequence"][:2] + outputs["sequence"][4:] == "ACFG"
    assert "_" not in outputs["sequence"]
    assert outputs["sasa"] == [1.0, None, 2.0, 3.0, None, 9.9]
    assert outputs["coordinates"] is outputs["plddt"] is None


def test_generate_of_structure_gives_atoms_that_repeat_themselves_when_the_sampler_does(play: Any) -> None:
    greedy = {"temperature": 0, "temperature_annealing": False, "strategy": "entropy"}
    request = body(inputs={"sequence": "ACDEFG"}, track="structure", **greedy)

    async def scenario(upstream: Any) -> None:
        first = await upstream.outputs(request, "generate")
        assert (len(first["coordinates"]), len(first["coordinates"][0]), len(first["plddt"])) == (6, 37, 6)
        assert await upstream.outputs(request, "generate") == first
        other = await upstream.outputs({**request, "temperature": 1}, "generate")
        assert other["coordinates"] != first["coordinates"]

    play(scenario)


def test_folding_is_stable_and_depends_on_the_sequence(play: Any) -> None:
    async def scenario(upstream: Any) -> None:
        first, second, other = [
            (await upstream.post("fold", body(sequence=letters))).json for letters in ("ACD", "ACD", "ACE")
        ]
        assert first == second
        assert first["coordinates"] != other["coordinates"]

    play(scenario)


def test_inverse_folding_is_greedy_at_temperature_0_and_drawn_above(play: Any) -> None:
    coordinates = [[[1.0, 2.0, 3.0]] * 37] * 40

    async def sequences(upstream: Any, **config: Any) -> set[str]:
        request = body(coordinates=coordinates, inverse_folding_config=config)
        return {(await upstream.post("inverse_fold", request)).json["sequence"] for _ in range(2)}

    async def scenario(upstream: Any) -> None:
        assert len(await sequences(upstream, temperature=0)) == 1
        assert len(await sequences(upstream, temperature=1)) == 2
        banned = [token for token in range(4, 31) if token != 5]
        assert await sequences(upstream, temperature=0, invalid_ids=banned) == {"A" * 40}

    play(scenario)


def test_one_forward_pass_repeats_itself_at_temperature_0_only(play: Any) -> None:
    masked = {"sequence": [0, *[32] * 40, 2]}

    async def tokens(upstream: Any, temperature: float) -> list[Any]:
        request = body(inputs=masked, sampling_config={"sequence": {"temperature": temperature}})
        replies = [await upstream.post("forward_and_sample", request) for _ in range(2)]
        return [reply.json["sequence"]["tokens"] for reply in replies]

    async def scenario(upstream: Any) -> None:
        first, second = await tokens(upstream, 0)
        assert first == second
        first, second = await tokens(upstream, 1.0)
        assert first != second
        function = body(inputs=masked, sampling_config={"function": {"temperature": 0}})
        assert (await upstream.post("forward_and_sample", function)).status == 500

    play(scenario)


def test_every_head_of_the_model_answers_when_asked(play: Any) -> None:
    heads = ("sequence", "structure", "secondary_structure", "sasa", "function", "residue_annotations")
    returns = (
        *("return_embeddings", "return_mean_embedding"),
        *("return_hidden_states", "return_mean_hidden_states"),
    )
    request = body(inputs={"sequence": [0, 5, 6, 2]}, logits_config=dict.fromkeys([*heads, *returns], True))
    answer = play(lambda upstream: upstream.post("logits", request)).json
    assert list(answer["logits"]) == list(heads)
    assert all(len(answer["logits"][head][0]) == 4 for head in heads)
    assert answer["mean_embedding"] is not None
    assert answer["mean_hidden_state"] is not None


def test_lengths_that_differ_are_refused_in_letters_too(play: Any) -> None:
    reply = play(lambda u: u.post("encode", body(inputs={"sequence": "ACD", "secondary_structure": "HH"})))
    assert reply.status == 422


def test_special_words_among_accessibilities_are_their_tokens(play: Any) -> None:
    async def scenario(upstream: Any) -> None:
        areas = [1.0, "<pad>", "<motif>", "<unk>", None]
        outputs = await upstream.outputs(body(inputs={"sasa": areas}), "encode")
        assert outputs["sasa"] == [0, 4, 0, 1, 2, 0, 0]
        assert (await upstream.post("encode", body(inputs={"sasa": ["<mask>"]}))).status == 500

    play(scenario)


def test_a_complex_has_every_copy_of_its_chains_and_its_ligands(play: Any) -> None:
    chains = [
        {"id": ["A", "B"], "type": "protein", "sequence": "AGX"},
        {"id": "C", "type": "dna", "sequence": "AC"},
        {"id": "D", "type": "ligand", "ccd": ["ATP"]},
    ]
    request = body(all_atom_input={"sequences": chains})
    molecule = play(lambda upstream: upstream.post("fold_all_atom", request)).json["complex"]
    assert molecule["sequence"] == ["ALA", "GLY", "UNK", "ALA", "GLY", "UNK", "A", "C", "LIG"]
    assert molecule["chain_id"] == [0, 0, 0, 1, 1, 1, 2, 2, 3]
    assert len(molecule["atom_positions"]) == len(molecule["plddt"]) == 9
