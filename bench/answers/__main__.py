"""`python -m bench.answers`: mutated answers of every endpoint, 10,000 each. Exit status 1 for any violation."""

import sys
from collections import Counter

import click

from bench.answers.fuzz import FuzzResult, fuzzed, unmutated
from gateway import endpoints


@click.command()
@click.option("--each", default=10_000, show_default=True, type=click.IntRange(1), help="Answers of each endpoint.")
@click.option("--seed", default=1, show_default=True, help="Of chance: the same gives the same answers.")
@click.option("--endpoint", "names", multiple=True, help="Of these endpoints alone.")
def main(each: int, seed: int, names: tuple[str, ...]) -> None:
    """What a mutated answer is taken for, and whether that is safe and true."""
    faults = unmutated()
    for endpoint in endpoints.ENDPOINTS:
        if names and endpoint.name not in names:
            continue
        found = fuzzed(endpoint.name, each, seed)
        faults += found.faults
        click.echo(_line(endpoint.name, found))
    for fault in faults[:20]:
        click.echo(f"VIOLATION {fault}")
    click.echo(f"{len(faults)} violations")
    sys.exit(bool(faults))


def _line(name: str, found: FuzzResult) -> str:
    verdicts: Counter[str] = found.verdicts
    counts = "  ".join(f"{verdict} {verdicts[verdict]:6}" for verdict in ("fit", "doubtful", "unsafe", "broken"))
    return f"{name:20} {counts}  {found.seconds:5.1f} s"


if __name__ == "__main__":
    main()
