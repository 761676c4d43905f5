"""Check and show the settings, and print the reference pages."""

from collections.abc import Callable, Mapping
from typing import Any

import click

from gateway.cli import endpoint_reference
from gateway.cli import reference as pages
from gateway.cli.options import CommandError, CommandOptions, table, with_options
from gateway.settings import InvalidSettings, values
from gateway.settings.reference import as_markdown, as_toml
from gateway.wiring import SetupError
from gateway.wiring.service import check_store_urls

PAGES: Mapping[str, Callable[[], str]] = {
    "toml": as_toml,
    "settings": as_markdown,
    "commands": pages.commands,
    "endpoints": endpoint_reference.as_markdown,
    "problems": pages.problems,
    "metrics": pages.metrics,
    "audit": pages.audit,
    "rules": pages.rules,
}


@click.group()
def config() -> None:
    """Check and show the settings."""


@config.command()
@with_options
@click.pass_context
def check(ctx: click.Context, options: CommandOptions) -> None:
    """Check the settings and list all errors in them."""
    try:
        loaded = options.loaded()
    except InvalidSettings as errors:
        if not options.as_json:
            raise
        rows = [{"name": error.name, "reason": error.reason} for error in errors.errors]
        options.show({"valid": False, "errors": rows}, ())
        ctx.exit(1)
    try:
        check_store_urls(loaded.settings)
    except SetupError as error:
        raise CommandError(str(error)) from None
    options.show({"valid": True, "errors": []}, [f"The settings ({loaded.file or 'no file'}) are valid."])


@config.command()
@with_options
def show(options: CommandOptions) -> None:
    """Show every setting with its value and source. Secrets are files, and are not read."""
    loaded = options.loaded()
    rows = [{"name": name, "value": value, "from": loaded.origins[name]} for name, value in values(loaded.settings)]
    options.show(
        rows, table(("SETTING", "VALUE", "FROM"), [(row["name"], _text(row["value"]), row["from"]) for row in rows])
    )


@config.command()
@click.option("--format", "form", type=click.Choice(tuple(PAGES)), default="toml", show_default=True)
def reference(form: str) -> None:
    """A settings file to start from (toml), or a page or table of docs/ as it is generated from the code."""
    click.echo(PAGES[form](), nl=False)


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name}: {_text(inner)}" for name, inner in value.items())
    if isinstance(value, list):
        return "; ".join(_text(item) for item in value)
    return "" if value is None else str(value)
