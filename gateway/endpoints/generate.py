"""POST /api/v1/generate: one track of ESM3, conditioned on a protein in letters; letters and numbers out.

The upstream encodes, generates and decodes. Parameters and their dated defaults are those of generate_tensor. Of what
the sampler would fail on, all is refused that can be told from letters.
"""

from collections.abc import Mapping
from typing import Any

from gateway.core import determinism, tracks
from gateway.core.canonical_form import FLAG, Implied
from gateway.core.endpoint import Endpoint, NormalizedBody, ParseConfig
from gateway.core.sampler_checks import Draw, draw_faults
from gateway.core.tracks import MASK_LETTER, Track
from gateway.endpoints._answers.generate import ANSWER
from gateway.endpoints._letters import ENDS, Protein, read_protein
from gateway.endpoints.generate_tensor import ALWAYS, DEFAULTS, NEWEST, Generation, parameters, refuse

MASKS: Mapping[str, str] = {
    "sequence": f"`{MASK_LETTER}`",
    "secondary_structure": f"`{MASK_LETTER}`",
    "sasa": "null",
    "structure": "each residue with coordinates has one; set condition_on_coordinates_only, or leave them out",
    "function": "an InterPro annotation fills every residue; leave the annotations out",
}


class Generate(Generation):
    """The body: the parameters (one more since esm 3.4), and a protein in letters."""

    inputs: Protein
    only_compute_backbone_rmsd: bool | None = None


def normalize(asked: Generate, rules: ParseConfig) -> NormalizedBody:
    """Every default made explicit, the protein as given."""
    inputs, residues = read_protein("generate", asked.inputs, rules)
    body = parameters(asked, rules, residues)
    draw = _draw(body, inputs, residues)
    refuse(draw_faults("generate", draw, rules.skipped_checks))
    n = residues + ENDS
    steps = min(body["num_steps"], draw.masked or residues)
    drawn = determinism.classify(
        body["track"], body["temperature"], body["temperature_annealing"], body["strategy"], steps
    )
    return NormalizedBody(body={**body, "inputs": inputs}, units=n * steps, length=n, drawn=drawn.cls)


def _draw(body: Mapping[str, Any], inputs: Mapping[str, Any], residues: int) -> Draw:
    track: Track = tracks.TRACKS[body["track"]]
    only = body["condition_on_coordinates_only"]
    member = "coordinates" if track == tracks.STRUCTURE else track.name
    given = inputs.get(member) is not None and not (track == tracks.STRUCTURE and only)
    return Draw(
        track,
        temperature=body["temperature"],
        annealing=body["temperature_annealing"],
        invalid_ids=body["invalid_ids"],
        num_steps=body["num_steps"],
        positions=residues,
        masked=tracks.residues_to_sample(track, inputs, residues, coordinates_only=only),
        masked_at=f"/inputs/{member if given else 'sequence'}",
        mask=MASKS[track.name] if given else "none of its letters is a residue that the model knows",
    )


ENDPOINT = Endpoint(
    "generate",
    Generate,
    normalize,
    price="tokens (residues + 2) x steps; steps are at most `num_steps`, and at most one for each masked residue",
    answer=ANSWER,
    not_cached="which calls get equal answers is known for tokens only: use generate_tensor",
    defaults={**ALWAYS, **DEFAULTS[NEWEST]},
    # esm 3.2.1 has the option and does not send it. Dated defaults stay in the form, each with the value it has here.
    implied=Implied({FLAG: False, "only_compute_backbone_rmsd": False}),
)
