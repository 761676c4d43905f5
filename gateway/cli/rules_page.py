"""The rules by which calls are one as tables to read, written from the rules themselves: a part of docs/caching.md."""

from collections.abc import Iterator

from gateway.core.rules import RULES, Level, Rule
from gateway.core.tracks import GENERATED

BEGIN, END = "<!-- rules: written by `esm-gateway config reference --format rules` -->", "<!-- end of rules -->"
_HEADS: dict[Level, str] = {
    "wire": "### Level `wire`: what no upstream could tell apart",
    "sampler": "### Level `sampler`: what the published sampler provably ignores",
}


def as_markdown() -> str:
    """The tables with the markers around them."""
    return "\n".join([BEGIN, *_tables(), "", END, ""])


def _tables() -> Iterator[str]:
    for level, head in _HEADS.items():
        yield from ("", head, "", "| rule | what | condition | evidence |", "|---|---|---|---|")
        yield from (_row(rule) for rule in RULES if rule.level == level)


def _row(rule: Rule) -> str:
    tracks = "" if tuple(rule.tracks) == tuple(GENERATED) else f" Generated: {', '.join(rule.tracks)}."
    condition = rule.condition[:1].upper() + rule.condition[1:]
    return f"| `{rule.name}` | {rule.what} | {condition}.{tracks} | {rule.evidence}. `{rule.where}` |"
