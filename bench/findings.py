"""What was promised and what was measured, as rows of a table."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

ANY: Final = float("inf")


@dataclass(frozen=True, slots=True)
class Finding:
    """It holds where the measured lies between the two bounds, both included."""

    where: str
    what: str
    measured: float
    at_least: float
    at_most: float
    note: str = ""

    @property
    def holds(self) -> bool:
        return self.at_least <= self.measured <= self.at_most


def as_rows(findings: Iterable[Finding]) -> list[dict[str, Any]]:
    """For JSON, which has no infinity: null is no upper bound, or never."""
    rows = [{**asdict(each), "holds": each.holds} for each in findings]
    return [{name: None if value == ANY else value for name, value in row.items()} for row in rows]


def as_text(rows: Sequence[Mapping[str, Any]]) -> str:
    lines = [f"{'':10}{'':62}{'measured':>9}  bounds"]
    for row in rows:
        low, high = row["at_least"], row["at_most"]
        bounds = f"no less than {low:.3g}" if high is None else f"{low:.3g} to {high:.3g}"
        measured = "never" if row["measured"] is None else f"{row['measured']:.4g}"
        verdict = "held    " if row["holds"] else "NOT HELD"
        note = f"  ({row['note']})" if row["note"] else ""
        lines.append(f"{row['where']:10}{row['what']:62}{measured:>9}  {bounds:17} {verdict}{note}".rstrip())
    return "\n".join(lines)


def all_hold(rows: Iterable[Mapping[str, Any]]) -> bool:
    return all(row["holds"] for row in rows)
