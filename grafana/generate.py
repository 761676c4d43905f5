"""Write what is made from code: the dashboard and the table of docs/metrics.md; with --check, say whether they differ.

`python grafana/generate.py` after a change of a panel, of a metric or of a problem.
"""

import sys
from pathlib import Path

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from metrics_page import with_table
from overview import overview

HERE = Path(__file__).resolve().parent
DASHBOARD = HERE / "dashboards" / "overview.json"
PAGE = HERE.parent / "docs" / "metrics.md"


def wanted() -> dict[Path, str]:
    """What each file should hold."""
    board = str(JSONEncoder(sort_keys=True, indent=2).encode(overview())) + "\n"
    return {DASHBOARD: board, PAGE: with_table(PAGE.read_text())}


def main(arguments: list[str]) -> int:
    stale = {path: text for path, text in wanted().items() if not path.exists() or path.read_text() != text}
    if "--check" in arguments:
        for path in stale:
            print(f"{path.relative_to(HERE.parent)} is out of date; run: python grafana/generate.py", file=sys.stderr)
        return 1 if stale else 0
    for path, text in stale.items():
        path.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
