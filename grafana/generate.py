"""Write the dashboards; with --check, say which differ from what is committed. `make docs` runs it."""

import sys
from pathlib import Path

from board import Board, made
from cache import CACHE_BOARD
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from overview import OVERVIEW
from rest import with_rest

HERE = Path(__file__).resolve().parent
DASHBOARDS = {"overview": OVERVIEW, "cache": CACHE_BOARD}
RULES = HERE.parent / "deploy" / "prometheus" / "rules.yml"


def wanted() -> dict[Path, str]:
    """What each file should hold."""
    shown = " ".join([RULES.read_text(), *map(_text, DASHBOARDS.values())])
    return {
        HERE / "dashboards" / f"{name}.json": _text(with_rest(board, board is CACHE_BOARD, shown))
        for name, board in DASHBOARDS.items()
    }


def _text(board: Board) -> str:
    return f"{JSONEncoder(sort_keys=True, indent=2).encode(made(board))}\n"


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
