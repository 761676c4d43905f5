"""Write what is generated from the code into docs/ and deploy/; with --check, say which files are out of date.

A page either is generated whole, or has a part between the markers `<!-- NAME: written by make docs -->` and
`<!-- end of NAME -->`; what is around it is written by hand. `make docs` runs this.
"""

import sys
from pathlib import Path

from gateway.cli.config import PAGES

ROOT = Path(__file__).resolve().parents[1]
FILES = {
    "deploy/esm-gateway.toml": "toml",
    "docs/settings.md": "settings",
    "docs/commands.md": "commands",
    "docs/endpoints.md": "endpoints",
    "docs/problems.md": "problems",
    "docs/metrics.md": "metrics",
    "docs/audit.md": "audit",
    "docs/caching.md": "rules",
}


def wanted(path: Path, name: str) -> str:
    """What the file should hold."""
    begin, end = f"<!-- {name}: written by make docs -->\n", f"<!-- end of {name} -->\n"
    page = path.read_text("utf-8") if path.exists() else ""
    if begin not in page:
        return PAGES[name]()
    before, rest = page.split(begin)
    return f"{before}{begin}\n{PAGES[name]()}\n{end}{rest.split(end)[1]}"


def main(arguments: list[str]) -> int:
    texts = {ROOT / file: wanted(ROOT / file, name) for file, name in FILES.items()}
    stale = {path: text for path, text in texts.items() if not path.exists() or path.read_text("utf-8") != text}
    if "--check" in arguments:
        for path in stale:
            print(f"{path.relative_to(ROOT)} is out of date; run: make docs", file=sys.stderr)
        return 1 if stale else 0
    for path, text in stale.items():
        path.write_text(text, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
