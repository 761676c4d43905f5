"""Whatever in docs/ and deploy/ is generated from the code is what the code says. `make docs` writes all of it."""

import subprocess
import sys
from pathlib import Path

from gateway.cli.config import PAGES

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "docs" / "generate_pages.py"


def test_no_generated_page_is_out_of_date() -> None:
    done = subprocess.run([sys.executable, SCRIPT, "--check"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_every_format_is_somewhere_in_the_docs() -> None:
    named = SCRIPT.read_text("utf-8")
    assert [name for name in PAGES if f'"{name}"' not in named] == []


def test_make_docs_runs_every_generator() -> None:
    recipe = (ROOT / "Makefile").read_text("utf-8").split("\ndocs:")[1].split("\n\n")[0]
    assert "docs/generate_pages.py" in recipe
    assert "grafana/generate.py" in recipe
