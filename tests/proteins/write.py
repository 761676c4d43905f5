"""Writes the protein files beside it: four real sequences, and the tokens that ESM3 knows them by.

Run `python tests/proteins/write.py` after a change; a test compares the files with what this would
write. The sequence tokens are the model's own vocabulary (`<cls>` 0, `<eos>` 2). The tokens of the other
tracks are made by the rules below: valid for the vocabularies, different at every residue, without any
claim about the protein's real structure or function. No network, no randomness.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

# esm/utils/constants/esm3.py, SEQUENCE_VOCAB: the ids of the twenty amino acids start at 4, in this order.
AMINO_ACIDS = "LAGVSERTIDPKQNFYMHWC"
BOS, EOS = 0, 2
STRUCTURE_BOS, STRUCTURE_EOS = 4098, 4097

PROTEINS: dict[str, dict[str, Any]] = {
    "ubiquitin": {
        "description": "Ubiquitin, one repeat of human polyubiquitin-C; the chain of PDB entry 1UBQ",
        "source": {"database": "UniProtKB", "accession": "P0CG48", "entry": "UBC_HUMAN", "range": [1, 76]},
        "sequence": "MQIFVKTLTGKTITLEVEPSDTIENVKAKIQDKEGIPPDQQRLIFAGKQLEDGRTLSDYNIQKESTLHLVLRLRGG",
    },
    "lysozyme": {
        "description": "Hen egg-white lysozyme C, mature (the signal peptide 1-18 is cut off)",
        "source": {"database": "UniProtKB", "accession": "P00698", "entry": "LYSC_CHICK", "range": [19, 147]},
        "sequence": "KVFGRCELAAAMKRHGLDNYRGYSLGNWVCAAKFESNFNTQATNRNTDGSTDYGILQINSRWWCNDGRTPGSRNLCNIPCSALLSSDITASV"
        "NCAKKIVSDGNGMNAWVAWRNRCKGTDVQAWIRGCRL",
    },
    "gfp": {
        "description": "Green fluorescent protein of the jellyfish Aequorea victoria, wild type",
        "source": {"database": "UniProtKB", "accession": "P42212", "entry": "GFP_AEQVI", "range": [1, 238]},
        "sequence": "MSKGEELFTGVVPILVELDGDVNGHKFSVSGEGEGDATYGKLTLKFICTTGKLPVPWPTLVTTFSYGVQCFSRYPDHMKQHDFFKSAMPEGYV"
        "QERTIFFKDDGNYKTRAEVKFEGDTLVNRIELKGIDFKEDGNILGHKLEYNYNSHNVYIMADKQKNGIKVNFKIRHNIEDGSVQLADHYQQNTPIGDGPV"
        "LLPDNHYLSTQSALSKDPNEKRDHMVLLEFVTAAGITHGMDELYK",
    },
    "insulin": {
        "description": "Human insulin, the whole precursor (signal peptide, B chain, C peptide, A chain)",
        "source": {"database": "UniProtKB", "accession": "P01308", "entry": "INS_HUMAN", "range": [1, 110]},
        "sequence": "MALWMRLLPLLALLALWGPDPAAAFVNQHLCGSHLVEALYLVCGERGFFYTPKTRREAEDLQVGQVELGGGPGAGSLQPLALEGSLQKRGIVEQ"
        "CCTSICSLYQLENYCN",
    },
}

RULES = {
    "sequence": "real: 0, then 4 + place of the letter in LAGVSERTIDPKQNFYMHWC, then 2",
    "structure": "by rule: 4098, then (613*i + 97*id) mod 4096, then 4097",
    "secondary_structure": "by rule: 0, then 3 + (i div 4 + id) mod 8, then 0",
    "sasa": "by rule: 0, then 3 + (5*i + id) mod 16, then 0",
    "function": "by rule: eight 0, then eight times 3 (none) where i mod 5 = 0, else "
    "4 + (31*i + 7*id + 11*d) mod 256 for d = 0..7, then eight 0",
    "letters": "i counts residues from 1, id is the residue's sequence token, d the depth",
}


def function_row(i: int, token: int) -> list[int]:
    return [3] * 8 if i % 5 == 0 else [4 + (31 * i + 7 * token + 11 * d) % 256 for d in range(8)]


def tokens(sequence: str) -> dict[str, Sequence[Any]]:
    """The tokens of all five tracks that ESM3 can generate."""
    ids = [4 + AMINO_ACIDS.index(letter) for letter in sequence]
    numbered = list(enumerate(ids, start=1))
    edge = [0] * 8
    return {
        "sequence": [BOS, *ids, EOS],
        "structure": [STRUCTURE_BOS, *((613 * i + 97 * t) % 4096 for i, t in numbered), STRUCTURE_EOS],
        "secondary_structure": [0, *(3 + (i // 4 + t) % 8 for i, t in numbered), 0],
        "sasa": [0, *(3 + (5 * i + t) % 16 for i, t in numbered), 0],
        "function": [edge, *(function_row(i, t) for i, t in numbered), edge],
    }


def document(name: str) -> str:
    """The text of one file: every list of tokens on one line, so that a difference can be read."""
    known = PROTEINS[name]
    head = {"name": name, **known, "length": len(known["sequence"]), "rules": RULES}
    lines = [f"  {json.dumps(key)}: {json.dumps(value)}" for key, value in head.items()]
    tracks = [f"    {json.dumps(k)}: {json.dumps(v)}" for k, v in tokens(known["sequence"]).items()]
    lines.append('  "tokens": {\n' + ",\n".join(tracks) + "\n  }")
    return "{\n" + ",\n".join(lines) + "\n}\n"


def main() -> None:
    for name in PROTEINS:
        Path(__file__).with_name(f"{name}.json").write_text(document(name))


if __name__ == "__main__":
    main()
