"""Pages and parts of pages of docs/, written from the commands, rules, problems, metrics and audit records themselves.

`make docs` puts each where it belongs (docs/generate_pages.py).
"""

from collections.abc import Iterator

import click

from gateway.cli.main import main
from gateway.core.audit_kinds import AUDIT_KINDS
from gateway.core.metrics import METRICS
from gateway.core.problems import PROBLEM_TYPES
from gateway.core.rules import RULES, Level, Rule
from gateway.core.tracks import GENERATED

COMMANDS = """# Commands

`esm-gateway` (or `python -m gateway`). Every command that reads or changes something takes `--config FILE` for the
settings (or the variable GATEWAY_CONFIG; see [settings.md](settings.md)) and `--json` for one JSON value on standard
output. A failure is one sentence on standard error and exit status 1; 2 means that the command line was not valid. No
secret that is still of use is given on a command line: only a leaked key, to revoke it. Commands work beside a running
gateway and, with its own stores, without one; what needs only the state store works while the cache store does not.

`--by` is a name that anybody can claim. The audit record has it beside the operating system's user who ran the command
(`ran_by`); whoever can run commands can read the master secret, and do everything.

Times are UTC. A date without a time means its last second; `30d` counts from now.
"""
SHARED = ("config", "as_json", "help")
_LEVELS: dict[Level, str] = {
    "wire": "### Level `wire`: what no upstream could tell apart",
    "sampler": "### Level `sampler`: what the published sampler provably ignores",
}


def commands() -> str:
    """docs/commands.md"""
    return "\n".join([COMMANDS, *_commands(main, "esm-gateway")])


def problems() -> str:
    """The table of docs/problems.md."""
    rows = (f"| `{kind.slug}` | {kind.status} | {kind.title} | {kind.remedy} |" for kind in PROBLEM_TYPES)
    return _lines("| name | status | title | what to do |", "|---|---|---|---|", *rows)


def metrics() -> str:
    """The table of docs/metrics.md."""
    labels = {metric: ", ".join(f"`{label}`" for label in metric.labels) or "none" for metric in METRICS}
    rows = (f"| `{metric.name}` | {metric.kind} | {labels[metric]} | {metric.help} |" for metric in METRICS)
    return _lines("| metric | kind | labels | meaning |", "|---|---|---|---|", *rows)


def audit() -> str:
    """The table of docs/audit.md."""
    rows: list[str] = []
    for name, kind in AUDIT_KINDS.items():
        facts = [f"`{fact}`: {meaning}" for fact, meaning in kind.facts.items()]
        facts += [f"`{fact}` (optional): {meaning}" for fact, meaning in kind.optional.items()]
        rows.append(f"| `{name}` | {kind.written} | {'<br>'.join(facts)} |")
    return _lines("| kind | when it is written | facts |", "|---|---|---|", *rows)


def rules() -> str:
    """The tables of docs/caching.md."""
    lines: list[str] = []
    for level, head in _LEVELS.items():
        lines += ["", head, "", "| rule | what | condition | evidence |", "|---|---|---|---|"]
        lines += [_rule(rule) for rule in RULES if rule.level == level]
    return _lines(*lines[1:])


def _rule(rule: Rule) -> str:
    tracks = "" if tuple(rule.tracks) == tuple(GENERATED) else f" Generated: {', '.join(rule.tracks)}."
    condition = rule.condition[:1].upper() + rule.condition[1:]
    return f"| `{rule.name}` | {rule.what} | {condition}.{tracks} | {rule.evidence}. `{rule.where}` |"


def _lines(*lines: str) -> str:
    return "\n".join(lines) + "\n"


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
        yield "\n".join(["| option | meaning |", "|---|---|", *map(_option, options), ""])


def _option(option: click.Option) -> str:
    names = "` or `".join([*option.opts, *option.secondary_opts])
    choices = ", ".join(option.type.choices) if isinstance(option.type, click.Choice) else ""
    remarks = (
        option.help or "",
        f"One of: {choices}." if choices else "",
        "Required." if option.required else "May be repeated." if option.multiple else "",
        f"Default: {option.default}." if option.show_default else "",
    )
    return f"| `{names}` | {' '.join(remark for remark in remarks if remark)} |"
