"""What all commands share: the settings, output for people and programs, and error messages.

Output is text, or with `--json` one JSON value, on standard output. An error is one sentence on standard error with
exit status 1 (2 for wrong usage).
"""

import asyncio
import functools
import os
import pwd
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click
import orjson

from gateway.core.problems import Problem
from gateway.core.store_faults import FAULT_WORDS
from gateway.flow.admin_arguments import InvalidArgument
from gateway.ports import AuditUnavailable, StateClosed, StoreUnavailable
from gateway.settings import InvalidSettings, Loaded, Settings, load_here
from gateway.wiring import SetupError

T = TypeVar("T")


class CommandError(Exception):
    """Why a command failed, in one sentence."""


REPORTED_ERRORS = (
    CommandError,
    SetupError,
    InvalidArgument,
    InvalidSettings,
    StoreUnavailable,
    AuditUnavailable,
    Problem,
    OSError,
)


@dataclass(frozen=True, slots=True)
class CommandOptions:
    """The options that all commands share."""

    config: Path | None
    as_json: bool

    def loaded(self) -> Loaded:
        return load_here(self.config)

    def settings(self) -> Settings:
        return self.loaded().settings

    def show(self, content: Any, lines: Iterable[str]) -> None:
        """`content` for programs, `lines` for people."""
        if self.as_json:
            click.echo(orjson.dumps(content, default=str, option=orjson.OPT_NON_STR_KEYS).decode())
            return
        for line in lines:
            click.echo(line)


def with_options(function: Callable[..., T]) -> Callable[..., T]:
    """Add `--config` and `--json`, and pass the command its CommandOptions."""

    @click.option("--config", type=click.Path(path_type=Path, dir_okay=False), help="Settings file (TOML).")
    @click.option("--json", "as_json", is_flag=True, help="Print one JSON value, for programs.")
    @functools.wraps(function)
    def wrapped(config: Path | None, as_json: bool, *args: Any, **kwargs: Any) -> T:
        return function(CommandOptions(config, as_json), *args, **kwargs)

    return wrapped


def run(work: Awaitable[T]) -> T:
    """Run asynchronous work in an event loop of its own."""

    async def main() -> T:
        return await work

    return asyncio.run(main())


def error_text(error: BaseException) -> str:
    """An error in one sentence (of settings: one line per error)."""
    if isinstance(error, InvalidSettings):
        return "the settings are not valid:\n" + "\n".join(f"  {each}" for each in error.errors)
    if isinstance(error, StateClosed):
        return f"Nothing was changed: {error}. Find out why; `esm-gateway state accept` goes on without what is lost."
    if isinstance(error, StoreUnavailable):
        words = error.detail or FAULT_WORDS[error.fault]
        return f"A store cannot be used ({error}, {error.fault}): {words}; whether anything was changed is unknown."
    if isinstance(error, AuditUnavailable):
        return f"The audit record could not be written, so nothing was changed: {error}."
    if isinstance(error, Problem):
        return _problem(error)
    if isinstance(error, OSError):
        return f"{error.filename or 'The system'}: {error.strerror or type(error).__name__}"
    return str(error)


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> list[str]:
    """Aligned columns; absent values are a dash."""
    texts = [list(head), *([_cell(value) for value in row] for row in rows)]
    widths = [max(len(row[at]) for row in texts) for at in range(len(head))]
    return ["  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in texts]


def system_user() -> str:
    """The name of the operating system's user: the default of `--by`."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"uid-{os.getuid()}"


def _cell(value: object) -> str:
    return "-" if value is None or value == "" else str(value)


def _problem(problem: Problem) -> str:
    lines = [" ".join(part for part in (problem.type.title, problem.detail) if part)]
    lines += [f"  {fault.pointer or '(the body)'}: {fault.detail}" for fault in problem.errors]
    return "\n".join(lines)
