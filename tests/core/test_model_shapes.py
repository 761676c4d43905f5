"""Answers that cannot fit: known before the call for the published models, never supposed for any other."""

import pytest

from gateway.core.model_shapes import LEAST_BYTES, SHAPES, ModelShape, Wanted, least_bytes, shape, too_large

ALL = Wanted(layers=True)
MIB64 = 64 * 2**20


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("esm3-open-2024-03", (48, 1536)),
        ("esm3-open", (48, 1536)),
        ("esm3-sm-open-v1", (48, 1536)),
        ("esm3-small-2024-08", (48, 1536)),
        ("esmc-300m-2024-12", (30, 960)),
        ("esmc-600m-2024-12", (36, 1152)),
        ("esmc-6b-2024-12", (80, 2560)),
        ("esm3-medium-2024-08", None),
        ("esmc-300", None),
        ("esmc-6bx", None),
        ("my-esmc-6b", None),
        ("esm3", None),
        ("", None),
    ],
)
def test_a_model_is_known_by_the_beginning_of_its_name(model: str, expected: tuple[int, int] | None) -> None:
    assert shape(model) == (None if expected is None else ModelShape(*expected))


@pytest.mark.parametrize(
    ("wanted", "rows"),
    [
        (Wanted(), 0),
        (Wanted(embeddings=True), 1),
        (Wanted(layers=True), 30),
        (Wanted(layers=True, layer=-1), 30),
        (Wanted(layers=True, layer=0), 1),
        (Wanted(layers=True, layer=30), 1),
        (Wanted(layer=7), 0),
        (Wanted(embeddings=True, layers=True), 31),
        (Wanted(embeddings=True, layers=True, layer=5), 2),
    ],
)
def test_the_least_size_is_rows_times_width_times_tokens(wanted: Wanted, rows: int) -> None:
    assert least_bytes("esmc-300m-2024-12", wanted, 100) == rows * 960 * 100 * LEAST_BYTES
    assert least_bytes("private-1", wanted, 100) is None


@pytest.mark.parametrize("model", SHAPES)
def test_the_refusal_begins_one_token_above_what_could_fit(model: str) -> None:
    made = SHAPES[model]
    fits = MIB64 // (made.layers * made.width * LEAST_BYTES)
    assert too_large(model, ALL, fits, MIB64, []) is None
    reason = too_large(model, ALL, fits + 1, MIB64, ["one layer"])
    assert reason is not None
    assert f"at most {fits} tokens" in reason
    assert "ask for one layer or a shorter protein" in reason
    assert too_large(model, ALL, fits + 1, None, []) is None


def test_what_was_measured_to_fit_is_never_refused() -> None:
    # The longest proteins that fit into 64 MiB at 10.9 bytes a number, that of bfloat16 values in JSON.
    for model, residues in (("esmc-300m-2024-12", 213), ("esmc-600m-2024-12", 148), ("esmc-6b-2024-12", 30)):
        assert too_large(model, ALL, residues + 2, MIB64, []) is None
    for model in SHAPES:
        assert too_large(model, Wanted(embeddings=True), 4096, MIB64, []) is None
    assert too_large("private-1", ALL, 10**6, 1, []) is None
