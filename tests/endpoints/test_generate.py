"""generate: its parameters; its tracks are tested with those of encode (test_letters.py)."""

from typing import Any

import pytest

from gateway.core.endpoint import ParseConfig
from tests.endpoints.examples import (
    COORDINATES,
    ESM3,
    PROTEIN,
    RULES,
    Example,
    Json,
    forwarded,
    least,
    odd,
    unlike,
)


def generated(track: str, **changes: Any) -> Json:
    inputs = {"sequence": "AC_E__", "secondary_structure": "______"}
    return {"track": track, "inputs": inputs, **changes}


EXAMPLE = Example(
    {"model": ESM3, "track": "sequence", "inputs": {"sequence": PROTEIN["sequence"]}},
    bills=(
        # the masked letters of the sequence, at most num_steps
        (generated("sequence"), 8, 3),
        (generated("sequence", num_steps=2), 8, 2),
        (generated("sequence", num_steps=100), 8, 3),
        # an absent track: the residues of the sequence, chain breaks and unknown letters aside, or every residue
        (generated("sequence", inputs={"coordinates": COORDINATES}), 8, 6),
        (generated("structure"), 8, 6),
        (generated("structure", inputs={"sequence": "AC|D_f"}), 8, 4),
        (generated("structure", inputs={"sequence": "ACDEFG", "coordinates": COORDINATES}), 8, 6),
        # the masks of other tracks
        (generated("secondary_structure", num_steps=4), 8, 4),
        (generated("secondary_structure", inputs={"secondary_structure": "HH_EC_"}), 8, 2),
        (generated("sasa", inputs={"sasa": [1.0, None, 12.5, "<pad>", "<unk>", None]}), 8, 3),
        (generated("function", inputs={"sequence": "ACDEFG", "function": []}), 8, 6),
        # whether labels of residues leave masks is not known here
        (generated("function", inputs={"sequence": "ACDEFG", "function": [["Active site", 2, 4]]}), 8, 6),
        (generated("sequence", inputs={"sequence": "_" * 98}), 100, 20),
    ),
    too_long=({"inputs": {"sequence": "_" * 7}}, "/inputs/sequence"),
    sdk=("321", "341"),
)


def test_one_parameter_of_generate_is_newer_than_the_others() -> None:
    assert (
        forwarded("generate", least("generate", only_compute_backbone_rmsd=True))["only_compute_backbone_rmsd"] is True
    )
    assert "only_compute_backbone_rmsd" not in forwarded("generate", least("generate"))
    assert odd("generate", only_compute_backbone_rmsd=1) == ["/only_compute_backbone_rmsd"]


@pytest.mark.parametrize("rules", [RULES, ParseConfig(models=RULES.models, defaults="2024-06-25")])
def test_generate_spells_its_defaults_out_as_generate_tensor_does(rules: ParseConfig) -> None:
    body = forwarded("generate", least("generate"), rules=rules)
    dated = forwarded("generate_tensor", {**least("generate"), "inputs": {"sequence": [0, *[32] * 98, 2]}}, rules=rules)
    assert unlike(body, dated) == {"inputs", "num_steps"}
    assert (body["num_steps"], dated["num_steps"]) == (6, 20 if rules is RULES else 8)
