"""fold: its options."""

from typing import Any

import pytest

from tests.endpoints.examples import (
    ESM3,
    Example,
    forwarded,
    least,
    odd,
)

EXAMPLE = Example(
    {"model": ESM3, "sequence": "ACDEFG"},
    bills=(({}, 8, 1), ({"sequence": "A" * 98}, 100, 1)),
    too_long=({"sequence": "ACDEFGH"}, "/sequence"),
    sdk=("321", "341"),
    flag=None,
)


@pytest.mark.parametrize(
    ("member", "good", "bad"),
    [
        ("msa", [None, "KLUv/SAAAQAA", {"sequences": ["ACD", "A-D"]}], ["", "no base64!", 5, {"sequences": []}, {}]),
        ("num_sampling_steps", [1, 100, None], [0, 1.5, "100"]),
        ("num_loops", [0, 20], [-1, True]),
        ("lm_dropout", [0, 0.3, 1], [-0.1, 1.1, "0.3"]),
        ("lm_mask_pct", [0.0, None], [2]),
        ("msa_max_depth", [1024, None], [-1, 0.5]),
        ("msa_column_mask_rate", [0.1], [1.5]),
        ("include_pae", [True, False, None], [1, "no"]),
        ("include_pair_chains_iptm", [True], [0]),
        ("include_distogram", [False], ["false"]),
        ("include_embeddings", [True], [[]]),
    ],
)
def test_options_of_folding_are_forwarded_as_given_null_included(member: str, good: Any, bad: Any) -> None:
    for value in good:
        assert forwarded("fold", least("fold", **{member: value}))[member] == value
    for value in bad:
        assert odd("fold", **{member: value})[0].startswith(f"/{member}")
