"""The signing key, signed statements and their check, and the trust of imports, on the command line."""

import json
import stat
from pathlib import Path
from uuid import uuid4

import pytest

from gateway.core import receipts
from gateway.core.receipts import Receipt
from gateway.core.signatures import private_key_pem, public_text, read_private_key
from gateway.core.types import DeterminismClass
from gateway.wiring.cache_config import sealing_keys
from tests.cli.conftest import MASTER, Line

OTHER = read_private_key(private_key_pem(b"o" * 32))
OTHER_KEY = public_text(OTHER.public_key)
RECEIPT = Receipt("esm3-open-2024-03", b"c" * 32, DeterminismClass.EXACT, 1_795_560_222.0, "http://up", b"a" * 32)


def identifier(tmp_path: Path) -> str:
    return receipts.encode(sealing_keys((MASTER + tmp_path.name).encode()).receipts, RECEIPT)


@pytest.fixture
def name() -> str:
    return f"paper-{uuid4().hex[:8]}"


def test_the_key_is_made_once_for_its_owner_alone_and_printed_without_its_secret_half(
    line: Line, tmp_path: Path
) -> None:
    printed = line.said("cache", "signing-key").strip()
    assert line.json("cache", "signing-key")["public_key"] == printed
    path = tmp_path / "data" / "secrets" / "signing"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert public_text(read_private_key(path.read_bytes()).public_key) == printed
    assert "PRIVATE" not in line.said("cache", "signing-key", "--json")


def test_another_master_secret_leaves_the_key_as_it_is(line: Line, tmp_path: Path) -> None:
    printed = line.said("cache", "signing-key")
    (tmp_path / "master").write_text("n" * 40)
    assert line.said("cache", "signing-key") == printed


def test_a_key_can_be_named_and_one_that_is_none_is_told_so(line: Line, tmp_path: Path) -> None:
    line.config.write_text(line.config.read_text().replace("[secrets]\n", '[secrets]\nsigning_file = "mine"\n'))
    assert "secrets.signing_file" in line.refusal("cache", "signing-key")
    (tmp_path / "mine").touch(0o600)
    (tmp_path / "mine").write_bytes(private_key_pem(b"o" * 32))
    assert line.said("cache", "signing-key").strip() == OTHER_KEY
    (tmp_path / "mine").write_text("something else")
    refused = line.refusal("cache", "signing-key")
    assert "is not an Ed25519 private key" in refused
    assert "something else" not in refused


def test_a_statement_is_checked_with_the_key_of_its_gateway_and_no_other(line: Line, tmp_path: Path) -> None:
    told = line.json("cache", "receipt", identifier(tmp_path), "--signed")
    key = line.said("cache", "signing-key").strip()
    assert told["public_key"] == key
    whole, bare = tmp_path / "statement.json", tmp_path / "statement"
    whole.write_text(json.dumps(told))
    bare.write_text(told["statement"] + "\n")
    for file in (whole, bare):
        for words in ([], ["--key", key], ["--key", OTHER_KEY, "--key", key]):
            found = line.json("cache", "verify", str(file), *words)
            assert (found["genuine"], found["signed_by"]) == (True, key)
            assert found["receipt"] == receipts.told(RECEIPT, identifier(tmp_path))
        assert key in line.refusal("cache", "verify", str(file), "--key", OTHER_KEY)
    assert "is genuine" in line.said("cache", "verify", "-", "--key", key, given=told["statement"])
    for odd in (told["statement"][:-2], told["statement"].replace(".", "", 1), "", "{}", "[1]", '{"statement": 5}'):
        assert "not genuine" in line.refusal("cache", "verify", "-", "--key", key, given=odd)
    assert "no public key" in line.refusal("cache", "verify", str(bare), "--key", "abc")


def test_a_statement_is_checked_without_any_settings_where_the_key_is_given(line: Line, tmp_path: Path) -> None:
    told = line.json("cache", "receipt", identifier(tmp_path), "--signed")
    line.config.write_text("not a settings file")
    found = line.json("cache", "verify", "-", "--key", told["public_key"], given=told["statement"])
    assert found["receipt"]["receipt"] == identifier(tmp_path)


def test_an_import_says_whose_signature_it_trusts(line: Line, name: str, tmp_path: Path) -> None:
    file = tmp_path / "paper.esmgw"
    line.said("cache", "namespace", "create", name)
    line.said("cache", "namespace", "freeze", name)
    key = line.json("cache", "namespace", "export", name, str(file))["signed_by"]
    assert key == line.said("cache", "signing-key").strip()
    assert line.json("cache", "namespace", "receipts", name) == []
    assert "is empty" in line.said("cache", "namespace", "receipts", name)
    assert line.json("cache", "namespace", "import", str(file), "--as", f"{name}-own")["trusted"] is True
    # From here on this gateway has another key, so the file is another's.
    secret = tmp_path / "data" / "secrets" / "signing"
    secret.write_bytes(private_key_pem(b"o" * 32))
    refused = line.refusal("cache", "namespace", "import", str(file), "--as", f"{name}-no")
    assert key in refused
    assert "--trust" in refused
    trusted = line.json("cache", "namespace", "import", str(file), "--as", f"{name}-one", "--trust", key)
    assert (trusted["trusted"], trusted["signed_by"]) == (True, key)
    audited = line.json("audit", "tail", "-n", "1")[0]["facts"]
    assert (audited["signature"], audited["signed_by"]) == ("trusted", key)
    said = line.said("cache", "namespace", "import", str(file), "--as", f"{name}-two", "--unverified")
    assert f"signed  {key} (not trusted)" in said
    line.config.write_text(line.config.read_text() + f'[cache]\ntrusted_signers = ["{key}"]\n')
    assert line.json("cache", "namespace", "import", str(file), "--as", f"{name}-set")["trusted"] is True
    assert "no public key" in line.refusal("cache", "namespace", "import", str(file), "--trust", "abc")
    for each in ("", "-own", "-one", "-two", "-set"):
        line.said("cache", "namespace", "drop", name + each, "--yes")


def test_a_trusted_signer_that_is_no_key_is_a_fault_of_the_settings(line: Line) -> None:
    line.config.write_text(line.config.read_text() + f'[cache]\ntrusted_signers = ["{OTHER_KEY}", "secret-text"]\n')
    refused = line.refusal("config", "check")
    assert "cache.trusted_signers: 1 of them" in refused
    assert "secret-text" not in refused
