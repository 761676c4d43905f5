"""What a request asks of the sampler, counted by hand on six and eight positions."""

from typing import Any

import pytest

from gateway.core import tracks
from gateway.core.tracks import FUNCTION, GENERATED, INPUTS, SASA, SEQUENCE, STRUCTURE, TRACKS

# BOS A _ | _ X _ EOS: three masks (32), one chain break (31)
SEQ = [0, 5, 32, 31, 32, 24, 32, 2]


def steps(track: tracks.Track, *, num_steps: int = 100, coordinates_only: bool = True, **inputs: object) -> int:
    return tracks.effective_steps(track, inputs, num_steps=num_steps, coordinates_only=coordinates_only)


def test_the_masks_at_both_ends_are_never_counted() -> None:
    assert tracks.masked_positions(SEQUENCE, [32, 32, 5, 32, 32]) == 2
    assert tracks.masked_positions(STRUCTURE, [4096, 4096, 7, 4096]) == 1
    assert tracks.masked_positions(SASA, [0, 0, 3, 0]) == 1
    assert tracks.masked_positions(SASA, [0, 0]) == 0


def test_minus_one_on_structure_is_no_position_to_sample() -> None:
    assert tracks.masked_positions(STRUCTURE, [4098, -1, 4096, 4097]) == 1


def test_a_function_position_waits_only_when_all_eight_ids_are_zero() -> None:
    rows = [[0] * 8, [0] * 8, [0] * 7 + [4], [4] * 8, [0] * 8]
    assert tracks.masked_positions(FUNCTION, rows) == 1


def test_more_steps_than_masks_are_as_many_steps_as_masks() -> None:
    assert steps(SEQUENCE, sequence=SEQ) == 3
    assert steps(SEQUENCE, sequence=SEQ, num_steps=2) == 2


def test_an_absent_track_counts_the_sequence_without_its_special_tokens_yet_with_its_masks() -> None:
    assert steps(SASA, sequence=SEQ, sasa=None) == 5
    assert steps(SASA, sequence=[0, 5, 1, 3, 31, 32, 2]) == 2


def test_an_absent_track_without_a_sequence_counts_all_but_both_ends() -> None:
    assert steps(SASA, structure=[4098, 1, 2, 3, 4097]) == 3
    assert steps(SEQUENCE, secondary_structure=[0, 3, 4, 0]) == 2


def test_coordinates_discard_structure_tokens_only_when_asked_for() -> None:
    structure = [4098, 1, 2, 4096, 3, 4, 5, 4097]
    given: dict[str, Any] = {"sequence": SEQ, "structure": structure, "coordinates": [[[None] * 3] * 37] * 8}
    assert steps(STRUCTURE, **given) == 5
    assert steps(STRUCTURE, coordinates_only=False, **given) == 1
    assert steps(STRUCTURE, **{**given, "coordinates": None}) == 1
    assert steps(SEQUENCE, **given) == 3


def test_nothing_to_fill_is_zero_steps() -> None:
    assert steps(SEQUENCE, sequence=[0, 5, 6, 2]) == 0
    assert steps(SEQUENCE) == 0


def test_length_is_that_of_the_first_given_track() -> None:
    assert tracks.length({"sequence": None, "coordinates": [[]] * 4}) == 4
    assert tracks.length({}) == 0


def test_letters_stand_at_the_ids_of_the_tokenizer() -> None:
    ids = {letter: index + tracks.SEQUENCE_OFFSET for index, letter in enumerate(tracks.SEQUENCE_LETTERS)}
    assert (ids["L"], ids["A"], ids["C"], ids["X"], ids["-"], ids["|"]) == (4, 5, 23, 24, 30, 31)
    assert len(tracks.AMINO_ACIDS) == 20
    assert tracks.SS8_LETTERS.index("C") + TRACKS["secondary_structure"].ordinary.start == 10


@pytest.mark.parametrize(
    ("name", "lowest", "highest", "first", "last", "mask", "bos", "eos"),
    [
        ("sequence", 0, 32, 4, 30, 32, 0, 2),
        ("structure", -1, 4100, 0, 4095, 4096, 4098, 4097),
        ("secondary_structure", 0, 10, 3, 10, 0, 0, 0),
        ("sasa", 0, 18, 3, 18, 0, 0, 0),
        ("function", 0, 259, 3, 259, 0, 0, 0),
        ("residue_annotation", 0, 1477, 3, 1477, 0, 0, 0),
    ],
)
def test_each_track_has_the_ids_of_its_embedding_table(
    name: str, lowest: int, highest: int, first: int, last: int, mask: int, bos: int, eos: int
) -> None:
    track = TRACKS[name]
    assert (track.lowest, track.highest) == (lowest, highest)
    assert (track.ordinary[0], track.ordinary[-1]) == (first, last)
    assert (track.mask, track.bos, track.eos) == (mask, bos, eos)


def test_every_input_but_coordinates_is_a_track_of_tokens() -> None:
    assert [name for name in INPUTS if name in TRACKS] == list(TRACKS)
    assert set(INPUTS) - set(TRACKS) == {"coordinates"}
    assert tuple(name for name in TRACKS if TRACKS[name].generated) == GENERATED
