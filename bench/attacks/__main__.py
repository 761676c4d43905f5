"""`python -m bench.attacks [NAME ...]`: attacks by one caller, and what another user feels beside them.

A name is an attack or the beginning of some (`crashing`, `bodies/`). Exit status 1 where a bar was missed.
"""

import resource
from pathlib import Path
from typing import Any

import click
import uvloop

from bench import figures
from bench.attacks.catalogue import ATTACKS
from bench.attacks.course import Plan, tried
from bench.attacks.verdict import HEAD, as_text, judged
from bench.processes import BrokenError
from bench.report import machine
from bench.served import parsed_settings

SHAPE = 1
# The soft limit of an ordinary shell, which the gateway is started with.
SHELL_DESCRIPTORS = 1024


def chosen(names: tuple[str, ...]) -> list[str]:
    """The attacks of these names or beginnings, all of them without any."""
    unknown = [name for name in names if not any(attack.startswith(name) for attack in ATTACKS)]
    if unknown:
        raise click.ClickException(f"no such attack: {', '.join(unknown)}; see --list")
    exact = [name for name in names if name in ATTACKS]
    begun = tuple(name for name in names if name not in ATTACKS)
    return [attack for attack in ATTACKS if not names or attack in exact or (begun and attack.startswith(begun))]


def like_a_shell() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(SHELL_DESCRIPTORS, hard), hard))


async def measured(names: list[str], plan: Plan, settings: dict[str, Any]) -> list[dict[str, Any]]:
    results = []
    click.echo(HEAD, err=True)
    for name in names:
        results.append(judged(await tried(ATTACKS[name], plan, settings)))
        click.echo(as_text(results[-1:]).partition("\n")[2], err=True)
    return results


@click.command()
@click.argument("names", nargs=-1)
@click.option("--baseline-s", default=8.0, show_default=True, help="Seconds without the attack.")
@click.option("--seconds", default=20.0, show_default=True, help="Seconds beside it.")
@click.option("--rate", default=20.0, show_default=True, help="Cold calls a second, and as many hits.")
@click.option("--workers", default=2, show_default=True)
@click.option("--memory-mb", default=640.0, show_default=True, help="MiB that one worker may take (docs/operating.md).")
@click.option("--set", "settings", multiple=True, metavar="NAME=VALUE", help="A setting of the gateway.")
@click.option("--list", "listing", is_flag=True, help="Only say which attacks there are.")
@click.option("--latest", is_flag=True, help="Also as attacks.json and in docs/performance.md: what is committed.")
@click.option("--results", default=figures.RESULTS, type=click.Path(path_type=Path), help="Where figures go.")
def main(
    names: tuple[str, ...], settings: tuple[str, ...], results: Path, *, listing: bool, latest: bool, **numbers: Any
) -> None:
    """One caller attacks; another user is watched."""
    run = chosen(names)
    if listing:
        click.echo("\n".join(f"{name:34}{ATTACKS[name].about}" for name in run))
        return
    like_a_shell()
    try:
        told = uvloop.run(measured(run, Plan(**numbers), parsed_settings(settings)))
    except BrokenError as error:
        raise click.ClickException(str(error)) from None
    text = as_text(told)
    click.echo(text)
    result = {"shape": SHAPE, "machine": machine(), "attacks": told}
    click.echo(f"\nfigures in {figures.kept('attacks', result, text, latest=latest, results=results)}")
    if not all(one["passed"] for one in told):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
