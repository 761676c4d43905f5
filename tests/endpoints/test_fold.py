"""fold: its options."""

from typing import Any

import pytest

from tests.endpoints.alignments import packed, rows
from tests.endpoints.examples import (
    ESM3,
    Example,
    forwarded,
    least,
    odd,
)

EXAMPLE = Example(
    {"model": ESM3, "sequence": "ACDEFG"},
    bills=(
        ({}, 8, 1),
        ({"sequence": "A" * 98}, 100, 1),
        # the SDK's defaults, and less than those
        ({"num_sampling_steps": 100, "num_loops": 20, "msa_max_depth": 1024, "msa": None}, 8, 1),
        ({"num_sampling_steps": 1, "num_loops": 0}, 8, 1),
        # each by what it exceeds them by: steps / 100, (loops + 1) / 21
        ({"num_sampling_steps": 300}, 8, 3),
        ({"num_loops": 41}, 8, 2),
        ({"num_loops": 41, "num_sampling_steps": 300}, 8, 4),
        ({"num_loops": 41, "num_sampling_steps": 1}, 8, 2),
        ({"num_loops": 9_995, "num_sampling_steps": 10_000}, 8, 476 + 99),
        # rows of the alignment in each loop, against 16,384
        ({"msa": {"sequences": rows(16384)}}, 8, 2),
        ({"msa": packed({"sequences": rows(16384)})}, 8, 2),
        ({"msa": packed({"sequences": rows(16384)}), "msa_max_depth": None, "num_loops": 41}, 8, 4),
        ({"msa": packed({"sequences": rows(16384)}), "msa_max_depth": 8192, "num_loops": 41}, 8, 3),
        ({"msa": packed({"sequences": rows(8192)}), "msa_max_depth": 16384, "num_loops": 41}, 8, 3),
        ({"msa": packed({"sequences": rows(16384)}), "msa_max_depth": 0}, 8, 1),
    ),
    too_long=({"sequence": "ACDEFGH"}, "/sequence"),
    sdk=("321", "341"),
    flag=None,
)


@pytest.mark.parametrize(
    ("member", "good", "bad"),
    [
        (
            "msa",
            [None, packed({"sequences": ["ACD"]}), {"sequences": ["ACD", "A-D"]}],
            ["", "no base64!", 5, {"sequences": []}, {}],
        ),
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
