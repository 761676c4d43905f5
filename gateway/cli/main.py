"""`esm-gateway`: the table of commands. A command's module is loaded when it is asked for, so that starting is fast."""

from collections.abc import Mapping
from importlib import import_module

import click

from gateway import __version__
from gateway.cli.options import REPORTED_ERRORS, error_text

COMMANDS: Mapping[str, str] = {
    "serve": "serve:serve",
    "demo": "demo:demo",
    "config": "config:config",
    "keys": "keys:keys",
    "approve": "approvals:approve",
    "revoke-approval": "approvals:revoke_approval",
    "audit": "audit:audit",
    "cache": "cache:cache",
    "usage": "usage:usage",
    "health": "health:health",
    "worker": "worker:worker",
    "sandbox": "sandbox:sandbox",
}
HIDDEN = ("worker", "sandbox")
"""Processes of our own: a worker of `serve`, the stand-in upstream of `demo`."""


class LazyGroup(click.Group):
    """Finds commands in the table, and turns what can be told in a sentence into one on standard error."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [name for name in COMMANDS if name not in HIDDEN]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name].partition(":")
        found = getattr(import_module(f"gateway.cli.{module}"), name)
        assert isinstance(found, click.Command)
        return found

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except REPORTED_ERRORS as error:
            raise click.ClickException(error_text(error)) from None


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="esm-gateway")
def main() -> None:
    """A gateway in front of a protein-model API: virtual keys, quotas, a cache, and a record of what matters."""
