"""The file of a namespace: the same bytes every time, read back as it was, and no damage goes unseen."""

import json
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import replace
from hashlib import sha256

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core import export_format, export_frames
from gateway.core.export_format import ExportHeader, ExportRow, ExportTrailer, ExportWriter
from gateway.core.export_frames import (
    CHECKSUM_FRAME_BYTES,
    MAGIC,
    SIGNATURE_FRAME_BYTES,
    ExportUnreadable,
    FileSeal,
)
from gateway.core.namespace_entry import NamespaceEntry
from gateway.core.signatures import private_key_pem, read_private_key
from gateway.core.types import Answer, DeterminismClass, Namespace

HEAD = ExportHeader(Namespace("paper-2026", 1000.125, 2000.25, "Figure 3 \N{BUTTERFLY}"), "0.1.0")
ANSWER = Answer(
    b'{"outputs": {"sequence": [0, 5,  2]}}\n', 1_800_000_000.123456, DeterminismClass.SAMPLED, 1.5, "http://up"
)
ENTRY = NamespaceEntry("encode", "/api/v1/encode", "esm3", False, b'{"model":"esm3"}', None, None, ANSWER)
CALL = bytes(range(32))


def entries(count: int) -> list[NamespaceEntry]:
    return [
        replace(
            ENTRY,
            sample=i or None,
            pool="lab" if i % 2 else None,
            flagged=i % 3 == 0,
            answer=replace(ANSWER, body=b'{"n": "%d \xc3\xa9 \\ud800"}' % i, created=ANSWER.created + i / 7),
        )
        for i in range(count)
    ]


def written(recorded: Iterable[NamespaceEntry], head: ExportHeader = HEAD, omitted: int = 0) -> bytes:
    writer = ExportWriter()
    parts = [writer.begin(head), *(writer.add(entry, CALL) for entry in recorded), writer.end(omitted)]
    return b"".join(parts)


def pieces(content: bytes, size: int = 1000) -> Iterator[bytes]:
    return (content[at : at + size] for at in range(0, len(content), size))


def rows(content: bytes) -> list[ExportHeader | ExportRow | ExportTrailer]:
    return list(export_format.read(pieces(content)))


def sealed(lines: bytes, magic: bytes = MAGIC) -> bytes:
    """A file that somebody made up, its checksum right."""
    content = magic + zstandard.compress(lines)
    return content + export_frames.checksum_frame(sha256(content).hexdigest())


def test_what_is_read_is_what_was_written() -> None:
    told = entries(20)
    content = written(told, omitted=3)
    assert export_format.verify(pieces(content)) == sha256(content[:-CHECKSUM_FRAME_BYTES]).hexdigest()
    lines: list[ExportHeader | ExportRow | ExportTrailer] = [
        ExportRow(i, entry, CALL) for i, entry in enumerate(told, start=1)
    ]
    assert rows(content) == [HEAD, *lines, ExportTrailer(20, 3)]


def test_a_signed_file_says_whose_it_is_and_holds_the_same_and_no_damage_goes_unseen() -> None:
    signer = read_private_key(private_key_pem(b"s" * 32))
    writer = ExportWriter(signer)
    parts = [writer.begin(HEAD)]
    parts += [writer.add(entry, CALL, f"issued-{i}") for i, entry in enumerate(entries(5))]
    content = b"".join([*parts, writer.end(1)])
    for size in (1, 7, 4096):
        seal = export_format.seal_of(pieces(content, size))
        assert seal == FileSeal(
            sha256(content[: -CHECKSUM_FRAME_BYTES - SIGNATURE_FRAME_BYTES]).hexdigest(), signer.public_key
        )
    told = [row for row in rows(content) if isinstance(row, ExportRow)]
    assert [row.entry for row in told] == entries(5)
    assert [row.issued for row in told] == [f"issued-{i}" for i in range(5)]
    assert export_format.seal_of(pieces(written(entries(5)))).signer == b""
    for at in range(0, len(content), 3):
        with pytest.raises(ExportUnreadable):
            export_format.seal_of(pieces(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]))
        with pytest.raises(ExportUnreadable):
            export_format.seal_of(pieces(content[:at]))


def test_an_empty_namespace_is_a_file_too() -> None:
    assert rows(written([])) == [HEAD, ExportTrailer(0, 0)]


def test_the_same_namespace_is_the_same_bytes_whatever_the_pieces() -> None:
    content = written(entries(50))
    assert content == written(entries(50))
    for size in (1, 7, 4096, 10**6):
        assert len(list(export_format.read(pieces(content, size)))) == 52


