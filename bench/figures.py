"""Figures of one program as JSON under bench/results, and as a section of docs/performance.md between two marks."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

RESULTS = Path(__file__).parent / "results"
PAGE = Path(__file__).parents[1] / "docs" / "performance.md"


def kept(name: str, result: dict[str, Any], text: str, *, latest: bool, results: Path = RESULTS) -> Path:
    """Where they went. `latest`: also as `<name>.json` and on the page, which are committed."""
    results.mkdir(parents=True, exist_ok=True)
    written = orjson.dumps(result, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
    path = results / f"{name}-{datetime.now(UTC):%Y-%m-%d}.local.json"
    path.write_bytes(written)
    if latest:
        (results / f"{name}.json").write_bytes(written)
        PAGE.write_text(with_section(PAGE.read_text(), name, text))
    return path


def with_section(page: str, name: str, text: str) -> str:
    """The page with this text in place of the one that it has between the marks of `name`."""
    begin, end = f"<!-- figures: made by python -m bench.{name} --latest -->", f"<!-- end of {name} -->"
    before, rest = page.split(begin)
    _, after = rest.split(end)
    return f"{before}{begin}\n\n```text\n{text}\n```\n\n{end}{after}"
