"""Warnings to the caller: which one an answer deserves, and how it is put into `warning_messages`.

The SDK prints every text of `warning_messages` in red (esm/sdk/base_forge_client.py). There are two topics: a call at
temperature 0 that is not reproducible, and a namespace that repeats an answer which would differ upstream, on every
endpoint that draws. A frozen namespace adds no warning: it returns the recorded bytes. The member is inserted as bytes,
so every other byte of the answer, numbers and their spelling included, is unchanged. How often a caller is warned is
decided in `flow/caller_warnings.py`.
"""

import re
from collections.abc import Iterator
from typing import Any, Literal

import orjson

from gateway.core.cache_plan import CachePlan
from gateway.core.types import Call, DeterminismClass
from gateway.core.whole_answer import is_object, members_of

Topic = Literal["pinned", "recorded"]
TOPICS: tuple[Topic, ...] = ("pinned", "recorded")
MEMBER = "warning_messages"
_TOKEN = re.compile(rb'"(?:[^"\\]++|\\.)*+"|[\[\]{}]', re.DOTALL)
_COLON = re.compile(rb"[ \t\r\n]*:[ \t\r\n]*")
_BETWEEN = b" \t\r\n,"
_TAIL, _SLICE = 256, 2**19


def warning_topic(plan: CachePlan, call: Call, *, from_cache: bool) -> Topic | None:
    """The warning that the answer to this call deserves, if any."""
    if plan.namespace is None:
        pinned = call.determinism.cls is DeterminismClass.PINNED and call.endpoint == "generate_tensor"
        return "pinned" if pinned else None
    repeats = call.draws is DeterminismClass.SAMPLED and from_cache and plan.directives.sample is None
    return "recorded" if repeats and not plan.frozen else None


def warning_text(topic: Topic, plan: CachePlan, call: Call) -> str:
    """The text that the SDK prints."""
    if topic == "pinned":
        why, remedy = call.determinism.reason, call.determinism.remedy
        return f"esm-gateway: temperature 0 does not make this call reproducible ({why}): {remedy}."
    name = plan.namespace
    return (
        f"esm-gateway: this is the first answer to this call, stored in the namespace {name}; the directives "
        f"sample=next, run=TOKEN get a new one at each repeat, "
        f"Cache-Control: namespace={name}, sample=2 asks for another one."
    )


def with_warning(body: bytes, text: str) -> bytes | None:
    """The answer with one more text in `warning_messages`; None if it is no answer, or its texts are not a list.

    Of most endpoints the answer is an object with `outputs`; of the others (fold, inverse_fold, forward_and_sample) it
    is an object with members of its own.
    """
    members = members_of(body)
    if members is not None and MEMBER not in members and is_object(members.get("outputs", b"")):
        # As almost always: nothing but the end of the answer has to be found.
        return _insert(body, len(body.rstrip()) - 1, b',"' + MEMBER.encode() + b'":[' + orjson.dumps(text) + b"]")
    try:
        tree: Any = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    begins, ends, tree = _answer_object(body, tree)
    if not isinstance(tree, dict) or not tree or not isinstance(tree.get("outputs", {}), dict):
        return None
    texts, new = tree.get(MEMBER), orjson.dumps(text)
    if MEMBER not in tree:
        return _insert(body, ends - 1, b',"' + MEMBER.encode() + b'":[' + new + b"]")
    # If a name is repeated, JSON parsers take the last.
    starts, stops = [span for name, *span in _members(body, begins) if name == MEMBER][-1]
    if texts is None:
        return body[:starts] + b"[" + new + b"]" + body[stops:]
    if not isinstance(texts, list):
        return None
    return _insert(body, stops - 1, (b"," if texts else b"") + new)


def with_warning_at_end(body: bytes, text: str) -> bytes | None:
    """The same for a large answer, without a look at its members: the text is appended to a whole, non-empty object.

    None where the object is empty, or where the name of the member is anywhere in it: it may be there already. Runs in
    a thread; it never holds the interpreter lock for longer than a copy takes.
    """
    tail, name = len(body) - len(body[-_TAIL:]) + len(body[-_TAIL:].rstrip()), MEMBER.encode()
    whole = body[tail - 1 : tail] == b"}" and body[:_TAIL].lstrip()[:1] == b"{" and len(body) > _TAIL
    if not whole or any(
        body.find(name, at, at + _SLICE + len(name)) >= 0 or body.find(b"\\u", at, at + _SLICE + 2) >= 0
        for at in range(0, len(body), _SLICE)
    ):
        return None
    more = b',"' + name + b'":[' + orjson.dumps(text) + b"]}"
    return b"".join((body[: tail - 1], more))


def _answer_object(body: bytes, tree: Any) -> tuple[int, int, Any]:
    """Begin, end and value of the object that the SDK reads: older front ends wrap the answer in `data`."""
    begins, ends = body.find(b"{"), len(body.rstrip())
    if isinstance(tree, dict) and "outputs" not in tree and "data" in tree:
        begins, ends = [span for name, *span in _members(body, begins) if name == "data"][-1]
        tree = tree["data"]
    return begins, ends, tree


def _insert(body: bytes, at: int, more: bytes) -> bytes:
    return body[:at] + more + body[at:]


def _members(body: bytes, begins: int) -> Iterator[tuple[str, int, int]]:
    """The members of the object that begins here, each with begin and end of its value; the JSON is valid."""
    depth, name, starts = 0, "", 0
    for token in _TOKEN.finditer(body, begins):
        kind = token[0][:1]
        if kind in b"[{":
            depth += 1
        elif kind in b"]}":
            depth -= 1
        colon = _COLON.match(body, token.end()) if kind == b'"' and depth == 1 else None
        if (colon is not None or depth == 0) and starts:
            yield name, starts, starts + len(body[starts : token.start()].rstrip(_BETWEEN))
        if depth == 0:
            return
        if colon is not None:
            name, starts = orjson.loads(token[0]), colon.end()
