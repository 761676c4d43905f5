"""POST /api/v1/fold_all_atom: a complex of proteins, RNA, DNA and ligands, folded by ESMFold2 (since esm 3.4).

The price is the sum of the chain lengths; a chain with several ids counts once for each. A ligand counts the letters of
its SMILES, or one for each chemical component: how many atoms a component has is not in the body. Whether ids and
positions in bonds, pockets and distograms exist is not checked. Packed alignments are treated as those of fold; the
bound on their unpacked size is for all chains together.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from gateway.core import canonical_form
from gateway.core.endpoint import Body, Endpoint, NormalizedBody, ParseConfig
from gateway.core.problems import CALL_INVALID, FieldError, Problem
from gateway.endpoints import _folding
from gateway.endpoints._alignments import Msa, ReadAlignments, read_alignments
from gateway.endpoints._answers.fold_all_atom import ANSWER
from gateway.endpoints._folding import DRAWN, Folding, as_given, work
from gateway.endpoints._letters import Letters, Name, Place, bounded

Ids = Annotated[list[Name], Field(min_length=1, max_length=1000)]


class Modification(Body):
    """A residue that is not what its letter says."""

    position: Place
    ccd: Name
    smiles: Name | None = None


class Chain(Body):
    """A polymer has a sequence, a ligand has SMILES or codes of components."""

    type: Literal["protein", "rna", "dna", "ligand"]
    id: Name | Ids
    sequence: Letters | None = None
    modifications: list[Modification] | None = None
    msa: Msa = None
    smiles: Annotated[str, Field(min_length=1)] | None = None
    ccd: Annotated[list[Name], Field(min_length=1)] | None = None


class Bond(Body):
    """A covalent bond between two atoms."""

    chain_id1: Name
    res_idx1: Place
    atom_idx1: Place
    chain_id2: Name
    res_idx2: Place
    atom_idx2: Place


class Pocket(Body):
    """Residues, as [chain, place], that a binder should touch."""

    binder_chain_id: Name
    contacts: list[Annotated[tuple[Name, Place], Field(strict=False)]]


class Distogram(Body):
    """Distances that a chain should have."""

    chain_id: Name
    distogram: Annotated[Any, Field(description="array of numbers, rows of one length")]


class Complex(Body):
    """What esm/utils/structure/input_builder.py writes."""

    sequences: Annotated[list[Chain], Field(min_length=1, max_length=1000)]
    covalent_bonds: list[Bond] | None = None
    pocket: Pocket | None = None
    distogram_conditioning: list[Distogram] | None = None


class FoldAllAtom(Folding):
    """The body as the SDK sends it."""

    all_atom_input: Complex


def normalize(asked: FoldAllAtom, rules: ParseConfig) -> NormalizedBody:
    """The body as given, if each chain has what its type needs and the whole is not too long."""
    at = "/all_atom_input"
    errors = [
        *(_chain_faults(chain, f"{at}/sequences/{i}") for i, chain in enumerate(asked.all_atom_input.sequences)),
        *(
            _distogram_faults(part.distogram, f"{at}/distogram_conditioning/{i}/distogram")
            for i, part in enumerate(asked.all_atom_input.distogram_conditioning or ())
        ),
    ]
    if any(errors):
        raise Problem(CALL_INVALID, errors=[error for found in errors for error in found])
    length = sum(map(_length, asked.all_atom_input.sequences))
    bounded(length, f"{at}/sequences", rules.max_tokens)
    given = {f"{at}/sequences/{i}/msa": chain.msa for i, chain in enumerate(asked.all_atom_input.sequences)}
    alignments, body = read_alignments(given, rules), as_given(asked)
    return NormalizedBody(
        body=body,
        units=length * work(asked, alignments.depth),
        length=length,
        canonical=canonical_form.settled(_named(body, alignments), _folding.IMPLIED),
        drawn=DRAWN,
    )


def _named(body: Mapping[str, Any], alignments: ReadAlignments) -> dict[str, Any]:
    """The body with what packed alignments hold in their place."""
    inputs = body["all_atom_input"]
    chains = [
        {**chain, "msa": alignments.named(f"/all_atom_input/sequences/{i}/msa", chain.get("msa"))}
        for i, chain in enumerate(inputs["sequences"])
    ]
    return {**body, "all_atom_input": {**inputs, "sequences": chains}}


def _chain_faults(chain: Chain, at: str) -> list[FieldError]:
    needed, alien = {"sequence"}, {"smiles", "ccd"}
    if chain.type == "ligand":
        needed, alien = alien, {"sequence", "modifications", "msa"}
    given = {name for name in needed | alien if getattr(chain, name) is not None}
    errors = [
        FieldError(f"{at}/{name}", f"does not belong to a chain of type {chain.type}") for name in sorted(given & alien)
    ]
    if not given & needed:
        errors.append(FieldError(at, f"needs {' or '.join(sorted(needed, reverse=True))}"))
    return errors


def _distogram_faults(value: Any, at: str) -> list[FieldError]:
    try:
        # As text each item would take four bytes for each letter of the longest one.
        fine = isinstance(value, list) and not _holds_text(value) and np.array(value).dtype.kind in "iuf"
    except (ValueError, OverflowError, RecursionError):
        fine = False
    return [] if fine else [FieldError(at, "should be an array of numbers, rows of one length")]


def _holds_text(values: list[Any]) -> bool:
    types = set(map(type, values))
    return str in types or (list in types and any(_holds_text(part) for part in values if isinstance(part, list)))


def _length(chain: Chain) -> int:
    copies = 1 if isinstance(chain.id, str) else len(chain.id)
    return copies * len(chain.sequence or chain.smiles or chain.ccd or ())


ENDPOINT = Endpoint(
    "fold_all_atom",
    FoldAllAtom,
    normalize,
    price="residues, bases, SMILES letters and components of all chains, each chain as often as it has ids, "
    f"x {_folding.PRICE}",
    implied=_folding.IMPLIED,
    answer=ANSWER,
)
