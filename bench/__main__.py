"""`python -m bench` (`make bench`): measure, print ratios, keep the figures as JSON.

Exit status 0 whether or not the bars are met; 1 where nothing could be measured.
"""

import asyncio
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import orjson

from bench import report
from bench.bodies import BODIES
from bench.processes import BrokenError
from bench.rounds import CacheStats, Scope, opened

RESULTS = Path(__file__).parent / "results"
PAGE = Path(__file__).parents[1] / "docs" / "performance.md"
BEGIN, END = "<!-- figures: made by python -m bench --latest -->", "<!-- end of figures -->"


@click.command()
@click.option("--quick", is_flag=True, help="Two short rounds: to see that it works, not to judge by.")
@click.option("--rounds", type=click.IntRange(1), help="Default 5; an odd number, so that a median is a measurement.")
@click.option("--seconds", type=click.FloatRange(0.01), help="Of each measurement; default 0.7.")
@click.option("--connections", "connections", multiple=True, type=click.IntRange(1), default=(1, 16, 64))
@click.option("--body", "bodies", multiple=True, type=click.Choice(list(BODIES)), default=tuple(BODIES))
@click.option("--results", type=click.Path(file_okay=False, path_type=Path), default=RESULTS, help="Where JSON goes.")
@click.option("--latest", is_flag=True, help="Also as latest.json and in docs/performance.md: what is committed.")
def main(
    quick: bool,
    rounds: int | None,
    seconds: float | None,
    connections: tuple[int, ...],
    bodies: tuple[str, ...],
    results: Path,
    latest: bool,
) -> None:
    """What the gateway costs beside a bare aiohttp server and beside the upstream alone, in one run."""
    scope = Scope(rounds or (2 if quick else 5), seconds or (0.2 if quick else 0.7), connections, bodies)
    began = time.monotonic()
    try:
        seen = asyncio.run(measured(scope))
    except BrokenError as error:
        raise click.ClickException(str(error)) from None
    result = report.as_json(seen, scope, began)
    click.echo(report.as_text(result))
    text = orjson.dumps(result, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
    results.mkdir(parents=True, exist_ok=True)
    kept = results / f"{datetime.now(UTC):%Y-%m-%d}.local.json"
    kept.write_bytes(text)
    if latest:
        (results / "latest.json").write_bytes(text)
        PAGE.write_text(with_figures(PAGE.read_text(), result))
    click.echo(f"\n{result['took_s']:.0f} s; figures in {kept}")


def with_figures(page: str, result: dict[str, Any]) -> str:
    """The page with these figures in place of the ones that it has."""
    before, rest = page.split(BEGIN)
    _, after = rest.split(END)
    return f"{before}{BEGIN}\n\n```text\n{report.as_text(result)}\n```\n\n{END}{after}"


async def measured(scope: Scope) -> list[CacheStats]:
    seen: list[CacheStats] = []
    total = scope.rounds * len(scope.bodies) * len(scope.connections) * 4
    async with opened(scope) as bench:
        async for one in bench.rounds():
            seen.append(one)
            if sys.stderr.isatty():
                click.echo(f"\r{len(seen)} of {total} ", nl=False, err=True)
    return seen


if __name__ == "__main__":
    main()
