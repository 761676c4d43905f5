"""The commands as a page to read, written from the commands themselves: docs/commands.md."""

from collections.abc import Iterator

import click

from gateway.cli.main import main

HEAD = """# Commands

`esm-gateway` (or `python -m gateway`). Every command that looks at or changes something takes `--config FILE` for the
settings (or the variable GATEWAY_CONFIG; see [settings.md](settings.md)) and `--json` for one JSON value on standard
output. A failure is one sentence on standard error and exit status 1; 2 means that the command was not understood. No
secret is ever given on a command line. Commands work beside a running gateway and, with its own stores, without one.
"""
SHARED = ("config", "as_json", "help")


def as_markdown() -> str:
    """docs/commands.md"""
    return "\n".join([HEAD, *_commands(main, "esm-gateway")])


def _commands(command: click.Command, name: str) -> Iterator[str]:
    if isinstance(command, click.Group):
        context = click.Context(command)
        for inner in command.list_commands(context):
            found = command.get_command(context, inner)
            assert found is not None
            yield from _commands(found, f"{name} {inner}")
        return
    arguments = [(param.name or "").upper() for param in command.params if isinstance(param, click.Argument)]
    yield f"## `{' '.join([name, *arguments])}`\n"
    yield f"{command.help}\n"
    options = [param for param in command.params if isinstance(param, click.Option) and param.name not in SHARED]
    if options:
        yield "\n".join(["| option | meaning |", "|---|---|", *map(_row, options), ""])


def _row(option: click.Option) -> str:
    names = "` or `".join([*option.opts, *option.secondary_opts])
    choices = ", ".join(option.type.choices) if isinstance(option.type, click.Choice) else ""
    remarks = (
        option.help or "",
        f"One of: {choices}." if choices else "",
        "Required." if option.required else "May be repeated." if option.multiple else "",
        f"Default: {option.default}." if option.show_default else "",
    )
    return f"| `{names}` | {' '.join(remark for remark in remarks if remark)} |"
