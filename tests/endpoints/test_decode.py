"""decode: surface areas as ids or as numbers; its tracks are tested with those of its siblings (test_tokens.py)."""

from tests.endpoints.examples import ESM3, TOKENS, Example, call, forwarded, least, odd

EXAMPLE = Example(
    {"model": ESM3, "inputs": {"sequence": TOKENS["sequence"]}},
    bills=(({}, 8, 1), ({"inputs": TOKENS}, 8, 1)),
    too_long=({"inputs": {"sequence": [5] * 9}}, "/inputs/sequence"),
    sdk=("321", "341"),
)


def test_decode_takes_the_surface_as_the_numbers_that_forward_and_sample_returned() -> None:
    areas = [0.0, 3.5, 117.25, None, 0.0]
    assert forwarded("decode", least("decode", inputs={"sasa": areas}))["inputs"]["sasa"] == areas
    assert b"[0.0,25.0,0.0]" in call("decode", least("decode", inputs={"sasa": [0.0, 25.0, 0.0]})).body
    assert b"[0,18,0]" in call("decode", least("decode", inputs={"sasa": [0, 18, 0]})).body
    assert odd("decode", inputs={"sasa": [0.0, -0.5, 0.0]}) == ["/inputs/sasa/1"]
    assert odd("decode", inputs={"sasa": [-1, 0.5, 0.0]}) == ["/inputs/sasa/0"]
    assert odd("logits", inputs={"sasa": areas}) == ["/inputs/sasa/1", "/inputs/sasa/2", "/inputs/sasa/3"]
