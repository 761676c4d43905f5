"""The transcript in the README is what happens: the same commands against a fresh demo."""

import json
import re
import shlex
import subprocess
from pathlib import Path

from tests.e2e.product import demo

README = Path(__file__).resolve().parents[2] / "README.md"


def transcript() -> str:
    return README.read_text("utf-8").split("<!-- transcript")[1].split("<!-- /transcript -->")[0]


def commands(url: str, key: str) -> list[list[str]]:
    """The three commands; the second repeats the first, the third changes its sequence."""
    text = transcript()
    first = text.split("$ curl", 1)[1].split("\nHTTP/1.1")[0]
    line = ("curl" + first).replace("\\\n", " ")
    words = shlex.split(line.replace("$KEY", key).replace("http://127.0.0.1:8080", url))
    changed = re.search(r'\("sequence": (\[[0-9, ]+\])\)', text)
    assert changed is not None
    third = [re.sub(r'"sequence": \[[0-9, ]+\]', f'"sequence": {changed.group(1)}', word) for word in words]
    return [words, words, third]


def shown() -> list[tuple[str, str]]:
    """Header section and first body line of each answer in the transcript."""
    answers = []
    for block in transcript().split("\nHTTP/1.1 ")[1:]:
        head, _, body = block.partition("\n\n")
        answers.append((f"HTTP/1.1 {head}", "" if body.startswith("$") else body.split("\n$")[0]))
    return answers


def as_pattern(head: str) -> str:
    """A header section in which `...` is one or more lines, and digits at the end of a line or after ttl= are any."""
    lines = (
        r"[^\n]+(?:\n[^\n]+)*" if line == "..." else re.sub(r"\d+$|(?<=ttl=)\d+", r"\\d+", re.escape(line))
        for line in head.splitlines()
    )
    return "\n".join(lines)


def test_the_readme_shows_what_a_newcomer_sees(tmp_path: Path) -> None:
    with demo(tmp_path / "d") as product:
        answers = [
            subprocess.run(command, capture_output=True, text=True, check=True).stdout
            for command in commands(product.url, str(product.said["key"]))
        ]
    assert len(shown()) == 3
    for answer, (said, body) in zip(answers, shown(), strict=True):
        head, _, got = answer.replace("\r\n", "\n").partition("\n\n")
        assert re.fullmatch(as_pattern(said), head), (said, head)
        pieces = [piece for piece in re.split(r"\.\.\.|\n", body.split("\n\n")[0].split("```")[0]) if piece.strip()]
        assert all(piece.strip() in got for piece in pieces), got
        json.loads(got)
