"""One answer for each endpoint of the upstream: what it costs in units, and the JSON that the SDK expects.

All keys that esm 3.2.1 and 3.4.1 read are always there. `residue_annotation` null comes back from generate_tensor as
zeros, as the published sampler answers (esm/utils/generation.py:529); the SDK accepts null and zeros alike.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson

from gateway.core import tracks
from gateway.core.tracks import RESIDUE_ANNOTATION, SEQUENCE
from gateway.sandbox import bodies, crashes, draws, letters, sampler, tensors
from gateway.sandbox.bodies import RefusedError, read

# BOS and EOS: a protein of L residues is L + 2 positions to the model, also where it travels as letters.
_ENDS: Final = 2
_LETTER_TRACKS: Final = ("sequence", "secondary_structure", "sasa", "function")
_AMINO_ACID_NAMES: Final = (
    *("LEU", "ALA", "GLY", "VAL", "SER", "GLU", "ARG", "THR", "ILE", "ASP"),
    *("PRO", "LYS", "GLN", "ASN", "PHE", "TYR", "MET", "HIS", "TRP", "CYS"),
)


@dataclass(frozen=True, slots=True)
class Asked:
    """The parsed body and the query parameters of one call."""

    body: Any
    query: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Done:
    """Work that was done: its units (model weight 1) and its answer."""

    units: int
    answer: dict[str, Any]


def generate_tensor(asked: Asked) -> Done:
    request = read(bodies.Generate, asked.body)
    sampled = sampler.sample(request)
    outputs = {name: request.inputs.get(name) for name in tracks.INPUTS}
    outputs[sampled.track.name] = sampled.tokens
    if outputs[RESIDUE_ANNOTATION.name] is None:
        outputs[RESIDUE_ANNOTATION.name] = _no_annotations(sampled.positions)
    return Done(sampled.units, {"outputs": outputs})


def _no_annotations(n: int) -> orjson.Fragment:
    row = b"[" + b",".join([b"0"] * (RESIDUE_ANNOTATION.depth or 0)) + b"]"
    return orjson.Fragment(b"[" + b",".join([row] * n) + b"]")


def generate(asked: Asked) -> Done:
    """As generate_tensor, with a protein in letters on both sides. What was not generated comes back as given."""
    request = read(bodies.Generate, asked.body)
    encoded = letters.encode(request.inputs)
    # Only the given coordinates condition; tokens drawn from them would say that the structure track was given.
    encoded["structure"], encoded["function"] = None, letters.function_rows(request.inputs)
    sampled = sampler.sample(request.model_copy(update={"inputs": encoded}))
    name = sampled.track.name
    outputs = letters.decode({"coordinates": encoded["coordinates"], name: sampled.tokens})
    for other in _LETTER_TRACKS:
        if other != name:
            outputs[other] = request.inputs.get(other)
    extra = dict.fromkeys(("pae", "crmsd", "globularity", "interface_ptm"))
    return Done(sampled.units, {"outputs": {**outputs, **extra}})


def encode(asked: Asked) -> Done:
    request = read(bodies.Prompt, asked.body)
    outputs = letters.encode(request.inputs)
    flag = bool(request.potential_sequence_of_concern)
    return Done(tracks.length(outputs), {"outputs": outputs, "potential_sequence_of_concern": flag})


def decode(asked: Asked) -> Done:
    request = read(bodies.Prompt, asked.body)
    n = crashes.positions(request.inputs)
    return Done(n, {"outputs": letters.decode(request.inputs)})


def forward_and_sample(asked: Asked) -> Done:
    return Done(*tensors.forward_and_sample(read(bodies.ForwardAndSample, asked.body)))


def logits(asked: Asked) -> Done:
    return Done(*tensors.logits(read(bodies.Logits, asked.body)))


def fold(asked: Asked) -> Done:
    request = read(bodies.Fold, asked.body)
    residues = len(request.sequence)
    seed = draws.seed_of("fold", request.model, request.sequence)
    answer = {"coordinates": draws.coordinates(seed, residues), **draws.confidence(seed, residues)}
    return Done(residues + _ENDS, answer)


def inverse_fold(asked: Asked) -> Done:
    request = read(bodies.InverseFold, asked.body)
    config = request.inverse_folding_config
    candidates = sampler.sampleable(SEQUENCE, config.invalid_ids)
    facts = ("inverse_fold", request.model, request.coordinates, sorted(set(config.invalid_ids)))
    seed = draws.seed_of(*facts) if config.temperature == 0 else draws.fresh_seed()
    residues = len(request.coordinates)
    tokens = [SEQUENCE.bos, *draws.pick(seed, candidates, residues), SEQUENCE.eos]
    return Done(residues + _ENDS, {"sequence": letters.decode_sequence(tokens)})


def msa(asked: Asked) -> Done:
    """The query itself and one made-up relative of the same length."""
    sequence = asked.query.get("sequence", "")
    if not sequence:
        raise RefusedError(422, "sequence: missing query parameter")
    use_env = asked.query.get("use_env", "false")
    drawn = draws.pick(draws.seed_of("msa", sequence, use_env), range(len(tracks.AMINO_ACIDS)), len(sequence))
    relative = "".join(tracks.AMINO_ACIDS[i] for i in drawn)
    return Done(len(sequence) + _ENDS, {"msa": [sequence, relative]})


def fold_all_atom(asked: Asked) -> Done:
    """A complex of one atom a token. This model's tokens have no ends, so none are paid for."""
    request = read(bodies.FoldAllAtom, asked.body)
    chains = [chain for chain in request.all_atom_input.sequences for _ in range(chain.copies)]
    total = sum(len(chain.parts) for chain in chains)
    if total == 0:
        raise RefusedError(422, "all_atom_input: nothing to fold")
    seed = draws.seed_of("fold_all_atom", request.model, [[chain.type, chain.parts] for chain in chains])
    confidence = draws.confidence(seed, total)
    molecule = {
        "id": "sandbox",
        "sequence": [name for chain in chains for name in _residue_names(chain)],
        "atom_positions": draws.coordinates(seed, total)[:, 1, :].tolist(),
        "atom_elements": ["C"] * total,
        "token_to_atoms": [[i, i + 1] for i in range(total)],
        "chain_id": [index for index, chain in enumerate(chains) for _ in chain.parts],
        "plddt": confidence["plddt"],
        "metadata": {"entity_lookup": {}, "chain_lookup": {}, "assembly_composition": None},
    }
    return Done(total, {"complex": molecule, **confidence})


def _residue_names(chain: bodies.Chain) -> list[str]:
    if chain.sequence is None:
        return ["LIG"] * len(chain.parts)
    return [_residue_name(letter) if chain.type == "protein" else letter for letter in chain.sequence]


def _residue_name(letter: str) -> str:
    index = tracks.AMINO_ACIDS.find(letter)
    return "UNK" if index < 0 else _AMINO_ACID_NAMES[index]


ENDPOINTS: Final[Mapping[str, Callable[[Asked], Done]]] = {
    answer.__name__: answer
    for answer in (
        *(generate_tensor, generate, encode, decode, forward_and_sample, logits),
        *(fold, inverse_fold, msa, fold_all_atom),
    )
}
"""Each answer under the name of its endpoint, which is the function's."""
