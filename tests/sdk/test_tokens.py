"""The proteins that are written down are what the real SDK makes of the real sequences."""

import os
from collections import Counter
from importlib.metadata import version

import pytest
from esm.tokenization.sequence_tokenizer import EsmSequenceTokenizer

from tests.proteins import write
from tests.sdk.prompts import FOLDER, NAMES, protein

LENGTHS = {"ubiquitin": 76, "lysozyme": 129, "gfp": 238, "insulin": 110}


def test_this_is_the_sdk_that_was_asked_for() -> None:
    assert version("esm") == os.environ["SDK_TEST_VERSION"]


@pytest.mark.parametrize("name", NAMES)
def test_the_real_tokenizer_gives_the_tokens_that_are_written_down(name: str) -> None:
    known = protein(name)
    assert EsmSequenceTokenizer().encode(known.sequence) == known.tokens["sequence"]


@pytest.mark.parametrize("name", NAMES)
def test_a_protein_has_the_length_of_its_source(name: str) -> None:
    first, last = write.PROTEINS[name]["source"]["range"]
    assert len(protein(name).sequence) == LENGTHS[name] == last - first + 1


@pytest.mark.parametrize("name", NAMES)
def test_a_protein_file_is_what_its_rules_say(name: str) -> None:
    assert (FOLDER / f"{name}.json").read_text("utf-8") == write.document(name)


def test_no_two_residues_of_a_track_made_by_rule_are_all_alike() -> None:
    """A track of one token would hide a gateway that shuffles or drops positions."""
    for name in NAMES:
        for track, tokens in protein(name).tokens.items():
            assert len(Counter(map(str, tokens))) > 5, (name, track)