def test_every_flipped_bit_and_every_cut_is_refused_before_anything_is_read() -> None:
    content = written(entries(2))
    for at in range(len(content)):
        damaged = content[:at] + bytes([content[at] ^ 1 << at % 8]) + content[at + 1 :]
        with pytest.raises(ExportUnreadable):
            export_format.verify(pieces(damaged))
    for end in range(len(content)):
        with pytest.raises(ExportUnreadable):
            export_format.verify(pieces(content[:end]))
    for more in (b"\0", content):
        with pytest.raises(ExportUnreadable):
            export_format.verify(pieces(content + more))


@settings(max_examples=200, derandomize=True, deadline=None, database=None)
@given(st.binary(max_size=300), st.binary(max_size=300))
def test_no_bytes_make_the_reader_fail_in_another_way(lines: bytes, junk: bytes) -> None:
    for content in (lines, MAGIC + lines, sealed(lines), sealed(b"{}\n" + lines + b"\n"), sealed(lines) + junk):
        with pytest.raises(ExportUnreadable):
            rows(content)


def test_damage_that_comes_between_two_readings_is_seen_at_the_latest_at_the_end() -> None:
    content = written(entries(20))
    seal = len(content) - 10
    with pytest.raises(ExportUnreadable, match="checksum"):
        rows(content[:seal] + (b"0" if content[seal : seal + 1] != b"0" else b"1") + content[seal + 1 :])


def test_another_version_of_the_form_is_told_from_a_file_that_is_none() -> None:
    newer = export_frames.skippable(b"esm-gateway namespace 3\n")
    with pytest.raises(ExportUnreadable, match="newer"):
        export_format.verify(pieces(sealed(b"", magic=newer)))
    with pytest.raises(ExportUnreadable, match="not an exported namespace"):
        export_format.verify(pieces(b"PK\x03\x04" * 100))


def changed(**changes: object) -> bytes:
    """A file of one call, one of whose members somebody has changed."""
    content = written([ENTRY])
    lines = [json.loads(line) for line in lines_of(content).splitlines()]
    lines[1]["issued"] = "abc"
    for name, value in changes.items():
        where = next(line for line in reversed(lines) if name in line)
        where[name] = value
    return sealed(b"".join(json.dumps(line).encode() + b"\n" for line in lines))


def lines_of(content: bytes) -> bytes:
    return zstandard.ZstdDecompressor().decompressobj().decompress(content[len(MAGIC) : -CHECKSUM_FRAME_BYTES])


@pytest.mark.parametrize(
    "changes, said",
    [
        ({"answer": '{"outputs": {}}'}, "receipt of call 1"),
        ({"created": 1.0}, "receipt of call 1"),
        ({"created": 1e300}, "call 1|Call 1"),
        ({"answer": None}, "Call 1"),
        ({"receipt": {}}, "Call 1"),
        ({"sample": "x"}, "Call 1"),
        ({"issued": "a b"}, "Call 1"),
        ({"issued": 5}, "Call 1"),
        ({"entries": 2}, "as many calls"),
        ({"entries": 0}, "as many calls"),
        ({"name": "a b"}, "describe"),
        ({"frozen": None}, "describe"),
        ({"frozen": -1}, "describe"),
        ({"created": 1e300, "name": "x"}, "1"),
    ],
)
def test_a_file_whose_content_does_not_agree_with_itself_is_refused_though_its_checksum_is_right(
    changes: dict[str, object], said: str
) -> None:
    content = changed(**changes)
    export_format.verify(pieces(content))
    with pytest.raises(ExportUnreadable, match=said):
        rows(content)


def test_a_line_that_never_ends_is_refused_without_being_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export_format, "MAX_LINE_BYTES", 10_000)
    with pytest.raises(ExportUnreadable, match="not a JSON object"):
        rows(sealed(b"[" * 10_000_000))


def test_a_reader_without_a_gateway_can_read_it() -> None:
    tool = shutil.which("zstd")
    if tool is None:
        assert lines_of(written([ENTRY])).count(b"\n") == 3
        return
    done = subprocess.run([tool, "-dc"], input=written([ENTRY]), capture_output=True, check=True)
    head, line, end = (json.loads(text) for text in done.stdout.splitlines())
    assert (head["name"], end) == ("paper-2026", {"entries": 1, "omitted": 0})
    assert sha256(line["answer"].encode()).hexdigest() == line["receipt"]["answer_sha256"]
