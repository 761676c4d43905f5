"""docs/problems.md lists exactly the problems there are."""

import re
from pathlib import Path

from gateway.core.problems import PROBLEM_TYPES

PAGE = Path(__file__).resolve().parents[2] / "docs" / "problems.md"


def test_every_problem_stands_in_the_docs_with_its_status_and_no_other_does() -> None:
    rows = re.findall(r"^\| `([a-z-]+)` \| (\d{3}) \| (.+?) \|", PAGE.read_text("utf-8"), re.MULTILINE)
    assert [(slug, int(status), title) for slug, status, title in rows] == [
        (kind.slug, kind.status, kind.title) for kind in PROBLEM_TYPES
    ]
