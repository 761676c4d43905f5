"""Write the dashboards; with --check, say which differ from what is committed. `make docs` runs it."""

import sys
from pathlib import Path

from board import made
from cache import CACHE_BOARD
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from overview import OVERVIEW

HERE = Path(__file__).resolve().parent
DASHBOARDS = {"overview": OVERVIEW, "cache": CACHE_BOARD}


def wanted() -> dict[Path, str]:
    """The content that each file should have."""
    encoder = JSONEncoder(sort_keys=True, indent=2)
    return {
        HERE / "dashboards" / f"{name}.json": f"{encoder.encode(made(board))}\n" for name, board in DASHBOARDS.items()
    }


def main(arguments: list[str]) -> int:
    stale = {path: text for path, text in wanted().items() if not path.exists() or path.read_text() != text}
    if "--check" in arguments:
        for path in stale:
            print(f"{path.relative_to(HERE.parent)} is out of date; run: make docs", file=sys.stderr)
        return 1 if stale else 0
    for path, text in stale.items():
        path.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
