"""The published ESM3, tiny and with random weights: the real sampler, the real tokenizers, no download.

Heads and attention are sharpened so that one changed token usually changes the answer: a model that notices nothing
would confirm every rule. The vocabulary of residue annotations must be downloaded, so a made-up one of the same size
stands in; only its size reaches the model.
"""

import tempfile
import warnings
from pathlib import Path
from typing import Any

import torch
from esm.models.esm3 import ESM3
from esm.models.vqvae import StructureTokenEncoder
from esm.sdk.api import ESMProtein, ESMProteinTensor, GenerationConfig
from esm.tokenization import TokenizerCollection
from esm.tokenization.function_tokenizer import InterProQuantizedTokenizer
from esm.tokenization.residue_tokenizer import ResidueAnnotationsTokenizer
from esm.tokenization.sasa_tokenizer import SASADiscretizingTokenizer
from esm.tokenization.sequence_tokenizer import EsmSequenceTokenizer
from esm.tokenization.ss_tokenizer import SecondaryStructureTokenizer
from esm.tokenization.structure_tokenizer import StructureTokenizer
from esm.utils.generation import iterative_sampling_tokens

ANNOTATIONS = 1478
HEADS = ("sequence_head", "structure_head", "ss8_head", "sasa_head", "function_head")
TRACKS = ("sequence", "structure", "secondary_structure", "sasa", "function")
DEFAULTS = {"schedule": "cosine", "top_p": 1.0, "invalid_ids": [], "condition_on_coordinates_only": True}


def model(seed: int = 7) -> ESM3:
    """Two layers of 64 numbers, the same weights every time."""
    torch.manual_seed(seed)
    made = ESM3(64, 4, 8, 2, _absent, _absent, _absent, _tokenizers()).eval()
    with torch.no_grad():
        for block in made.transformer.blocks:
            block.attn.q_ln.weight.mul_(8.0)
            block.attn.out_proj.weight.mul_(4.0)
            if hasattr(block, "geom_attn"):
                block.geom_attn.out_proj.weight.mul_(4.0)
        for name in HEADS:
            getattr(made.output_heads, name)[-1].weight.mul_(6.0)
    return made


def generated(made: ESM3, body: dict[str, Any], seed: int) -> Any:
    """The generated track as lists, under this random state; or the name of what the sampler raised."""
    torch.manual_seed(seed)
    given = {**DEFAULTS, **{name: value for name, value in body.items() if value is not None}}
    config = GenerationConfig(
        track=given["track"],
        invalid_ids=[int(number) for number in given["invalid_ids"]],
        schedule=given["schedule"],
        strategy=given["strategy"],
        num_steps=int(given["num_steps"]),
        temperature=given["temperature"],
        temperature_annealing=given["temperature_annealing"],
        top_p=given["top_p"],
        condition_on_coordinates_only=given["condition_on_coordinates_only"],
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        answer = made.generate(protein(body["inputs"]), config)
    tokens = getattr(answer, given["track"], None)
    return f"{type(answer).__name__}: {answer}" if tokens is None else tokens.tolist()


def failure(made: ESM3, body: dict[str, Any]) -> str:
    """What stops a generation from a protein in letters, short of decoding; nothing if it gets through."""
    torch.manual_seed(1)
    encoder = StructureTokenEncoder(d_model=64, n_heads=1, v_heads=8, n_layers=1, d_out=16, n_codes=4096).eval()
    made.get_structure_encoder = lambda: encoder
    given = {**DEFAULTS, "num_steps": 20, "temperature": 0.5, "temperature_annealing": True, **body}
    names = ("track", "invalid_ids", "schedule", "num_steps", "temperature", "temperature_annealing", "top_p")
    config = GenerationConfig(
        **{name: given[name] for name in names},
        strategy=given.get("strategy", "random"),
        condition_on_coordinates_only=given["condition_on_coordinates_only"],
    )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tokens = made.encode(_lettered(given["inputs"]))
            (answer,) = iterative_sampling_tokens(made, [tokens], [config], made.tokenizers)
    except (ArithmeticError, AssertionError, LookupError, RuntimeError, ValueError) as error:
        return f"{type(error).__name__}: {error}"
    return "" if isinstance(answer, ESMProteinTensor) else str(answer)


def _lettered(inputs: dict[str, Any]) -> ESMProtein:
    nan, rows = float("nan"), inputs.get("coordinates")
    coordinates = rows and torch.tensor(
        [[[nan if x is None else x for x in atom] for atom in residue] for residue in rows]
    )
    letters = {name: inputs.get(name) for name in ("sequence", "secondary_structure", "sasa")}
    return ESMProtein(**letters, coordinates=coordinates)


def protein(inputs: dict[str, Any]) -> ESMProteinTensor:
    """The tensors that a server makes of a body: float32, NaN for null, sixteen annotations a position."""
    tensors: dict[str, Any] = {name: torch.tensor(inputs[name]) for name in TRACKS if inputs.get(name) is not None}
    if inputs.get("coordinates") is not None:
        nan = float("nan")
        rows = [[[nan if x is None else x for x in atom] for atom in residue] for residue in inputs["coordinates"]]
        tensors["coordinates"] = torch.tensor(rows, dtype=torch.float64).to(torch.float32)
    if inputs.get("residue_annotation") is not None:
        wide = [[*row, *[0] * (16 - len(row))] for row in inputs["residue_annotation"]]
        tensors["residue_annotations"] = torch.tensor(wide)
    return ESMProteinTensor(**tensors)


def _tokenizers() -> TokenizerCollection:
    residues = ResidueAnnotationsTokenizer(csv_path=_made_up_labels())
    assert len(residues.vocabulary) == ANNOTATIONS
    return TokenizerCollection(
        sequence=EsmSequenceTokenizer(),
        structure=StructureTokenizer(),
        secondary_structure=SecondaryStructureTokenizer(kind="ss8"),
        sasa=SASADiscretizingTokenizer(),
        function=InterProQuantizedTokenizer(),
        residue_annotations=residues,
    )


def _made_up_labels() -> str:
    path = Path(tempfile.mkdtemp()) / "labels.csv"
    rows = [f"label {i},label {i},{ANNOTATIONS - i}" for i in range(ANNOTATIONS - 4)]
    path.write_text("\n".join(["label,label_clean,count", *rows]))
    return str(path)


def _absent(device: object) -> Any:
    raise AssertionError("nothing here encodes or decodes structure")
