"""The settings as they are: whether they can be used, what each one is and where it came from."""

from collections.abc import Callable, Mapping
from typing import Any

import click

from gateway.cli import rules_page
from gateway.cli.reference import as_markdown as commands_as_markdown
from gateway.cli.shell import Failure, Shell, table, with_shell
from gateway.settings import SettingsFaults, values
from gateway.settings.reference import as_markdown, as_toml
from gateway.wiring.service import check_stores
from gateway.wiring.trouble import CannotServe

PAGES: Mapping[str, Callable[[], str]] = {
    "toml": as_toml,
    "markdown": as_markdown,
    "commands": commands_as_markdown,
    "rules": rules_page.as_markdown,
}


@click.group()
def config() -> None:
    """Check and show the settings."""


@config.command()
@with_shell
@click.pass_context
def check(ctx: click.Context, shell: Shell) -> None:
    """Whether the settings can be used; if not, everything that is wrong with them."""
    try:
        loaded = shell.loaded()
    except SettingsFaults as faults:
        if not shell.as_json:
            raise
        rows = [{"name": fault.name, "says": fault.says} for fault in faults.faults]
        shell.show({"valid": False, "faults": rows}, ())
        ctx.exit(1)
    try:
        check_stores(loaded.settings)
    except CannotServe as error:
        raise Failure(str(error)) from None
    shell.show({"valid": True, "faults": []}, [f"The settings ({loaded.file or 'no file'}) can be used."])


@config.command()
@with_shell
def show(shell: Shell) -> None:
    """Every setting with its value and where it came from. Secrets are files and are not read."""
    loaded = shell.loaded()
    rows = [{"name": name, "value": value, "from": loaded.origins[name]} for name, value in values(loaded.settings)]
    shell.show(
        rows, table(("SETTING", "VALUE", "FROM"), [(row["name"], _text(row["value"]), row["from"]) for row in rows])
    )


@config.command()
@click.option("--format", "form", type=click.Choice(tuple(PAGES)), default="toml", show_default=True)
def reference(form: str) -> None:
    """Every setting with its default and meaning (a file to start from, or a page), every command, or every rule."""
    click.echo(PAGES[form](), nl=False)


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name}: {_text(inner)}" for name, inner in value.items())
    if isinstance(value, list):
        return "; ".join(_text(item) for item in value)
    return "" if value is None else str(value)
