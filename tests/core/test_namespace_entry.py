"""Records of a namespace: the call and its answer come back as they were, or not at all."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core import entry_codec
from gateway.core.cache_directives import NO_DIRECTIVES, CacheDirectives
from gateway.core.namespace_entry import NamespaceEntry, decode, encode
from gateway.core.types import Answer, Call, Determinism, DeterminismClass, Imported

KEY, NONCE = b"k" * 32, bytes(range(12))
TEXT = st.text(st.characters(blacklist_categories=["Cs"]), max_size=20)
ENTRY = NamespaceEntry(
    "encode", "/api/v1/encode", "esm3", False, b'{"a":1}', None, None, Answer(b"{}", 5.0, DeterminismClass.EXACT)
)
BLOB = encode(KEY, "paper here", ENTRY, NONCE)


@given(TEXT, TEXT, TEXT, st.booleans(), st.binary(max_size=200), st.none() | TEXT, st.none() | st.integers(1, 9999))
@settings(max_examples=60, deadline=None)
def test_a_record_comes_back_as_it_was(
    endpoint: str, target: str, model: str, flagged: bool, body: bytes, pool: str | None, sample: int | None
) -> None:
    answer = entry_codec.compress(Answer(body * 20, 7.25, DeterminismClass.SAMPLED, 0.5, "https://up.example"))
    entry = NamespaceEntry(endpoint, target, model, flagged, body, pool, sample, answer)
    assert decode(KEY, "paper here", encode(KEY, "paper here", entry, NONCE)) == entry


@pytest.mark.parametrize(
    "asked", [NO_DIRECTIVES, CacheDirectives(pool="lab", sample=3), CacheDirectives(namespace="paper", sample=2)]
)
def test_a_record_is_the_call_as_it_went_upstream_and_the_sample_that_was_asked_for(asked: CacheDirectives) -> None:
    exact, target = Determinism(DeterminismClass.EXACT, "rule"), "/api/v1/encode?a=b"
    call = Call("encode", target, "esm3", True, b'{"a":1}', b"c" * 32, 7, 5, exact, b"k" * 32)
    made = NamespaceEntry.of(call, asked, ENTRY.answer)
    assert made == replace(ENTRY, target=target, flagged=True, pool=asked.pool, sample=asked.sample)


@pytest.mark.parametrize("place", range(len(BLOB)))
def test_a_record_with_a_flipped_byte_or_a_missing_end_is_none(place: int) -> None:
    assert decode(KEY, "paper here", BLOB[:place] + bytes([BLOB[place] ^ 1]) + BLOB[place + 1 :]) is None
    assert decode(KEY, "paper here", BLOB[:place]) is None


def test_a_record_of_another_namespace_call_or_gateway_is_none() -> None:
    assert decode(KEY, "paper here", BLOB) == ENTRY
    assert decode(KEY, "paper there", BLOB) is None
    assert decode(KEY, "other here", BLOB) is None
    assert decode(b"o" * 32, "paper here", BLOB) is None


def test_an_entry_of_the_cache_is_no_record() -> None:
    sealed = entry_codec.encode(KEY, "paper here", ENTRY.answer, NONCE)
    assert decode(KEY, "paper here", sealed) is None


# As the gateway sealed it before sealed forms named their key.
FIRST_FORM = (
    "01000102030405060708090a0b6bddf42e368ba4102df83cee01e7247ad78fca0db310adaaca128aca944fb6048f5d408ba5"
    "07357695bf021f92210aa37be1d5e6ed347d2aff6f58fcbdb243b9c3c30fba746bdf9024b7f1c2274014162ad5e632c55cd9"
    "9777a1b46572f0f6c93e51a7995a277326"
)


def test_an_entry_in_the_first_sealed_form_is_read_for_good() -> None:
    assert decode(KEY, "paper here", bytes.fromhex(FIRST_FORM)) == ENTRY


@pytest.mark.parametrize(
    "origin",
    [
        Imported(b"f" * 32, 1.8e9, "grace"),
        Imported(b"f" * 32, 1.8e9, "grace", b"k" * 32, trusted=True, issued="abcd-efgh-ijkl-mnop"),
        Imported(b"f" * 32, 1.8e9, "grace", b"k" * 32, trusted=False),
    ],
)
def test_an_entry_that_was_imported_says_so_for_good(origin: Imported) -> None:
    entry = replace(ENTRY, answer=replace(ENTRY.answer, imported=origin))
    assert decode(KEY, "paper here", encode(KEY, "paper here", entry, NONCE)) == entry
