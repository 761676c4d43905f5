"""Rules that no upstream could tell from their opposite; parsing follows them by construction, at both levels.

These rows are for people: pages and explanations list them. Nothing here can be switched off.
"""

from gateway.core.rules.rule import Rule

_PARSED = "by construction; tests/claims, tests/endpoints/test_canonical.py"


def _row(name: str, what: str, condition: str, where: str, evidence: str = _PARSED) -> Rule:
    return Rule(name, "wire", what, condition, evidence, where)


WIRE = (
    _row("member_order", "The order of members does not matter.", "always", "gateway/core/endpoint.py: canonical_form"),
    _row(
        "number_spelling",
        "5, 5.0 and 50e-1 are one number, and so are 0 and -0.0.",
        "always",
        "gateway/core/strict_json.py; gateway/endpoints/generate_tensor.py: parameters",
    ),
    _row("null_is_absent", "null is as left out.", "parameters and tracks", "gateway/core/endpoint.py: Body"),
    _row(
        "defaults",
        "A default written out is as left out.",
        "the dated set of defaults in the settings; left-out steps never exceed the positions",
        "gateway/endpoints/generate_tensor.py: parameters",
    ),
    _row(
        "invalid_ids_set",
        "Order and repeats in `invalid_ids` do not matter.",
        "always",
        "gateway/endpoints/generate_tensor.py: parameters",
        "0/400 differ (3.2.1), 0/48 (3.4.1), tests/sampler",
    ),
    _row(
        "coordinates_float32",
        "Coordinates are the float32 nearest to what was written.",
        "always; never rounded further (3/200 differ at three decimals)",
        "gateway/core/coordinates.py",
        "0/400 differ, logits bit-equal (3.2.1), 0/120 (3.4.1), tests/sampler",
    ),
    _row(
        "annotation_padding",
        "Zeros in a row of residue annotations, their places and the row's width do not matter.",
        "always; the order of the other ids does",
        "gateway/endpoints/generate_tensor.py: read_inputs",
        "0/200 differ, logits bit-equal (3.2.1), 0/60 (3.4.1), tests/sampler",
    ),
)
