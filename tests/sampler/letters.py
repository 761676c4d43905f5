"""Writes random bodies of `generate` in letters and whether the gateway refuses them, one JSON line each.

    python -m tests.sampler.letters FILE [--cases 400]

Needs the gateway's environment. Function annotations are left out: their vocabulary must be downloaded.
"""

import argparse
import json
from pathlib import Path
from random import Random

from gateway.core.problems import Problem
from tests.endpoints.examples import Json, call
from tests.endpoints.random_bodies import body


def case(dice: Random) -> Json:
    """A body, and the pointers at which it is refused."""
    made = body("generate", dice)
    made["inputs"].pop("function", None)
    made["inputs"] = made["inputs"] or {"sequence": "AC_E__"}
    try:
        call("generate", made)
    except Problem as problem:
        return {"body": made, "refused": [error.pointer for error in problem.errors]}
    return {"body": made, "refused": []}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("file", type=Path)
    parser.add_argument("--cases", type=int, default=400)
    asked = parser.parse_args()
    dice = Random("letters")
    asked.file.write_text("".join(json.dumps(case(dice)) + "\n" for _ in range(asked.cases)))


if __name__ == "__main__":
    main()
