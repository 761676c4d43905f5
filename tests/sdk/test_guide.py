"""The lines for a notebook in docs/caching.md do, with the real SDK, what the guide says of them."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from esm.sdk.api import GenerationConfig

from tests.sdk.likeness import content
from tests.sdk.product import Product
from tests.sdk.prompts import STEPS, prompt

GUIDE = (Path(__file__).resolve().parents[2] / "docs" / "caching.md").read_text("utf-8")
SNIPPET = re.search(r"```python\n(from esm\.sdk import client\n.*?)```", GUIDE, re.DOTALL)


@contextmanager
def notebook(product: Product) -> Iterator[dict[str, Any]]:
    """What stands after the guide's own lines have been run, with this gateway's address and key."""
    assert SNIPPET is not None
    names: dict[str, Any] = {}
    lines = SNIPPET[1].replace("http://gateway:8080", product.url).replace("esmgw_...", product.key)
    exec(lines, names)  # the guide's own, from this repository
    with names["model"]:
        yield names


def test_everybody_gets_the_same_third_sample_and_a_receipt_for_it(product: Product) -> None:
    with notebook(product) as one, notebook(product) as other:
        asked = prompt("ubiquitin", "sequence"), GenerationConfig(track="sequence", num_steps=STEPS, temperature=0.7)
        same = [each["model"].generate(*asked) for each in (one, other, one)]
        assert len({repr(content(each)) for each in same}) == 1
        receipts = [headers["X-Gateway-Receipt"] for each in (one, other) for headers in each["answers"]]
        assert len(receipts) == 3
        assert len(set(receipts)) == 1
        one["model"].headers["Cache-Control"] = "pool=lab, sample=4"
        assert content(one["model"].generate(*asked)) != content(same[0])
    auth = {"Authorization": f"Bearer {product.key}"}
    told = httpx.get(f"{product.url}/gateway/v1/receipts/{receipts[0]}", headers=auth)
    assert (told.status_code, told.json()["determinism"]) == (200, "sampled")
