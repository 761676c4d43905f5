"""`esm-gateway`: the table of commands, and how each of them ends: with its result, or with one sentence.

A command's module is imported only when used, so that startup is fast.
"""

import io
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from traceback import walk_tb
from typing import Any

import click

import gateway
from gateway import __version__
from gateway.cli.options import REPORTED_ERRORS, error_text, printable
from gateway.core.credentials import without_secrets

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
    "secrets": "master_secrets:secrets",
    "health": "health:health",
    "worker": "worker:worker",
    "reader": "reader:reader",
    "sandbox": "sandbox:sandbox",
}
HIDDEN = ("worker", "reader", "sandbox")
"""Child processes: a worker of `serve`, its reader process, the sandbox upstream of `demo`."""
PROCESSES = ("serve", "demo", *HIDDEN)
"""They run until they are stopped, and their standard error is a log: a bug leaves its traceback there."""


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

    def main(self, *args: Any, **kwargs: Any) -> Any:
        for stream in (sys.stdout, sys.stderr):
            # A terminal without a letter's sign gets its code; otherwise the command would end at that letter.
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="backslashreplace")
        try:
            return super().main(*args, **kwargs)
        finally:
            _discard_what_cannot_be_written()

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        with _in_a_sentence():
            return super().make_context(*args, **kwargs)

    def invoke(self, ctx: click.Context) -> object:
        try:
            with _in_a_sentence():
                return super().invoke(ctx)
        except (click.ClickException, click.Abort, click.exceptions.Exit, BrokenPipeError):
            raise
        except Exception as bug:
            if ctx.invoked_subcommand in PROCESSES:
                raise
            raise click.ClickException(_bug_text(bug)) from None


def _discard_what_cannot_be_written() -> None:
    """The interpreter would try again at its end, and complain about it."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextmanager
def _in_a_sentence() -> Iterator[None]:
    """Expected errors as click's own; no message has a key's secret in it, or steers the terminal."""
    try:
        yield
    except BrokenPipeError:  # whoever reads the output wants no more of it; click ends silently
        raise
    except click.ClickException as error:
        error.message = _shown(error.message or "")  # type: ignore[misc]  # click made it, and shows it later
        raise
    except REPORTED_ERRORS as error:
        raise click.ClickException(_shown(error_text(error))) from None


def _shown(message: str) -> str:
    return "\n".join(printable(line) for line in without_secrets(message).split("\n"))


def _bug_text(bug: Exception) -> str:
    """Its type and its place, and no value: a value may be a secret."""
    package = Path(gateway.__file__).parent
    places = [(Path(frame.f_code.co_filename), line) for frame, line in walk_tb(bug.__traceback__)]
    ours = [f"{path.relative_to(package.parent)}:{line}" for path, line in places if path.is_relative_to(package)]
    return f"A bug in esm-gateway: {type(bug).__name__} at {ours[-1]}. Please report this line."


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="esm-gateway")
def main() -> None:
    """A caching API gateway in front of a protein-model API: virtual keys, quotas, policies, an audit record."""
