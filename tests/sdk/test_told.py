"""What a scientist is told in their own terminal, in red, and only once."""

import pytest

from tests.sdk.conftest import Connect
from tests.sdk.product import Product
from tests.sdk.prompts import greedy, prompt

RED = "\033[31m"


def test_temperature_0_that_does_not_reproduce_shows_up_in_red_with_what_to_change(
    connect: Connect, product: Product, capsys: pytest.CaptureFixture[str]
) -> None:
    sdk = connect(product.approved_key)  # nobody else asks with this one for what is drawn
    drawn = greedy("sequence")
    drawn.strategy = "random"
    first = sdk.generate(prompt("insulin", "sequence"), drawn)
    said = capsys.readouterr().out
    assert said.count(RED) == 1
    assert "temperature 0 does not make this call reproducible" in said
    assert 'set "strategy": "entropy"' in said
    second = sdk.generate(prompt("insulin", "sequence"), drawn)
    assert RED not in capsys.readouterr().out
    assert second.sequence.tolist() == first.sequence.tolist()
