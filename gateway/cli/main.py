"""`esm-gateway`: the table of commands. A command's module is imported only when used, so that startup is fast."""

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
    "state": "state:state",
    "cache": "cache:cache",
    "usage": "usage:usage",
    "stores": "stores:stores",
    "health": "health:health",
    "worker": "worker:worker",
    "reader": "reader:reader",
    "sandbox": "sandbox:sandbox",
}
HIDDEN = ("worker", "reader", "sandbox")
"""Child processes: a worker of `serve`, its reader process, the sandbox upstream of `demo`."""


class LazyGroup(click.Group):
    """Imports commands from the table, and reports expected errors in a sentence on standard error."""

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
    """A caching API gateway in front of a protein-model API: virtual keys, quotas, policies, an audit record."""
