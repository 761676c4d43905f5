"""Sealed bytes: nothing but the very bytes, under the very key, at the very address, is opened."""

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core import sealing
from gateway.core.sealing import (
    SLICE_BYTES,
    NotSealedHere,
    Secret,
    derive_key,
    every,
    is_current,
    key_id,
    seal,
    seal_in_slices,
    sealed_by,
    unseal,
    unseal_in_slices,
)

SLICED = b"s" * 32

SECRET = b"a master secret of thirty-two bytes"
KEY, OTHER_KEY = derive_key(SECRET, "cache"), derive_key(SECRET, "directory")
NONCE = bytes(range(12))
CONTENT = b"what was answered"
BLOB = seal(KEY, "address", CONTENT, NONCE)


@given(st.text(st.characters(exclude_categories=["Cs"])), st.binary(max_size=200), st.binary(min_size=12, max_size=12))
@settings(max_examples=100, deadline=None)
def test_what_was_sealed_is_opened_whole_where_it_belongs(address: str, content: bytes, nonce: bytes) -> None:
    assert unseal(KEY, address, seal(KEY, address, content, nonce)) == content


@pytest.mark.parametrize("place", range(len(BLOB)))
def test_a_flipped_byte_opens_nothing(place: int) -> None:
    for flip in (1, 128, 255):
        assert unseal(KEY, "address", BLOB[:place] + bytes([BLOB[place] ^ flip]) + BLOB[place + 1 :]) is None


@pytest.mark.parametrize("length", range(len(BLOB)))
def test_a_truncated_blob_opens_nothing(length: int) -> None:
    assert unseal(KEY, "address", BLOB[:length]) is None
    assert unseal(KEY, "address", BLOB[len(BLOB) - length :]) is None


def test_a_lengthened_blob_opens_nothing() -> None:
    assert unseal(KEY, "address", BLOB + b"\0") is None
    assert unseal(KEY, "address", b"\1" + BLOB) is None


@given(st.text(st.characters(exclude_categories=["Cs"])))
@settings(max_examples=60, deadline=None)
def test_a_blob_put_in_the_place_of_another_opens_nothing(address: str) -> None:
    assert (unseal(KEY, address, BLOB) is None) == (address != "address")


def test_the_key_of_another_purpose_or_of_another_secret_opens_nothing() -> None:
    assert unseal(OTHER_KEY, "address", BLOB) is None
    assert unseal(derive_key(SECRET + b".", "cache"), "address", BLOB) is None


@given(st.binary(max_size=100))
@settings(max_examples=60, deadline=None)
def test_bytes_that_were_never_sealed_open_nothing(blob: bytes) -> None:
    assert unseal(KEY, "address", blob) is None
    assert unseal(KEY, "address", b"\1" + blob) is None


def test_sealed_bytes_do_not_show_what_they_hold() -> None:
    assert CONTENT not in BLOB
    assert b"address" not in BLOB
    assert seal(KEY, "address", CONTENT, bytes(12)) != BLOB


@pytest.mark.parametrize("length", [0, 8, 11, 13, 16])
def test_nothing_is_sealed_under_a_nonce_of_another_length(length: int) -> None:
    with pytest.raises(ValueError, match="12 bytes"):
        seal(KEY, "address", CONTENT, bytes(length))


def test_keys_differ_by_purpose_and_are_the_same_on_every_machine() -> None:
    purposes = ("cache", "directory", "audit", "")
    assert len({derive_key(SECRET, purpose) for purpose in purposes} | {SECRET}) == 5
    assert derive_key(SECRET, "cache") == KEY
    assert len(KEY) == 32


def test_the_derivation_is_the_published_one() -> None:
    # RFC 5869 with an empty salt, worked out by hand: extract, then one block of expand.
    from hashlib import sha256
    from hmac import digest

    extracted = digest(bytes(32), SECRET, sha256)
    assert digest(extracted, b"esm-gateway/cache\x01", sha256) == KEY


