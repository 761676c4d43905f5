"""The table of docs/metrics.md, made from core.metrics. The prose around it is written by hand."""

from gateway.core.metrics import METRICS

START = "<!-- table: made by grafana/generate.py -->\n"
END = "<!-- end of table -->\n"


def with_table(page: str) -> str:
    """The page with the table as it should be."""
    before, rest = page.split(START)
    after = rest.split(END)[1]
    return f"{before}{START}\n{_table()}\n{END}{after}"


def _table() -> str:
    rows = ["| metric | kind | labels | meaning |", "|---|---|---|---|"]
    for metric in METRICS:
        labels = ", ".join(f"`{label}`" for label in metric.labels) or "none"
        rows.append(f"| `{metric.name}` | {metric.kind} | {labels} | {metric.help} |")
    return "\n".join(rows) + "\n"
