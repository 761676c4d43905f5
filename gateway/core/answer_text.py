"""An answer of the upstream taken apart where it lies: what is a number stays text, what is a text is looked at.

Numbers are never made into objects here, since an answer of 60 MB of them would become 950 MiB. An object is cut into
its members; a member without a quotation mark can hold no text and no further member, and passes as it is. Each of the
others is parsed, and written anew if its text could be understood in two ways (a repeated name). So what is passed on
is what was judged, and nothing beside it.

Three kinds of members:

- `tensor`: numbers that the SDK would unpickle if they were a text (esm/sdk/forge.py, `_maybe_b64_decode`): a text in
  one, at any depth, makes the answer unsafe. The names in `TENSORS` are of this kind wherever the SDK may read them;
- `numbers`: numbers by right; a text in one is odd, and passes (the SDK cannot read it);
- `texts`: texts, and objects of texts.

A member that is not known passes without the texts in it. Control characters are removed from every text that passes:
the SDK prints `warning_messages` as they are (esm/sdk/base_forge_client.py), and a terminal obeys them.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias

import orjson

from gateway.core.strict_json import quotes
from gateway.core.whole_answer import LARGE, Text, count, members_of

Kind = Literal["tensor", "numbers", "texts", "warnings"]
Members: TypeAlias = Mapping[str, "Kind | Members"]
Opened: TypeAlias = dict[str, Any]
"""The members of an object: the text of each, or its members in turn where it was opened."""

WARNINGS: Final = "warning_messages"
TENSORS: Final = frozenset(
    {
        *("logits", "embeddings", "hidden_states", "sae_outputs"),
        *("mean_embedding", "mean_embeddings", "mean_hidden_state", "mean_hidden_states"),
        *("output_embedding_sequence", "output_embedding_pair_pooled"),
    }
)
# C0, C1 and what reorders or hides text (Unicode Cf, Zl, Zp); of these, what ends a line or a column becomes a space.
_CONTROLS = re.compile(
    "[\x00-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]"
)
_SPACES = "\t\n\r\u2028\u2029"


class UnsafeAnswer(Exception):
    """A text where the SDK would unpickle it."""


@dataclass(slots=True)
class TextFindings:
    """What was met on the way: how often something was taken out, whether anything is written in another way, and
    whether numbers were texts."""

    repairs: dict[str, int] = field(default_factory=dict)
    rewritten: bool = False
    has_text: bool = False

    def repaired(self, name: str, times: int = 1) -> None:
        if times:
            self.repairs[name], self.rewritten = self.repairs.get(name, 0) + times, True


def open_object(raw: Text, kinds: Members, found: TextFindings, default: Kind | None = None) -> Opened:
    """The members of an object that may pass. Raises UnsafeAnswer; ValueError for what is no object."""
    members = members_of(raw)
    if members is None:
        raise ValueError
    return open_members(raw, members, kinds, found, default)


def open_members(
    raw: Text, members: Mapping[str, Any], kinds: Members, found: TextFindings, default: Kind | None = None
) -> Opened:
    """The same, of an object that was cut into its members already."""
    opened: Opened = {}
    marks = 0
    for name, value in members.items():
        part = memoryview(value)
        inside = count(part, b'"')
        marks += orjson.dumps(name).count(b'"') + inside
        kind = "tensor" if name in TENSORS else kinds.get(name, default)
        kept = _kept(name, part if len(part) > LARGE else bytes(part), inside, kind, found)
        if kept is not None:
            opened[name] = kept
    # A repeated member is among the members once and in the text twice, with two quotation marks at least.
    found.repaired("repeated", count(raw, b'"') != marks)
    return opened


def written(opened: Opened) -> bytes:
    """The text of an object that was opened."""
    parts = (
        orjson.dumps(name) + b":" + (written(part) if isinstance(part, dict) else part) for name, part in opened.items()
    )
    return b"{" + b",".join(parts) + b"}"


def _kept(name: str, part: Text, inside: int, kind: "Kind | Members | None", found: TextFindings) -> Any:
    """The part, with `inside` quotation marks, as it passes; None if nothing of it does."""
    if kind == "warnings":
        return _warnings(part, found)
    if kind is None and _CONTROLS.search(name):
        found.repaired("strings")
        return None
    if isinstance(kind, Mapping) and part[:1] == b"{":
        return open_object(part, kind, found)
    if not inside:
        return part
    if kind == "tensor":
        return _tensor(part, found)
    if kind is None:
        return _without_texts(part, found)
    found.has_text = found.has_text or kind != "texts"
    return _unambiguous(part, found)


def _tensor(part: Text, found: TextFindings) -> Any:
    if part[:1] == b"{":
        return open_object(part, {}, found, default="tensor")
    if _texts_in(orjson.loads(part)):
        raise UnsafeAnswer
    return _unambiguous(part, found)


def _unambiguous(part: Text, found: TextFindings) -> bytes:
    """The same text, unless two parsers may read two things in it, or a terminal would obey it."""
    part = bytes(part)
    tree, controls = orjson.loads(part), 0
    escaped = b"\\" in part
    if escaped or b"\x7f" in part or not part.isascii():
        tree, controls = _without_controls(tree)
    if part.count(b'"') == quotes(tree) and not controls:
        return part
    anew = orjson.dumps(tree)
    # Each mark that is missing now was a repeated name's, or its value's; escapes are written in one way.
    repeats = anew.count(b'"') < part.count(b'"')
    found.repaired("controls", controls)
    found.repaired("repeated", repeats)
    found.rewritten = found.rewritten or (escaped and anew != part)
    return anew if repeats or controls or escaped else part


def _without_texts(part: Text, found: TextFindings) -> bytes | None:
    tree = orjson.loads(part)
    if isinstance(tree, str):
        found.repaired("strings")
        return None
    dropped = _texts_in(tree)
    if not dropped:
        return _unambiguous(part, found)
    found.repaired("strings", dropped)
    return orjson.dumps(_stripped(tree))


def _warnings(part: Text, found: TextFindings) -> Text | None:
    """The texts of a list; whatever else it is, the SDK would fail on it or print what nobody has read."""
    given = orjson.loads(part)
    if given is None:
        return part
    texts = [text for text in given if isinstance(text, str)] if isinstance(given, list) else []
    dropped = len(given) - len(texts) if isinstance(given, list) else 1
    cleaned, controls = _without_controls(texts)
    found.repaired("strings", dropped)
    found.repaired("controls", controls)
    if not isinstance(given, list):
        return None
    return orjson.dumps(cleaned) if dropped or controls else part


def _texts_in(tree: Any) -> int:
    """How many texts are in a value; names of members are none."""
    count, left = 0, [tree]
    while left:
        value = left.pop()
        if isinstance(value, str):
            count += 1
        elif isinstance(value, dict):
            left.extend(value.values())
        elif isinstance(value, list):
            left.extend(value)
    return count


def _stripped(tree: Any) -> Any:
    if isinstance(tree, dict):
        return {name: _stripped(value) for name, value in tree.items() if not isinstance(value, str)}
    if isinstance(tree, list):
        return [_stripped(value) for value in tree if not isinstance(value, str)]
    return tree


def _without_controls(tree: Any) -> tuple[Any, int]:
    """The value with clean texts, and how many were not."""
    if isinstance(tree, str):
        clean = _CONTROLS.sub(lambda found: " " if found[0] in _SPACES else "", tree)
        return clean, clean != tree
    if isinstance(tree, list):
        pairs = [_without_controls(value) for value in tree]
        return [value for value, _ in pairs], sum(count for _, count in pairs)
    if isinstance(tree, dict):
        named = {name: _without_controls(value) for name, value in tree.items()}
        return {name: value for name, (value, _) in named.items()}, sum(count for _, count in named.values())
    return tree, 0
