"""Keys and signatures of a gateway: one spelling each, nothing forged passes, nothing secret shows."""

import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core import statements
from gateway.core.signatures import (
    PREFIX,
    Signer,
    is_signed,
    private_key_pem,
    public_text,
    read_private_key,
    read_public_key,
)

SIGNER = read_private_key(private_key_pem(b"s" * 32))
OTHER = read_private_key(private_key_pem(b"o" * 32))
CONTENT = {"receipt": "abc", "model": "esm3", "imported": {"by": "grace"}}
STATEMENT = statements.sign(SIGNER, CONTENT)


def test_a_signature_is_that_of_its_key_and_message_and_of_no_other() -> None:
    signature = SIGNER.sign(b"message")
    assert is_signed(SIGNER.public_key, b"message", signature)
    assert not is_signed(SIGNER.public_key, b"messagE", signature)
    assert not is_signed(OTHER.public_key, b"message", signature)
    assert not is_signed(SIGNER.public_key, b"message", signature[:-1] + bytes([signature[-1] ^ 1]))
    assert not is_signed(b"short", b"message", signature)
    assert not is_signed(SIGNER.public_key, b"message", b"")


def test_the_same_key_signs_the_same_message_the_same_way() -> None:
    again = read_private_key(private_key_pem(b"s" * 32))
    assert (again.public_key, again.sign(b"m")) == (SIGNER.public_key, SIGNER.sign(b"m"))


def test_a_public_key_has_one_spelling() -> None:
    text = public_text(SIGNER.public_key)
    assert read_public_key(text) == SIGNER.public_key
    assert len(text) == len(PREFIX) + 43
    odd = [
        text[:-1],
        text + "=",
        text + "A",
        text.upper(),
        text.removeprefix(PREFIX),
        "",
        PREFIX,
        text + "\n",
        "é" * 57,
    ]
    last = text[-1]
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    odd += [text[:-1] + letter for letter in alphabet if letter != last and ord(letter) % 4 != ord(last) % 4]
    for spelled in odd:
        assert read_public_key(spelled) != SIGNER.public_key


@pytest.mark.parametrize("junk", [b"", b"x" * 32, b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"])
def test_what_is_no_key_is_refused_in_one_way(junk: bytes) -> None:
    with pytest.raises(ValueError, match="Ed25519"):
        read_private_key(junk)


def test_a_key_of_another_kind_is_refused() -> None:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

    pem = X25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    with pytest.raises(ValueError, match="Ed25519"):
        read_private_key(pem)


def test_a_signer_shows_its_public_key_alone() -> None:
    assert repr(SIGNER) == f"<Signer {public_text(SIGNER.public_key)}>"
    assert isinstance(SIGNER, Signer)


def test_other_tools_read_the_file_of_a_key(tmp_path: Path) -> None:
    pem = private_key_pem(b"s" * 32)
    assert pem.startswith(b"-----BEGIN PRIVATE KEY-----\n")
    tool = shutil.which("openssl")
    if tool is None:
        assert read_private_key(pem).public_key == SIGNER.public_key
        return
    (tmp_path / "key").write_bytes(pem)
    command = [tool, "pkey", "-in", str(tmp_path / "key"), "-pubout", "-outform", "DER"]
    made = subprocess.run(command, capture_output=True, check=True).stdout
    assert made.endswith(SIGNER.public_key)


def test_a_statement_says_what_was_signed_and_whose_it_is() -> None:
    found = statements.read(STATEMENT)
    assert found is not None
    assert (found.public_key, found.content) == (SIGNER.public_key, CONTENT)
    assert statements.sign(SIGNER, dict(reversed(CONTENT.items()))) == STATEMENT


def test_a_changed_cut_or_longer_statement_is_none() -> None:
    for at in range(len(STATEMENT)):
        letter = "A" if STATEMENT[at] != "A" else "B"
        assert statements.read(STATEMENT[:at] + letter + STATEMENT[at + 1 :]) is None
        assert statements.read(STATEMENT[:at]) is None
    for odd in (STATEMENT + "A", STATEMENT + "=", " " + STATEMENT, STATEMENT + ".", "", "..", "é.é.é"):
        assert statements.read(odd) is None
    assert statements.read(STATEMENT + "A" * statements.MAX_CHARS) is None


def test_a_statement_counts_for_the_key_that_it_names_only() -> None:
    head, content, _ = STATEMENT.split(".")
    theirs = statements.sign(OTHER, CONTENT)
    assert statements.read(f"{head}.{content}.{theirs.split('.')[2]}") is None
    assert statements.read(f"{theirs.split('.')[0]}.{content}.{STATEMENT.split('.')[2]}") is None
    found = statements.read(theirs)
    assert found is not None
    assert found.public_key == OTHER.public_key


@pytest.mark.parametrize(
    "header",
    [
        {"alg": "none", "kid": public_text(SIGNER.public_key), "typ": statements.TYPE},
        {"alg": "EdDSA", "kid": public_text(SIGNER.public_key), "typ": "JWT"},
        {"alg": "EdDSA", "typ": statements.TYPE},
        ["EdDSA"],
    ],
)
def test_a_token_of_another_kind_is_no_statement_though_its_signature_is_genuine(header: object) -> None:
    import orjson

    signed = b".".join(statements._encoded(orjson.dumps(part)) for part in (header, CONTENT))
    token = signed + b"." + statements._encoded(SIGNER.sign(signed))
    assert statements.read(token.decode()) is None


@given(st.text(max_size=200))
@settings(max_examples=200, deadline=None, derandomize=True, database=None)
def test_nothing_makes_the_reader_fail_in_another_way(text: str) -> None:
    assert statements.read(text) is None
    assert statements.read(STATEMENT.rpartition(".")[0] + "." + text) is None
    assert read_public_key(PREFIX + text) is None or len(text) == 43
