"""The upstream's own words about a refusal, made fit for a log line and for `detail`: short, plain, and not the call.

Read from the members in which JSON APIs put it: `error`, `message`, `detail` (FastAPI: a list of faults with `loc` and
`msg`), `title` (RFC 9457). What of it could be the caller's protein, a number track or a credential becomes `...`
(`core/redaction.py`). Where that cannot be made sure the reason is empty: better none than one that quotes a call.

It does not decide what a refusal means (`core/retry.py`) and does not translate.
"""

import html
import re
import unicodedata
from collections.abc import Iterator, Sequence
from typing import Any

import orjson

from gateway.core.redaction import UNKNOWN_LETTER, redacted

MAX_ANSWER_BYTES = 64 * 2**10
MAX_REASON = 200
MEMBERS = ("error", "message", "detail", "msg", "reason", "title")
_DEEPEST = 5
_MOST_PARTS = 8
# Escapes that a terminal obeys (ECMA-48): control sequences, operating system commands, single characters.
_ESCAPES = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x9b[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b.?")
_ENCODED = re.compile(r"\\+u([0-9a-fA-F]{4})|\\+x([0-9a-fA-F]{2})|%([0-9a-fA-F]{2})")
_PAGE = re.compile(r"<\s*(?:html|head|body|!doctype)\b|<!--", re.IGNORECASE)
# Cyrillic and Greek capitals and small letters that look like Latin ones (Unicode TR 39), and typographic signs.
_LOOK_ALIKES = str.maketrans(
    "АВЕКМНОРСТУХІЈЅԚԜԌаеорсухіјѕһԛԝΑΒΕΖΗΙΚΜΝΟΡΤΥΧοιν‘’‚“”„–—−‐‑…",
    "ABEKMHOPCTYXIJSQWGaeopcyxijshqwABEZHIKMNOPTYXoiv'''\"\"\"-----.",
)


def short_reason(
    body: bytes, media_type: str, call_body: bytes, *, target: str = "", secrets: Sequence[str] = ()
) -> str:
    """At most 200 printable ASCII characters, or "" where the answer gives no reason or none that is safe to show.

    `call_body` and `target` (path and query) are what was sent; `secrets` are never shown, whatever they look like.
    """
    text = _plain("; ".join(dict.fromkeys(_texts(_tree(body, media_type)))))
    if not text or _PAGE.search(text):
        return ""
    shown = redacted(text, call_body, target, secrets)
    if not any(letter.isalpha() for letter in shown):
        return ""
    return shown if len(shown) <= MAX_REASON else shown[: MAX_REASON - 3].rstrip() + "..."


def _tree(body: bytes, media_type: str) -> Any:
    plain = media_type.partition(";")[0].strip().lower()
    is_json = plain == "application/json" or (plain.startswith("application/") and plain.endswith("+json"))
    if not is_json or len(body) > MAX_ANSWER_BYTES:
        return None
    try:
        return orjson.loads(body)  # refuses what is nested too deeply
    except orjson.JSONDecodeError:
        return None


def _texts(tree: Any, depth: int = 0) -> Iterator[str]:
    """The sentences of an error answer, in the order of `MEMBERS`."""
    if isinstance(tree, str):
        yield tree
    elif depth > _DEEPEST:
        return
    elif isinstance(tree, list):
        for item in tree[:_MOST_PARTS]:
            yield from _texts(item, depth + 1)
    elif isinstance(tree, dict):
        place = _place(tree.get("loc"))
        for name in MEMBERS:
            for text in _texts(tree.get(name), depth + 1):
                yield f"{place}: {text}" if place else text


def _place(loc: Any) -> str:
    """Where a fault is, as FastAPI says it: ["body", "inputs", "sequence", 3]."""
    if not isinstance(loc, list):
        return ""
    return ".".join(str(step) for step in loc[:_MOST_PARTS] if isinstance(step, str | int))


def _plain(text: str) -> str:
    """One line of ASCII; letters of other scripts become `UNKNOWN_LETTER`, other signs a blank."""
    text = _ESCAPES.sub("", _decoded(_ESCAPES.sub("", text)))
    text = unicodedata.normalize("NFKC", text).translate(_LOOK_ALIKES)
    return " ".join("".join(map(_ascii, unicodedata.normalize("NFKD", text))).split())


def _decoded(text: str) -> str:
    """What is left when the escapes of JSON, URLs and HTML are undone: a sequence may hide behind them."""
    for _ in range(3):
        plain = _ENCODED.sub(_character, html.unescape(text))
        if plain == text:
            break
        text = plain
    return text


def _character(escape: re.Match[str]) -> str:
    return chr(int(next(filter(None, escape.groups())), 16))


def _ascii(character: str) -> str:
    if character.isascii():
        return character if character.isprintable() else " "
    # Format characters and combining marks take no room: without them a word stays whole, and is recognised.
    category = unicodedata.category(character)
    if category in ("Cf", "Mn", "Me"):
        return ""
    return UNKNOWN_LETTER if category[0] in "LNC" else " "
