"""Takes out of a foreign sentence what could be a caller's protein, numbers of one, or a credential.

Compared with the call: every run of five letters that the call has, in whatever case and whatever stands between the
letters, also where the call has them as token ids. By its looks alone: three numbers in a row, long strings without a
blank, encoded ones, amino acids in capitals or in three-letter codes. Names that this gateway itself checks (members,
models, tracks, schedules) are shown.

Too much is taken out rather than too little. What another program disguises on purpose beyond that is not recognised.
"""

import re
from collections.abc import Iterator, Sequence
from itertools import groupby
from urllib.parse import parse_qsl, urlsplit

import numpy as np
import orjson
from numpy.typing import NDArray

from gateway.core.tracks import SEQUENCE_LETTERS, SEQUENCE_OFFSET

GRAM = 5
MAX_CALL_BYTES = 2**20
MAX_CALL_LETTERS = 2**16
MAX_TEXT = 2048
UNKNOWN_LETTER = "\ufffd"
HIDDEN = "..."
ENUMERATED = frozenset({"model", "track", "strategy", "schedule"})
"""Members whose values are one of a few that the gateway knows."""

_STRING = re.compile(rb'"([^"\\]*(?:\\.[^"\\]*)*)"(\s*:)?', re.DOTALL)
_TOKENS = re.compile(rb'"sequence"\s*:\s*\[([\d\s,]+)\]')
_NOT_LETTERS = bytes(code for code in range(256) if not chr(code).isascii() or not chr(code).isalpha())
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_.-]*[A-Za-z0-9])?")
_NUMBER = re.compile(r"\d+(?:\.\d+)?(?:[eE][-+]?\d+)?|\b(?:null|none|nan|inf|mask|bos|eos|pad)\b", re.IGNORECASE)
_CODES = "ala|arg|asn|asp|cys|gln|glu|gly|his|ile|leu|lys|met|phe|pro|ser|thr|trp|tyr|val"
_BY_LOOKS = (
    re.compile(r"[A-Za-z0-9_+/=-]{20,}"),
    re.compile(r"(?:esmgw_|sk-)\S+"),
    re.compile(r"\b(?:bearer|basic)\s+\S+", re.IGNORECASE),
    re.compile(r"(?:token|key|secret|password|authorization)[\"']?\s*[=:]\s*\S{6,}", re.IGNORECASE),
    re.compile(r"[ACDEFGHIKLMNPQRSTVWY_|]{12,}"),
    re.compile(r"[a-f]*\d[0-9a-f]{9,}|[a-f]+\d[0-9a-f]{8,}", re.IGNORECASE),
    re.compile(rf"(?:(?:{_CODES})[^A-Za-z]*){{3,}}", re.IGNORECASE),
    re.compile(rf"\S*{UNKNOWN_LETTER}\S*"),
)
_ENCODED_WORD = re.compile(r"[A-Za-z0-9+/]{8,}={0,2}")
_WORD = re.compile(r"[A-Z]+|(?:[A-Z]?[a-z]{3,})(?:[A-Z][a-z]{2,})*|\d{1,9}|[a-z]+(?:/[a-z]+)*")


def redacted(text: str, call_body: bytes, target: str, secrets: Sequence[str]) -> str:
    """The text with `...` in place of what is not shown; "" where the call is too large to compare with."""
    values = None if len(call_body) > MAX_CALL_BYTES else _Values(call_body, target)
    if values is None or len(values.letters) > MAX_CALL_LETTERS:
        return ""
    for secret in filter(None, secrets):
        text = text.replace(secret, UNKNOWN_LETTER)
    hidden = np.zeros(min(len(text), MAX_TEXT), dtype=bool)
    if len(text) > MAX_TEXT:
        hidden[-40:] = True  # half a word at the cut is not recognised
        text = text[:MAX_TEXT]
    shown = [match.span() for match in _NAME.finditer(text) if match.group() in values.names]
    for start, end in _spans(text, shown, values.letters):
        hidden[start:end] = True
    parts = groupby(zip(text, hidden, strict=True), key=lambda pair: bool(pair[1]))
    kept = "".join(HIDDEN if is_hidden else "".join(letter for letter, _ in part) for is_hidden, part in parts)
    return re.sub(r"\.{3}(?:[\W_]*\.{3})+", HIDDEN, kept)


class _Values:
    """What a call says: the letters of its strings and of its sequence tokens, and the names that may be shown."""

    def __init__(self, call_body: bytes, target: str) -> None:
        texts: list[bytes] = [value.encode() for _, value in parse_qsl(urlsplit(target).query)]
        self.names: set[str] = set()
        name = b""
        for match in _STRING.finditer(call_body):
            value, colon = match.groups()
            if colon:
                name = value
            if colon or name.decode("utf-8", "replace") in ENUMERATED:
                self.names.add(value.decode("utf-8", "replace"))
            else:
                texts.append(_unescaped(value) if b"\\" in value else value)
        texts += map(_residues, _TOKENS.findall(call_body))
        self.letters = b"\n".join(texts).translate(None, _NOT_LETTERS).upper()


def _unescaped(value: bytes) -> bytes:
    try:
        return str(orjson.loads(b'"%b"' % value)).encode()
    except orjson.JSONDecodeError:
        return value


def _residues(tokens: bytes) -> bytes:
    """The letters of sequence tokens; masks and special tokens have none."""
    places = (int(token) - SEQUENCE_OFFSET for token in re.findall(rb"\b\d{1,2}\b", tokens))
    return "".join(SEQUENCE_LETTERS[place] for place in places if 0 <= place < len(SEQUENCE_LETTERS)).encode()


def _spans(text: str, shown: Sequence[tuple[int, int]], letters: bytes) -> Iterator[tuple[int, int]]:
    blank = list(text)
    for start, end in shown:
        blank[start:end] = " " * (end - start)
    rest = "".join(blank)
    yield from _same_letters(rest, letters)
    yield from _numbers(text, shown)
    for pattern in _BY_LOOKS:
        yield from (match.span() for match in pattern.finditer(rest))
    yield from (match.span() for match in _ENCODED_WORD.finditer(rest) if not _WORD.fullmatch(match.group()))


def _same_letters(text: str, letters: bytes) -> Iterator[tuple[int, int]]:
    """Runs of five letters that the call has, too, whatever stands between them."""
    places = [place for place, letter in enumerate(text) if letter.isalpha() and letter.isascii()]
    mine = _grams("".join(text[place] for place in places).upper().encode())
    theirs = _grams(letters)
    known = set(theirs[np.isin(theirs, mine)].tolist())
    for start, gram in enumerate(mine.tolist()):
        if gram in known:
            yield places[start], places[start + GRAM - 1] + 1


def _grams(letters: bytes) -> NDArray[np.int32]:
    """Each run of five capitals as one number."""
    codes = np.frombuffer(letters, dtype=np.uint8).astype(np.int32) - ord("A")
    count = max(0, len(codes) - GRAM + 1)
    grams = np.zeros(count, dtype=np.int32)
    for place in range(GRAM):
        grams = grams * 26 + codes[place : place + count]
    return grams


def _numbers(text: str, shown: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Three numbers or more with no word between them."""
    inside = {place for start, end in shown for place in range(start, end)}
    run: list[tuple[int, int]] = []
    for start, end in [*(match.span() for match in _NUMBER.finditer(text)), (len(text), len(text))]:
        if run and (end == len(text) == start or any(c.isalpha() for c in text[run[-1][1] : start])):
            if len(run) >= 3:
                yield run[0][0], run[-1][1]
            run = []
        if start not in inside:
            run.append((start, end))
