"""Secrets are files that nobody else can read, and the generated one is made once."""

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from gateway.settings import InvalidSettings, Settings, master_secret, read_secret, write_secret


def test_a_secret_is_read_without_the_newline_that_an_editor_adds(tmp_path: Path) -> None:
    write_secret(tmp_path / "key", b"  secret\n")
    assert read_secret(tmp_path / "key") == b"secret"


@pytest.mark.parametrize("mode", [0o644, 0o604, 0o660, 0o601])
def test_a_file_open_to_others_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "key"
    path.write_bytes(b"secret")
    path.chmod(mode)
    with pytest.raises(InvalidSettings, match="accessible to others"):
        read_secret(path)


@pytest.mark.parametrize("mode", [0o400, 0o600, 0o440, 0o640])
def test_a_file_for_its_owner_and_group_is_accepted(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "key"
    path.write_bytes(b"secret")
    path.chmod(mode)
    assert read_secret(path) == b"secret"


def test_missing_empty_and_short_secrets_are_told_apart(tmp_path: Path) -> None:
    write_secret(tmp_path / "empty", b"\n")
    write_secret(tmp_path / "short", b"x" * 31)
    for name, least, said in (("none", 1, "No such file"), ("empty", 1, "is empty"), ("short", 32, "at least 32")):
        with pytest.raises(InvalidSettings, match=said):
            read_secret(tmp_path / name, least)
    with pytest.raises(InvalidSettings, match="is not a file"):
        read_secret(tmp_path)


def test_the_generated_secret_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path / "data")
    with ThreadPoolExecutor(8) as pool:
        made = set(pool.map(lambda _: master_secret(settings), range(32)))
    assert len(made) == 1
    assert len(made.pop()) >= 32
    path = settings.master_file
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert [each.name for each in path.parent.iterdir()] == ["master"]


def test_no_second_secret_is_made_beside_a_record_of_the_first(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    settings.audit_file.parent.mkdir()
    settings.audit_file.write_text("{}\n")
    with pytest.raises(InvalidSettings, match="restore it"):
        master_secret(settings)


def test_writing_keeps_a_file_that_stands_already(tmp_path: Path) -> None:
    write_secret(tmp_path / "key", b"one")
    write_secret(tmp_path / "key", b"two")
    assert read_secret(tmp_path / "key") == b"one"