@pytest.mark.parametrize("size", [0, 1, SLICE_BYTES - 1, SLICE_BYTES, SLICE_BYTES + 1, 3 * SLICE_BYTES + 7])
def test_in_slices_is_the_same_as_at_once(size: int) -> None:
    content = (b"0123456789abcde" * (size // 15 + 1))[:size]
    pieces = list(seal_in_slices(SLICED, "here", [content[:5], b"", content[5:]], b"n" * 12))
    blob = seal(SLICED, "here", content, b"n" * 12)
    assert b"".join(pieces) == blob
    assert max(map(len, pieces)) <= SLICE_BYTES + 16
    opened = list(unseal_in_slices(SLICED, "here", blob))
    assert b"".join(opened) == content
    assert max(map(len, opened), default=0) <= SLICE_BYTES


@pytest.mark.parametrize("changed", ["address", "key", "last", "first", "version", "cut", "short", "empty"])
def test_what_was_not_sealed_here_is_found_out_in_slices_too(changed: str) -> None:
    blob, address, key = seal(SLICED, "here", b"x" * 600_000, b"n" * 12), "here", SLICED
    if changed == "address":
        address = "there"
    elif changed == "key":
        key = b"o" * 32
    else:
        blob = {
            "last": blob[:-1] + bytes([blob[-1] ^ 1]),
            "first": blob[:13] + bytes([blob[13] ^ 1]) + blob[14:],
            "version": b"\x02" + blob[1:],
            "cut": blob[:-1],
            "short": blob[:28],
            "empty": b"",
        }[changed]
    with pytest.raises(NotSealedHere):
        list(unseal_in_slices(key, address, blob))


def test_a_nonce_of_another_length_is_no_nonce_in_slices() -> None:
    with pytest.raises(ValueError):
        list(seal_in_slices(SLICED, "here", [b"x"], b"short"))


OLD, NEW = b"o" * 32, b"n" * 32
BEFORE, DURING, AFTER = (derive_key(each, "records") for each in (Secret(OLD, [NEW]), Secret(NEW, [OLD]), Secret(NEW)))


def opened(key: bytes, blob: bytes) -> bytes | None:
    """At once and in slices; both must say the same."""
    at_once = unseal(key, "here", blob)
    try:
        in_slices: bytes | None = b"".join(unseal_in_slices(key, "here", blob))
    except NotSealedHere:
        in_slices = None
    assert at_once == in_slices
    return at_once


def test_what_one_master_sealed_another_reads_that_has_it_beside_its_own() -> None:
    old, new = seal(BEFORE, "here", b"old", NONCE), seal(DURING, "here", b"new", NONCE)
    for key, readable in ((BEFORE, (b"old", b"new")), (DURING, (b"old", b"new")), (AFTER, (None, b"new"))):
        assert (opened(key, old), opened(key, new)) == readable
    assert (is_current(DURING, "here", old), is_current(DURING, "here", new)) == (False, True)
    assert (is_current(BEFORE, "here", old), is_current(BEFORE, "here", new)) == (True, False)


def test_sealed_bytes_name_their_key_and_say_nothing_about_it() -> None:
    blob = seal(DURING, "here", b"x", NONCE)
    assert sealed_by(blob) == key_id(bytes(AFTER)) != key_id(bytes(BEFORE))
    assert len(key_id(bytes(AFTER))) == 4
    assert bytes(AFTER)[:4] not in blob
    assert sealed_by(b"") is None
    assert sealed_by(b"\x01" + blob[1:]) is None


def test_a_name_of_another_key_in_front_opens_nothing() -> None:
    blob = seal(DURING, "here", b"x", NONCE)
    assert opened(DURING, blob[:1] + key_id(bytes(BEFORE)) + blob[5:]) is None


def test_a_secret_is_its_present_bytes_for_whoever_knows_of_no_others() -> None:
    secret = Secret(NEW, [OLD])
    assert secret == NEW
    assert every(secret) == (NEW, OLD)
    assert every(NEW) == (NEW,)
    assert derive_key(secret, "a") == derive_key(NEW, "a")
    assert every(derive_key(secret, "a"))[1] == derive_key(OLD, "a")


def of_the_first_version(key: bytes, content: bytes) -> bytes:
    """As sealed before there were key ids."""
    return b"\x01" + NONCE + AESGCM(key).encrypt(NONCE, content, b"\x01here")


@pytest.mark.parametrize("size", [1, 600_000])
def test_the_first_version_is_still_read_whichever_of_the_masters_it_needs(size: int) -> None:
    blob = of_the_first_version(bytes(BEFORE), b"x" * size)
    for key in (BEFORE, DURING, derive_key(OLD, "records")):
        assert opened(key, blob) == b"x" * size
    assert opened(AFTER, blob) is None
    assert unseal(DURING, "there", blob) is None
    assert (is_current(BEFORE, "here", blob), is_current(DURING, "here", blob)) == (True, False)


def test_every_address_has_a_key_of_its_own_so_that_nonces_are_bounded_for_each_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where two addresses share a nonce, their bytes do not share a key stream."""
    used: list[bytes] = []

    class Spy:
        def __init__(self, key: bytes) -> None:
            used.append(key)

        def encrypt(self, *_: object) -> bytes:
            return b""

    monkeypatch.setattr(sealing, "AESGCM", Spy)
    for address in ("a", "b", "a", "a\x01"):
        seal(KEY, address, b"", NONCE)
    assert len(set(used)) == 3
    assert used[0] == used[2]
    assert bytes(KEY) not in used
    assert all(len(key) == 32 for key in used)
