"""The settings as they are: whether they can be used, what each one is and where it came from."""

from collections.abc import Callable, Mapping
from typing import Any

import click

from gateway.cli import rules_page
from gateway.cli.options import CommandError, CommandOptions, table, with_options
from gateway.cli.reference import as_markdown as commands_as_markdown
from gateway.settings import InvalidSettings, values
from gateway.settings.reference import as_markdown, as_toml
from gateway.wiring import SetupError
from gateway.wiring.service import check_store_urls

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
@with_options
@click.pass_context
def check(ctx: click.Context, options: CommandOptions) -> None:
    """Whether the settings can be used; if not, everything that is wrong with them."""
    try:
        loaded = options.loaded()
    except InvalidSettings as errors:
        if not options.as_json:
            raise
        rows = [{"name": fault.name, "says": fault.says} for fault in errors.errors]
        options.show({"valid": False, "faults": rows}, ())
        ctx.exit(1)
    try:
        check_store_urls(loaded.settings)
    except SetupError as error:
        raise CommandError(str(error)) from None
    options.show({"valid": True, "faults": []}, [f"The settings ({loaded.file or 'no file'}) can be used."])


@config.command()
@with_options
def show(options: CommandOptions) -> None:
    """Every setting with its value and where it came from. Secrets are files and are not read."""
    loaded = options.loaded()
    rows = [{"name": name, "value": value, "from": loaded.origins[name]} for name, value in values(loaded.settings)]
    options.show(
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
