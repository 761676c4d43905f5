"""Virtual keys: what is refused without asking a store, and that a digest knows its own key only."""

import hmac
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.credentials import ALPHABET, VirtualKey, digest, is_current, matches, mint, parse
from gateway.core.sealing import Secret

ENTROPY = st.binary(min_size=44, max_size=44)
KEY = mint(bytes(range(44)))
PEPPER, OTHER_PEPPER = b"p" * 32, b"q" * 32


@given(ENTROPY)
@settings(max_examples=100, deadline=None)
def test_a_minted_key_is_read_back_as_itself(entropy: bytes) -> None:
    key = mint(entropy)
    assert parse(key.text) == key
    assert key.text.startswith(f"esmgw_{key.public_id}_")
    assert len(key.text) == len("esmgw_") + 12 + 1 + 32 + 6


@pytest.mark.parametrize("place", range(len(KEY.text)))
def test_any_one_changed_character_is_refused_without_a_store(place: int) -> None:
    for other in ALPHABET + "_- é٣":
        if other != KEY.text[place]:
            assert parse(KEY.text[:place] + other + KEY.text[place + 1 :]) is None


@given(ENTROPY, st.data())
@settings(max_examples=100, deadline=None)
def test_two_neighbours_that_changed_places_are_refused(entropy: bytes, data: st.DataObject) -> None:
    text = mint(entropy).text
    at = data.draw(st.integers(0, len(text) - 2))
    swapped = text[:at] + text[at + 1] + text[at] + text[at + 2 :]
    assert (parse(swapped) is None) == (swapped != text)


@pytest.mark.parametrize("length", range(len(KEY.text)))
def test_a_key_cut_short_is_refused(length: int) -> None:
    assert parse(KEY.text[:length]) is None
    assert parse(KEY.text[length + 1 :]) is None


@pytest.mark.parametrize("around", ["{}\n", " {}", "{} ", "{}0", "Bearer {}", "{}\0", "\ufeff{}"])
def test_a_key_with_anything_around_it_is_refused(around: str) -> None:
    assert parse(around.format(KEY.text)) is None


@given(st.text(max_size=80))
@settings(max_examples=100, deadline=None)
def test_other_text_is_no_key_and_no_fault(text: str) -> None:
    assert parse(text) is None


@given(ENTROPY, ENTROPY)
@settings(max_examples=100, deadline=None)
def test_a_digest_is_matched_by_the_very_key_alone(one: bytes, other: bytes) -> None:
    first, second = mint(one), mint(other)
    stored = digest(PEPPER, first)
    assert matches(PEPPER, first, stored)
    assert matches(PEPPER, second, stored) == (first.text == second.text)
    assert not matches(OTHER_PEPPER, first, stored)


def test_two_keys_with_one_public_id_do_not_match_each_other() -> None:
    other = mint(bytes(range(12)) + bytes(32))
    assert other.public_id == KEY.public_id
    assert not matches(PEPPER, other, digest(PEPPER, KEY))


@pytest.mark.parametrize("stored", ["", "0" * 64, KEY.text])
def test_a_record_without_the_right_digest_lets_nobody_in(stored: str) -> None:
    assert not matches(PEPPER, KEY, stored)


def test_what_is_stored_and_what_is_shown_hold_nothing_of_the_secret() -> None:
    secret = KEY.text[len("esmgw_") + 13 :]
    stored = digest(PEPPER, KEY)
    assert len(stored) == 64
    assert secret not in stored + repr(KEY) + str(KEY)
    assert repr(VirtualKey("a", "b")) == "VirtualKey(public_id='a')"


@pytest.mark.parametrize("length", [0, 16, 43])
def test_no_key_is_made_from_too_little_chance(length: int) -> None:
    with pytest.raises(ValueError, match="entropy"):
        mint(bytes(length))


def test_every_byte_of_chance_is_used() -> None:
    texts = {mint(bytes(1 if at == place else 0 for at in range(44))).text for place in range(44)}
    assert len(texts | {mint(bytes(44)).text}) == 45


def checked(stem: str) -> str:
    """A stem with its CRC-32 behind it, in six digits to the base 62."""
    value = zlib.crc32(stem.encode())
    return stem + "".join(ALPHABET[value // 62**place % 62] for place in range(5, -1, -1))


@pytest.mark.parametrize("change", ["{}0", "{}\n", " {}", "x{}", "{}_", "{}é"])
def test_a_right_checksum_does_not_excuse_a_wrong_shape(change: str) -> None:
    stem = KEY.text[:-6]
    assert checked(stem) == KEY.text
    assert parse(checked(change.format(stem))) is None
    assert parse(checked(stem[:-1])) is None


def test_a_digest_of_another_pepper_matches_as_long_as_that_is_among_the_others() -> None:
    old, new = digest(OTHER_PEPPER, KEY), digest(PEPPER, KEY)
    both = Secret(PEPPER, [OTHER_PEPPER])
    assert digest(both, KEY) == new
    assert matches(both, KEY, old)
    assert matches(both, KEY, new)
    assert not matches(Secret(PEPPER), KEY, old)
    assert (is_current(both, new), is_current(both, old)) == (True, False)
    assert not matches(both, mint(bytes(44)), old)


def test_a_digest_of_the_time_before_peppers_had_ids_matches_and_is_not_current() -> None:
    stored = hmac.digest(OTHER_PEPPER, KEY.text.encode(), "sha256").hex()
    assert matches(OTHER_PEPPER, KEY, stored)
    assert matches(Secret(PEPPER, [OTHER_PEPPER]), KEY, stored)
    assert not matches(PEPPER, KEY, stored)
    assert not is_current(OTHER_PEPPER, stored)


@pytest.mark.parametrize("place", [0, 7, 8, 20, 63])
def test_a_digest_with_one_changed_digit_lets_nobody_in(place: int) -> None:
    stored = digest(PEPPER, KEY)
    other = "0" if stored[place] != "0" else "1"
    assert not matches(PEPPER, KEY, stored[:place] + other + stored[place + 1 :])
